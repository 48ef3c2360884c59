//! Whether what the Pod asks for is left on the Node.

use std::borrow::Cow;

use super::{Check, Filter, Refusal};
use crate::{
    change::Changes, node_info::NodeInfo, pod_info::PodInfo, resources::Resources, snapshot::Snapshot,
};

pub const FILTER: Filter = Filter { name: "NodeResourcesFit", changes: CHANGES, prepare };

const CHANGES: Changes = Changes::NODE_ALLOCATABLE.or(Changes::POD_REMOVED);

fn prepare<'a>(pod: &'a PodInfo, _: &'a Snapshot) -> Option<Check<'a>> {
    Some(Box::new(|node| {
        let reasons = lacks(&pod.requests, node);
        match reasons.is_empty() {
            true => Ok(()),
            false => Err(Refusal { reasons, by_pods: possible(&pod.requests, node) }),
        }
    }))
}

fn lacks(asked: &Resources, node: &NodeInfo) -> Vec<Cow<'static, str>> {
    let mut reasons = Vec::new();
    if node.pods.len() as i64 + 1 > node.allowed_pods {
        reasons.push("Too many pods".into());
    }
    let short = |asked: i64, taken: i64, all: i64| asked > 0 && asked > all - taken;
    let (taken, all) = (&node.requested, &node.allocatable);
    if short(asked.cpu, taken.cpu, all.cpu) {
        reasons.push("Insufficient cpu".into());
    }
    if short(asked.memory, taken.memory, all.memory) {
        reasons.push("Insufficient memory".into());
    }
    if short(asked.ephemeral_storage, taken.ephemeral_storage, all.ephemeral_storage) {
        reasons.push("Insufficient ephemeral-storage".into());
    }
    for (name, amount) in &asked.other {
        let of = |resources: &Resources| resources.other.get(name).copied().unwrap_or(0);
        if short(*amount, of(taken), of(all)) {
            reasons.push(format!("Insufficient {name}").into());
        }
    }
    reasons
}

/// Whether the empty Node would do.
fn possible(asked: &Resources, node: &NodeInfo) -> bool {
    let all = &node.allocatable;
    asked.cpu <= all.cpu
        && asked.memory <= all.memory
        && asked.ephemeral_storage <= all.ephemeral_storage
        && asked.other.iter().all(|(name, amount)| *amount <= all.other.get(name).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::reasons;
    use serde_json::json;

    #[test]
    fn everything_asked_for_must_be_left() {
        for (incoming, node, here, expected) in [
            (json!({"cpu": "4"}), json!({}), vec![], vec![]),
            (json!({"cpu": "4001m"}), json!({}), vec![], vec!["Insufficient cpu"]),
            (json!({"cpu": "1"}), json!({}), vec![json!({"cpu": "3500m"})], vec!["Insufficient cpu"]),
            (
                json!({"cpu": "1", "memory": "7Gi"}),
                json!({}),
                vec![json!({"cpu": "3500m", "memory": "2Gi"})],
                vec!["Insufficient cpu", "Insufficient memory"],
            ),
            (
                json!({"ephemeral-storage": "200Gi"}),
                json!({}),
                vec![],
                vec!["Insufficient ephemeral-storage"],
            ),
            (json!({"example.com/gpu": "1"}), json!({}), vec![], vec!["Insufficient example.com/gpu"]),
            (json!({}), json!({"pods": "1"}), vec![json!({})], vec!["Too many pods"]),
            (json!({}), json!({"cpu": "0"}), vec![], vec![]),
        ] {
            assert_eq!(reasons(&FILTER, incoming.clone(), vec![(node, here)]), expected, "{incoming}");
        }
    }
}
