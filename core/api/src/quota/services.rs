//! Services: their number, the node ports they take, the load balancers among them.

use serde_json::Value;

use crate::{
    access::{list, present, text},
    amounts::Amounts,
    quantity::Quantity,
};

pub const NAMES: &[&str] = &["services", "services.nodeports", "services.loadbalancers"];

pub fn add(service: &Value, usage: &mut Amounts) {
    let ports = list(service, "/spec/ports");
    // Ports may not be handed out yet: what counts is that they will be.
    let (node_ports, balancers) = match text(service, "/spec/type") {
        "NodePort" => (ports.len(), 0),
        "LoadBalancer" if hands_out_no_ports(service) => {
            (ports.iter().filter(|port| port["nodePort"].as_i64().is_some_and(|n| n != 0)).count(), 1)
        }
        "LoadBalancer" => (ports.len(), 1),
        _ => (0, 0),
    };
    let amounts = [1, node_ports, balancers].map(|n| Quantity::from_units(n as i64));
    usage.extend(NAMES.iter().map(|name| (*name).to_owned()).zip(amounts));
}

fn hands_out_no_ports(service: &Value) -> bool {
    present(service, "/spec/allocateLoadBalancerNodePorts") == Some(&Value::Bool(false))
}
