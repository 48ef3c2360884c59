//! A Service's spec as far as addresses and ports go. Pure.

use serde_json::{Value, json};

/// Whether a Service of this spec has a cluster address.
pub fn has_address(service: &Value) -> bool {
    service["spec"]["type"] != "ExternalName"
}

/// Whether its ports are open on each node.
pub fn has_node_ports(service: &Value) -> bool {
    let opens = service["spec"]["allocateLoadBalancerNodePorts"] != json!(false);
    match service["spec"]["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => opens,
        _ => false,
    }
}

/// The address it holds: neither empty nor `None` (headless).
pub fn address(service: &Value) -> Option<&str> {
    let text = service["spec"]["clusterIP"].as_str()?;
    (has_address(service) && !text.is_empty() && text != "None").then_some(text)
}

/// The node ports it holds, each once (TCP and UDP may share one).
pub fn node_ports(service: &Value) -> Vec<u16> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let mut ports: Vec<u16> = ports.filter_map(node_port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

pub fn node_port(port: &Value) -> Option<u16> {
    port["nodePort"].as_u64().filter(|port| *port > 0).and_then(|port| u16::try_from(port).ok())
}

/// Keeps the old Service's address and node ports where the new one leaves them
/// open, and drops them where its type has none.
pub fn carry(new: &mut Value, old: &Value) {
    if !new["spec"].is_object() {
        return;
    }
    let open = new["spec"]["clusterIP"].as_str().unwrap_or_default().is_empty();
    if has_address(new) && has_address(old) && open {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let Some(value) = old["spec"].get(key) {
                new["spec"][key] = value.clone();
            }
        }
    }
    if !has_address(new)
        && let Some(spec) = new["spec"].as_object_mut()
    {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if spec.get(key) == old["spec"].get(key) {
                spec.remove(key);
            }
        }
    }
    carry_ports(new, old);
}

fn carry_ports(new: &mut Value, old: &Value) {
    let opens = has_node_ports(new);
    let opened = has_node_ports(old);
    let before: Vec<Value> = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in new["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let same = |other: &&Value| other["port"] == port["port"] && other["protocol"] == protocol(port);
        let held = before.iter().find(same).and_then(node_port);
        match node_port(port) {
            None if opens => {
                if let Some(held) = held {
                    port["nodePort"] = held.into();
                }
            }
            Some(wanted) if !opens && opened && held == Some(wanted) => {
                if let Some(port) = port.as_object_mut() {
                    port.remove("nodePort");
                }
            }
            _ => {}
        }
    }
}

fn protocol(port: &Value) -> Value {
    match &port["protocol"] {
        Value::Null => "TCP".into(),
        protocol => protocol.clone(),
    }
}

/// Writes the address into all the fields that show it.
pub fn set_address(service: &mut Value, address: &str) {
    let spec = &mut service["spec"];
    spec["clusterIP"] = address.into();
    spec["clusterIPs"] = json!([address]);
    if !spec["ipFamilies"].is_array() {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
    if !spec["ipFamilyPolicy"].is_string() {
        spec["ipFamilyPolicy"] = "SingleStack".into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_that_leaves_them_open_keeps_address_and_ports() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80}, {"port": 81}]}});
        carry(&mut new, &old);
        assert_eq!(new["spec"]["clusterIP"], "10.96.0.5");
        assert_eq!(node_ports(&new), [30080]);
    }

    #[test]
    fn another_type_gives_them_up() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.5",
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new = old.clone();
        new["spec"]["type"] = "ClusterIP".into();
        carry(&mut new, &old);
        assert_eq!((address(&new), node_ports(&new)), (Some("10.96.0.5"), vec![]));
        new["spec"]["type"] = "ExternalName".into();
        carry(&mut new, &old);
        assert_eq!(new["spec"].get("clusterIP"), None);
    }
}
