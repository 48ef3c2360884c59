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
    ports.extend(check_port(service));
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Whether load balancers ask its nodes, at a port of their own, if they have endpoints.
pub fn has_check_port(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer" && service["spec"]["externalTrafficPolicy"] == "Local"
}

pub fn check_port(service: &Value) -> Option<u16> {
    let port = service["spec"]["healthCheckNodePort"].as_u64().filter(|port| *port > 0)?;
    u16::try_from(port).ok()
}

pub fn node_port(port: &Value) -> Option<u16> {
    port["nodePort"].as_u64().filter(|port| *port > 0).and_then(|port| u16::try_from(port).ok())
}

fn is_seen_outside(service: &Value) -> bool {
    let has_external = service["spec"]["externalIPs"].as_array().is_some_and(|all| !all.is_empty());
    matches!(service["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) || has_external
}

/// Drops what the old Service held and a Service of the new type can't hold, unless the caller set it anew.
pub fn drop_unneeded(new: &mut Value, old: &Value) {
    if !has_address(new)
        && let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut)
    {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if spec.get(key) == old["spec"].get(key) {
                spec.remove(key);
            }
        }
    }
    let was_balanced = old["spec"]["type"] == "LoadBalancer";
    let is_balanced = new["spec"]["type"] == "LoadBalancer";
    let mut unneeded = Vec::new();
    if was_balanced && !is_balanced {
        unneeded.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    if has_check_port(old) && !has_check_port(new) {
        unneeded.push("healthCheckNodePort");
    }
    if is_seen_outside(old) && !is_seen_outside(new) {
        unneeded.push("externalTrafficPolicy");
    }
    if let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) {
        for key in unneeded {
            if spec.get(key) == old["spec"].get(key) {
                spec.remove(key);
            }
        }
    }
    if has_node_ports(new) || !has_node_ports(old) {
        return;
    }
    let before: Vec<Value> = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in new.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let held = before.iter().any(|other| {
            other["port"] == port["port"] && node_port(other).is_some() && node_port(other) == node_port(port)
        });
        if let Some(port) = port.as_object_mut().filter(|_| held) {
            port.remove("nodePort");
        }
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
    fn another_type_gives_them_up() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.5",
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new = old.clone();
        new["spec"]["type"] = "ClusterIP".into();
        drop_unneeded(&mut new, &old);
        assert_eq!((address(&new), node_ports(&new)), (Some("10.96.0.5"), vec![]));
        new["spec"]["type"] = "ExternalName".into();
        drop_unneeded(&mut new, &old);
        assert_eq!(new["spec"].get("clusterIP"), None);
    }
}
