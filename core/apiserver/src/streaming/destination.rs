//! Which kubelet, and which container: out of the Pod and its Node. Pure but for
//! reading the objects.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use tiphys_api::names::KUBELET_PORT;

use super::Streaming;
use crate::authz::{Refusal, find};

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

impl Streaming {
    /// The Pod, or 404.
    pub(super) async fn pod(&self, namespace: &str, name: &str) -> Result<std::sync::Arc<Value>, Refusal> {
        let pod = find(&*self.objects, "", "pods", namespace, name).await;
        pod.ok_or_else(|| Refusal::not_found("", "pods", name))
    }

    /// Where the kubelet of a node listens.
    pub(super) async fn kubelet_of(&self, node: &str) -> Result<SocketAddr, Refusal> {
        let object = find(&*self.objects, "", "nodes", "", node)
            .await
            .ok_or_else(|| Refusal::not_found("", "nodes", node))?;
        let address = kubelet_address(&object).ok_or_else(|| {
            Refusal::internal(format!("no preferred addresses found; known addresses of node {node}: none"))
        })?;
        if !(self.reachable)(address.ip()) {
            return Err(Refusal::bad_request(format!("address {} of node {node} not allowed", address.ip())));
        }
        Ok(address)
    }
}

/// The node a Pod is bound to, if it is.
pub fn node_name(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())
}

fn kubelet_address(node: &Value) -> Option<SocketAddr> {
    let of_kind = |kind: &str| {
        let mut addresses = items(&node["status"]["addresses"]).filter(|address| address["type"] == kind);
        addresses.find_map(|address| address["address"].as_str()?.parse::<IpAddr>().ok())
    };
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let ip = of_kind("InternalIP").or_else(|| of_kind("ExternalIP"))?;
    Some(SocketAddr::new(ip, port.unwrap_or(KUBELET_PORT)))
}

/// Loopback and link-local addresses are the API server's own surroundings: a Node
/// (or Pod, or Service) that claims one must not lead a client there.
pub fn may_be_dialled(ip: IpAddr) -> bool {
    let local = match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let ip = ip.to_canonical();
    !(local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

/// The container meant: the wanted one, the one the Pod's annotation names, or the only one.
pub fn container(pod: &Value, wanted: &str) -> Result<String, Refusal> {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let names = |list: &str| -> Vec<&str> {
        items(&pod["spec"][list]).filter_map(|container| container["name"].as_str()).collect()
    };
    let (plain, init, ephemeral) =
        (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let known = |name: &str| plain.iter().chain(&init).chain(&ephemeral).any(|known| *known == name);
    if !wanted.is_empty() {
        return match known(wanted) {
            true => Ok(wanted.to_owned()),
            false => Err(Refusal::bad_request(format!("container {wanted} is not valid for pod {pod_name}"))),
        };
    }
    let annotated = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str();
    if let Some(name) = annotated.filter(|name| known(name)) {
        return Ok(name.to_owned());
    }
    if let [only] = plain[..] {
        return Ok(only.to_owned());
    }
    let mut message = format!("a container name must be specified for pod {pod_name}");
    for (list, words) in [
        (plain, ", choose one of"),
        (init, " or one of the init containers"),
        (ephemeral, " or one of the ephemeral containers"),
    ] {
        if !list.is_empty() {
            message.push_str(&format!("{words}: [{}]", list.join(" ")));
        }
    }
    Err(Refusal::bad_request(message))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_container_is_chosen_as_clients_expect() {
        let pod = |names: &[&str], annotation: &str| {
            let containers: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
            json!({ "metadata": { "name": "web", "annotations": { DEFAULT_CONTAINER: annotation } },
                    "spec": { "containers": containers, "initContainers": [{ "name": "init" }] } })
        };
        let check = |pod: &Value, wanted: &str, expected: Result<&str, &str>| {
            let found = container(pod, wanted).map_err(|refusal| refusal.message);
            assert_eq!(found, expected.map(String::from).map_err(String::from));
        };
        check(&pod(&["a"], ""), "", Ok("a"));
        check(&pod(&["a", "b"], "b"), "", Ok("b"));
        check(&pod(&["a", "b"], "b"), "a", Ok("a"));
        check(&pod(&["a"], ""), "init", Ok("init"));
        check(&pod(&["a"], ""), "x", Err("container x is not valid for pod web"));
        check(
            &pod(&["a", "b"], "gone"),
            "",
            Err(
                "a container name must be specified for pod web, choose one of: [a b] or one of the init containers: [init]",
            ),
        );
    }

    #[test]
    fn the_kubelet_is_where_its_node_says() {
        let node = |addresses: Value, port: Value| json!({ "status": { "addresses": addresses, "daemonEndpoints": { "kubeletEndpoint": { "Port": port } } } });
        let both = json!([{ "type": "ExternalIP", "address": "1.2.3.4" }, { "type": "InternalIP", "address": "10.0.0.1" }]);
        let found =
            |addresses, port| kubelet_address(&node(addresses, port)).map(|address| address.to_string());
        assert_eq!(found(both.clone(), json!(1234)).as_deref(), Some("10.0.0.1:1234"));
        assert_eq!(found(both, Value::Null).as_deref(), Some("10.0.0.1:10250"));
        assert_eq!(found(json!([{ "type": "Hostname", "address": "n1" }]), json!(1)), None);
    }

    #[test]
    fn abuse_10_loopback_and_link_local_are_not_dialled() {
        for bad in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.1.1",
        ] {
            assert!(!may_be_dialled(bad.parse().unwrap()), "{bad}");
        }
        for good in ["10.0.0.1", "172.30.0.10", "fd00::1", "8.8.8.8"] {
            assert!(may_be_dialled(good.parse().unwrap()), "{good}");
        }
    }
}
