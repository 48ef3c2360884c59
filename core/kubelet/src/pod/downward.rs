//! Fields of a Pod and its containers that are handed to the containers
//! themselves, as variables and as files. Pure.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use tiphys_api::quantity::Quantity;

use super::{resources, spec};

/// What the node knows that the Pod's object may not say yet.
#[derive(Debug, Clone, Default)]
pub struct NodeFacts {
    pub node_name: String,
    pub host_ips: Vec<String>,
    pub pod_ips: Vec<String>,
    pub cpu_millis: u64,
    pub memory_bytes: u64,
}

/// The value of a field path such as `metadata.name` or `metadata.labels['app']`.
pub fn field(pod: &Pod, node: &NodeFacts, path: &str) -> Result<String, String> {
    let metadata = &pod.metadata;
    let spec = spec::of(pod);
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &metadata.labels,
            "metadata.annotations" => &metadata.annotations,
            _ => return Err(unsupported(path)),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => spec::name(pod).to_owned(),
        "metadata.namespace" => spec::namespace(pod).to_owned(),
        "metadata.uid" => spec::uid(pod).to_owned(),
        "metadata.labels" => lines(&metadata.labels),
        "metadata.annotations" => lines(&metadata.annotations),
        "spec.nodeName" => node.node_name.clone(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => node.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => node.host_ips.join(","),
        "status.podIP" => node.pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => node.pod_ips.join(","),
        _ => return Err(unsupported(path)),
    })
}

fn unsupported(path: &str) -> String {
    format!("unsupported fieldPath: {path}")
}

/// `metadata.labels['app']`
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// `key="value"` lines, sorted, quoted so that each is one line.
fn lines(map: &Option<BTreeMap<String, String>>) -> String {
    let lines = map.iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of `limits.cpu` and its kin of a container, divided and rounded up.
pub fn resource(
    container: &Container,
    node: &NodeFacts,
    selector: &ResourceFieldSelector,
) -> Result<String, String> {
    let asked = container.resources.clone().unwrap_or_default();
    let divisor = selector.divisor.as_ref().map_or("0", |divisor| divisor.0.as_str());
    let divisor = divisor.parse::<Quantity>().map_err(|error| error.to_string())?;
    let amount = match selector.resource.as_str() {
        // A limit that isn't set is what the node has.
        "limits.cpu" => millis(resources::cpu_millis(&asked.limits).unwrap_or(node.cpu_millis)),
        "limits.memory" => bytes(resources::memory_bytes(&asked.limits).unwrap_or(node.memory_bytes)),
        "requests.cpu" => millis(
            resources::cpu_millis(&asked.requests).or(resources::cpu_millis(&asked.limits)).unwrap_or(0),
        ),
        "requests.memory" => bytes(
            resources::memory_bytes(&asked.requests).or(resources::memory_bytes(&asked.limits)).unwrap_or(0),
        ),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => {
            let (list, name) = selector.resource.split_once('.').unwrap_or_default();
            let list = if list == "limits" { asked.limits } else { asked.requests };
            let amount = list.as_ref().and_then(|list| list.get(name));
            amount
                .map_or("0", |amount| amount.0.as_str())
                .parse::<Quantity>()
                .map_err(|error| error.to_string())?
        }
        other => return Err(format!("unsupported container resource: {other}")),
    };
    let divisor = if divisor.as_f64() == 0.0 { 1000 } else { divisor.millis().max(1) };
    Ok(div_up(i128::from(amount.millis()), i128::from(divisor)).to_string())
}

fn millis(value: u64) -> Quantity {
    Quantity::from_millis(i64::try_from(value).unwrap_or(i64::MAX))
}

fn bytes(value: u64) -> Quantity {
    Quantity::from_bytes(i64::try_from(value).unwrap_or(i64::MAX))
}

fn div_up(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_the_pod() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "ns", "labels": {"b": "2\n", "a": "1"}},
            "spec": {"containers": []},
        }))
        .expect("a Pod");
        let node = NodeFacts { pod_ips: vec!["10.0.0.9".into(), "fd::9".into()], ..NodeFacts::default() };
        let check = |path: &str, expected: &str| {
            assert_eq!(field(&pod, &node, path).as_deref(), Ok(expected), "{path}");
        };
        check("metadata.name", "web");
        check("metadata.labels['a']", "1");
        check("metadata.labels['none']", "");
        check("metadata.labels", "a=\"1\"\nb=\"2\\n\"");
        check("status.podIPs", "10.0.0.9,fd::9");
        assert!(field(&pod, &node, "spec.containers").is_err());
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let container: Container = serde_json::from_value(json!({
            "name": "a", "resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "100Mi"}},
        }))
        .expect("a container");
        let node = NodeFacts { memory_bytes: 4 << 30, ..NodeFacts::default() };
        let check = |resource: &str, divisor: &str, expected: &str| {
            let selector = json!({"resource": resource, "divisor": divisor});
            let selector = serde_json::from_value(selector).expect("a selector");
            assert_eq!(super::resource(&container, &node, &selector).as_deref(), Ok(expected), "{resource}");
        };
        check("limits.cpu", "0", "2");
        check("limits.cpu", "1m", "1500");
        check("requests.memory", "1Mi", "100");
        check("limits.memory", "1Gi", "4");
        check("requests.cpu", "1m", "1500");
    }
}
