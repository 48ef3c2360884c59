//! Host ports that another Pod of the Node has taken.

use super::{Check, Filter, Refusal};
use crate::{change::Changes, pod_info::PodInfo, snapshot::Snapshot};

pub const FILTER: Filter = Filter { name: "NodePorts", changes: Changes::POD_REMOVED, prepare };

fn prepare<'a>(pod: &'a PodInfo, _: &'a Snapshot) -> Option<Check<'a>> {
    if pod.ports.is_empty() {
        return None;
    }
    Some(Box::new(|node| {
        let taken = pod.ports.iter().any(|port| node.ports.iter().any(|taken| taken.conflicts(port)));
        match taken {
            false => Ok(()),
            true => Err(Refusal::of_pods("node(s) didn't have free ports for the requested pod ports")),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::reasons;
    use serde_json::{Value, json};

    #[test]
    fn host_ports_conflict_by_address_protocol_and_number() {
        let port = |ip: &str, protocol: &str, port: i32| -> Value {
            json!({"ports": [{"containerPort": 1, "hostPort": port, "hostIP": ip, "protocol": protocol}]})
        };
        for (incoming, there, conflict) in [
            (port("", "TCP", 80), port("", "TCP", 80), true),
            (port("", "TCP", 80), port("", "TCP", 81), false),
            (port("", "TCP", 80), port("", "UDP", 80), false),
            (port("127.0.0.1", "TCP", 80), port("", "TCP", 80), true),
            (port("127.0.0.1", "TCP", 80), port("127.0.0.2", "TCP", 80), false),
        ] {
            let refused =
                !reasons(&FILTER, incoming.clone(), vec![(json!({}), vec![there.clone()])]).is_empty();
            assert_eq!(refused, conflict, "{incoming} {there}");
        }
    }
}
