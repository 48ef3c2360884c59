//! Nodes that preferred node affinity names, by the sum of the weights.

use tiphys_api::placement::term_matches;

use super::{Score, up_to_best};
use crate::{node_info::NodeInfo, pod_info::PodInfo, snapshot::Snapshot};

pub const SCORE: Score = Score { name: "NodeAffinity", weight: 2, score };

fn score(pod: &PodInfo, _: &Snapshot, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let affinity = pod.spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.as_ref()?;
    let of = |node: &&NodeInfo| {
        let matching =
            preferred.iter().filter(|term| term_matches(&term.preference, &node.name, node.labels()));
        matching.map(|term| i64::from(term.weight)).sum()
    };
    up_to_best(nodes.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::figures;
    use serde_json::{Value, json};

    #[test]
    fn weights_of_matching_terms_add_up() {
        let term = |weight: i64, key: &str| json!({"weight": weight, "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]}});
        let incoming = json!({"spec": {"affinity": {"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [term(10, "ssd"), term(30, "gpu")]}}}});
        let node = |labels: Value| (json!({"labels": labels}), vec![]);
        let nodes = vec![node(json!({"ssd": ""})), node(json!({"ssd": "", "gpu": ""})), node(json!({}))];
        assert_eq!(figures(&SCORE, incoming, nodes), Some(vec![25, 100, 0]));
    }
}
