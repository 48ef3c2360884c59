//! One decision: the Node for a Pod, or why there is none. Pure.
//!
//! With many Nodes only a sample of those that do is scored: 50 % of 100 Nodes
//! falling to 5 % of 5,600 and more, at least 100. The search starts where the
//! last one stopped.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use crate::{
    change::Changes,
    filter::{self, Check, Filter, Refusal},
    node_info::NodeInfo,
    pod_info::PodInfo,
    score,
    snapshot::Snapshot,
};

/// The Node that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChoice {
    pub node: String,
    /// Nodes that were looked at.
    pub evaluated: usize,
    /// Of those, Nodes that do.
    pub feasible: usize,
}

/// Why no Node does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FitError {
    pub nodes: usize,
    /// Nodes by reason; a Node may have several.
    pub reasons: BTreeMap<Cow<'static, str>, usize>,
    /// What may change that.
    pub changes: Changes,
    /// Nodes that fewer Pods could make do.
    pub crowded: Vec<String>,
}

impl std::error::Error for FitError {}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        write!(f, "0/{} nodes are available: ", self.nodes)?;
        let mut reasons: Vec<String> =
            self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        write!(f, "{}.", reasons.join(", "))
    }
}

/// How many Nodes that do are enough.
fn enough(nodes: usize) -> usize {
    const LEAST: usize = 100;
    if nodes < LEAST {
        return nodes;
    }
    let percent = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(LEAST)
}

/// Chooses the best Node for the Pod.
///
/// # Errors
/// No Node does; the error says why, and what may change it.
pub fn schedule_one(pod: &PodInfo, snapshot: &Snapshot) -> Result<NodeChoice, FitError> {
    let checks: Vec<(&Filter, Check<'_>)> =
        filter::all().iter().filter_map(|filter| Some((filter, (filter.prepare)(pod, snapshot)?))).collect();
    let total = snapshot.nodes.len();
    let wanted = enough(total);
    let mut failure = FitError { nodes: total, changes: Changes::NODE_ADDED, ..FitError::default() };
    let mut feasible: Vec<&NodeInfo> = Vec::with_capacity(wanted);
    let mut evaluated = 0;
    for offset in 0..total {
        if feasible.len() >= wanted {
            break;
        }
        evaluated += 1;
        let node = &snapshot.nodes[(snapshot.start + offset) % total];
        match judge(node, &checks) {
            Ok(()) => feasible.push(node),
            Err((filter, refusal)) => failure.note(node, filter, refusal),
        }
    }
    let best = match feasible.as_slice() {
        [] => return Err(failure),
        [only] => only,
        several => best(pod, snapshot, several),
    };
    Ok(NodeChoice { node: best.name.clone(), evaluated, feasible: feasible.len() })
}

/// Whether this one Node does.
pub fn fits(pod: &PodInfo, snapshot: &Snapshot, node: &NodeInfo) -> bool {
    filter::all().iter().all(|filter| (filter.prepare)(pod, snapshot).is_none_or(|check| check(node).is_ok()))
}

fn judge<'f>(node: &NodeInfo, checks: &[(&'f Filter, Check<'_>)]) -> Result<(), (&'f Filter, Refusal)> {
    checks.iter().try_for_each(|(filter, check)| check(node).map_err(|refusal| (*filter, refusal)))
}

/// The first of those with the largest sum; the order rotates, so equals take turns.
fn best<'a>(pod: &PodInfo, snapshot: &Snapshot, nodes: &[&'a NodeInfo]) -> &'a NodeInfo {
    let sums = score::sums(pod, snapshot, nodes);
    let mut best = 0;
    for (number, sum) in sums.iter().enumerate() {
        if *sum > sums[best] {
            best = number;
        }
    }
    nodes[best]
}

impl FitError {
    fn note(&mut self, node: &NodeInfo, filter: &Filter, refusal: Refusal) {
        self.changes |= filter.changes;
        if refusal.by_pods {
            self.crowded.push(node.name.clone());
        }
        for reason in refusal.reasons {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{node, pod, snapshot};
    use serde_json::json;
    use std::collections::HashMap;

    /// Schedules one after another, as the loop does.
    fn place_all(snapshot: &mut Snapshot, pods: impl IntoIterator<Item = std::sync::Arc<PodInfo>>) {
        for pod in pods {
            let choice = schedule_one(&pod, snapshot).unwrap();
            snapshot.start = (snapshot.start + choice.evaluated) % snapshot.nodes.len();
            snapshot.place(pod, &choice.node);
        }
    }

    fn counts(snapshot: &Snapshot) -> Vec<usize> {
        snapshot.nodes.iter().map(|node| node.pods.len()).collect()
    }

    #[test]
    fn a_thousand_pods_on_a_hundred_nodes_are_all_placed_in_balance() {
        let nodes = (0..100).map(|n| (node(&format!("n{n}"), json!({})), vec![])).collect();
        let mut snapshot = snapshot(nodes);
        place_all(
            &mut snapshot,
            (0..1000).map(|n| pod(&format!("p{n}"), json!({"cpu": "100m", "memory": "64Mi"}))),
        );
        assert!(counts(&snapshot).iter().all(|count| *count == 10), "{:?}", counts(&snapshot));
    }

    #[test]
    fn six_pods_of_one_set_run_on_all_three_nodes() {
        let mut snapshot = snapshot((0..3).map(|n| (node(&format!("n{n}"), json!({})), vec![])).collect());
        // One Node is fuller with others' Pods, and still gets its share.
        snapshot.place(pod("other", json!({"cpu": "1", "memory": "2Gi"})), "n0");
        place_all(&mut snapshot, (0..6).map(|n| pod(&format!("p{n}"), json!({"owner": "set"}))));
        let owner = pod("x", json!({"owner": "set"})).owner.unwrap();
        assert!(snapshot.nodes.iter().all(|node| node.owned(owner) == 2), "{:?}", counts(&snapshot));
    }

    #[test]
    fn nodes_of_different_size_fill_in_proportion() {
        let sizes = [("small", "2", "4Gi"), ("large", "8", "16Gi")];
        let nodes =
            sizes.map(|(name, cpu, memory)| (node(name, json!({"cpu": cpu, "memory": memory})), vec![]));
        let mut snapshot = snapshot(nodes.into());
        place_all(
            &mut snapshot,
            (0..10).map(|n| pod(&format!("p{n}"), json!({"cpu": "500m", "memory": "1Gi"}))),
        );
        let by_name: HashMap<_, _> =
            snapshot.nodes.iter().map(|node| (node.name.as_str(), node.pods.len())).collect();
        assert_eq!((by_name["small"], by_name["large"]), (2, 8));
    }

    #[test]
    fn the_error_counts_reasons_as_kubectl_shows_them() {
        let nodes = vec![
            (node("a", json!({})), vec![pod("x", json!({"cpu": "4"}))]),
            (node("b", json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}]})), vec![]),
            (node("c", json!({"cpu": "1"})), vec![]),
        ];
        let error = schedule_one(&pod("p", json!({"cpu": "2"})), &snapshot(nodes)).unwrap_err();
        let expected =
            "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: }, 2 Insufficient cpu.";
        assert_eq!(error.to_string(), expected);
        assert!(error.changes.meets(Changes::POD_REMOVED) && error.changes.meets(Changes::NODE_TAINTS));
        assert_eq!(error.crowded, ["a"], "an empty c would not do either");
        let nobody = schedule_one(&pod("p", json!({})), &Snapshot::default()).unwrap_err();
        assert_eq!(nobody.to_string(), "no nodes available to schedule pods");
    }

    #[test]
    fn a_sample_of_many_nodes_is_enough() {
        for (nodes, expected) in [(3, 3), (99, 99), (100, 100), (1000, 420), (5000, 500), (10_000, 500)] {
            assert_eq!(enough(nodes), expected);
        }
    }
}
