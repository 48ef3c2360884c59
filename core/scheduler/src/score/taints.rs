//! Nodes with fewer PreferNoSchedule taints that the Pod doesn't tolerate.

use tiphys_api::placement::tolerates;

use super::{Score, fewer_is_better};
use crate::{node_info::NodeInfo, pod_info::PodInfo, snapshot::Snapshot};

pub const SCORE: Score = Score { name: "TaintToleration", weight: 3, score };

fn score(pod: &PodInfo, _: &Snapshot, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let of = |node: &&NodeInfo| {
        let avoided = node.taints().iter().filter(|taint| taint.effect == "PreferNoSchedule");
        avoided.filter(|taint| !pod.tolerations().iter().any(|one| tolerates(one, taint))).count() as i64
    };
    fewer_is_better(nodes.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::figures;
    use serde_json::json;

    #[test]
    fn avoided_nodes_come_last() {
        let taint = |key: &str| json!({"key": key, "effect": "PreferNoSchedule"});
        let nodes = || {
            vec![
                (json!({"taints": [taint("a"), taint("b")]}), vec![]),
                (json!({"taints": [taint("a")]}), vec![]),
                (json!({}), vec![]),
            ]
        };
        assert_eq!(figures(&SCORE, json!({}), nodes()), Some(vec![0, 50, 100]));
        let tolerant = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
        assert_eq!(figures(&SCORE, tolerant, nodes()), None);
    }
}
