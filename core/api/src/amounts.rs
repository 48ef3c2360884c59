//! Amounts of resources by name, and what a whole Pod asks for.
//!
//! The arithmetic of quotas, limit ranges and a node's groups: sums, maxima and the order of init
//! containers as <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>
//! has it. What is no quantity counts as absent: validation names it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    access::{entries, list, text},
    quantity::Quantity,
};

pub type Amounts = BTreeMap<String, Quantity>;

/// The quantities of the object at a pointer.
pub fn read(object: &Value, pointer: &str) -> Amounts {
    entries(object, pointer)
        .filter_map(|(name, amount)| Some((name.clone(), amount.as_str()?.parse().ok()?)))
        .collect()
}

pub fn to_value(amounts: &Amounts) -> Value {
    amounts.iter().map(|(name, amount)| (name.clone(), Value::from(amount.to_string()))).collect()
}

/// Adds each of `more`.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let total = sum.get(name).map_or(*amount, |before| *before + *amount);
        sum.insert(name.clone(), total);
    }
}

/// Takes the larger of each.
pub fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if most.get(name).is_none_or(|before| before < amount) {
            most.insert(name.clone(), *amount);
        }
    }
}

/// `cpu=1,memory=1Gi`
pub fn shown(amounts: &Amounts) -> String {
    let parts: Vec<String> = amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    parts.join(",")
}

/// What a Pod's containers ask for together: `which` is `requests` or `limits`.
/// Containers that run side by side add up, those that run before them set a floor; what
/// the Pod says for itself takes the place of the sum.
pub fn of_containers(spec: &Value, which: &str) -> Amounts {
    combined(spec, which, |container| read(container, &format!("/resources/{which}")))
}

/// As [`of_containers`], with what the Pod costs beside its containers. Where a container has no
/// request its limit is one, as in a Pod whose defaults are set.
pub fn of_spec(spec: &Value, which: &str) -> Amounts {
    let total = combined(spec, which, |container| {
        let mut amounts = read(container, &format!("/resources/{which}"));
        if which == "requests" {
            for (name, limit) in read(container, "/resources/limits") {
                amounts.entry(name).or_insert(limit);
            }
        }
        amounts
    });
    with_overhead(total, spec, which)
}

/// Of a Pod whose defaults are set, and whose containers may hold more than they ask for by now.
pub fn of_pod(pod: &Value, which: &str) -> Amounts {
    let Some(spec) = pod.get("spec") else { return Amounts::new() };
    let total = combined(spec, which, |container| {
        let mut amounts = read(container, &format!("/resources/{which}"));
        if let Some(allocated) = allocated(pod, container, which) {
            raise(&mut amounts, &allocated);
        }
        amounts
    });
    with_overhead(total, spec, which)
}

/// Overhead is a request always, and a limit where there is one.
fn with_overhead(mut total: Amounts, spec: &Value, which: &str) -> Amounts {
    let mut overhead = read(spec, "/overhead");
    if which == "limits" {
        overhead.retain(|name, _| total.get(name).is_some_and(|limit| !limit.is_zero()));
    }
    add(&mut total, &overhead);
    total
}

/// What a running container holds, which may be more than it asks for while it shrinks.
fn allocated(pod: &Value, container: &Value, which: &str) -> Option<Amounts> {
    let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let mut all = statuses.iter().flat_map(|at| list(pod, at));
    let status = all.find(|status| text(status, "/name") == text(container, "/name"))?;
    status.pointer("/resources")?;
    let mut amounts = read(status, &format!("/resources/{which}"));
    if which == "requests" {
        raise(&mut amounts, &read(status, "/allocatedResources"));
    }
    Some(amounts)
}

fn combined(spec: &Value, which: &str, of: impl Fn(&Value) -> Amounts) -> Amounts {
    let mut total = Amounts::new();
    for container in list(spec, "/containers") {
        add(&mut total, &of(container));
    }
    let (mut sidecars, mut floor) = (Amounts::new(), Amounts::new());
    for container in list(spec, "/initContainers") {
        let mut amounts = of(container);
        if text(container, "/restartPolicy") == "Always" {
            add(&mut total, &amounts);
            add(&mut sidecars, &amounts);
            amounts = sidecars.clone();
        } else {
            add(&mut amounts, &sidecars);
        }
        raise(&mut floor, &amounts);
    }
    raise(&mut total, &floor);
    for (name, amount) in read(spec, &format!("/resources/{which}")) {
        if is_pod_level(&name) {
            total.insert(name, amount);
        }
    }
    total
}

/// What a Pod may bound as a whole.
fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(name: &str, cpu: &str) -> Value {
        json!({ "name": name, "resources": { "requests": { "cpu": cpu }, "limits": { "cpu": cpu } } })
    }

    fn sidecar(name: &str, cpu: &str) -> Value {
        let mut container = container(name, cpu);
        container["restartPolicy"] = "Always".into();
        container
    }

    fn cpu(pod: Value, which: &str) -> String {
        of_pod(&pod, which).get("cpu").map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn containers_add_up_and_init_containers_set_a_floor() {
        let table = [
            (json!({ "containers": [container("a", "1"), container("b", "500m")] }), "1500m"),
            (json!({ "containers": [container("a", "1")], "initContainers": [container("i", "3")] }), "3"),
            (
                json!({ "containers": [container("a", "1")],
                        "initContainers": [sidecar("s", "1"), container("i", "3")] }),
                "4",
            ),
            (json!({ "containers": [container("a", "1")], "initContainers": [sidecar("s", "2")] }), "3"),
            (json!({ "containers": [container("a", "1")], "overhead": { "cpu": "250m" } }), "1250m"),
            (
                json!({ "containers": [container("a", "1")],
                        "resources": { "requests": { "cpu": "2" }, "limits": { "cpu": "2" } } }),
                "2",
            ),
            (json!({ "containers": [{ "name": "a" }] }), ""),
        ];
        for (spec, expected) in table {
            assert_eq!(cpu(json!({ "spec": spec }), "requests"), expected, "{spec}");
        }
    }

    #[test]
    fn a_spec_alone_counts_as_the_pod_that_is_made_of_it() {
        let spec = json!({
            "containers": [
                container("a", "1"),
                { "name": "b", "resources": { "limits": { "cpu": "500m" } } },
            ],
            "initContainers": [sidecar("s", "2"), container("i", "3")], "overhead": { "cpu": "250m" },
        });
        let shown_of = |which: &str| shown(&of_spec(&spec, which));
        assert_eq!((shown_of("requests"), shown_of("limits")), ("cpu=5250m".into(), "cpu=5250m".into()));
        let mut pod = json!({ "spec": spec });
        pod["spec"]["containers"][1] = container("b", "500m");
        assert_eq!(cpu(pod, "requests"), "5250m", "the request that its defaults set");
    }

    #[test]
    fn overhead_is_no_limit_where_there_is_none() {
        let pod = json!({ "spec": { "containers": [{ "name": "a" }], "overhead": { "cpu": "1" } } });
        assert_eq!((cpu(pod.clone(), "limits"), cpu(pod, "requests")), (String::new(), "1".into()));
    }

    #[test]
    fn a_container_that_still_holds_more_counts_as_that() {
        let status = json!({ "containerStatuses": [
            { "name": "a", "allocatedResources": { "cpu": "2" }, "resources": { "requests": { "cpu": "1500m" } } },
        ]});
        let pod = json!({ "spec": { "containers": [container("a", "1")] }, "status": status });
        assert_eq!(cpu(pod.clone(), "requests"), "2");
        assert_eq!(of_containers(&pod["spec"], "requests")["cpu"].to_string(), "1");
    }
}
