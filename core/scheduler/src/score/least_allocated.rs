//! Nodes with more left over: CPU and memory alike.

use super::{BEST, Score};
use crate::{node_info::NodeInfo, pod_info::PodInfo, snapshot::Snapshot};

pub const SCORE: Score = Score { name: "NodeResourcesFit", weight: 1, score };

fn score(pod: &PodInfo, _: &Snapshot, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let left = |taken: i64, more: i64, all: i64| -> Option<i64> {
        (all > 0).then(|| (all - taken - more).max(0) * BEST / all)
    };
    let of = |node: &&NodeInfo| {
        let (taken, all) = (&node.counted, &node.allocatable);
        let cpu = left(taken.cpu, pod.counted.cpu, all.cpu);
        let memory = left(taken.memory, pod.counted.memory, all.memory);
        let shares: Vec<i64> = [cpu, memory].into_iter().flatten().collect();
        shares.iter().sum::<i64>() / shares.len().max(1) as i64
    };
    Some(nodes.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::figures;
    use serde_json::json;

    #[test]
    fn the_emptier_node_is_better() {
        let half = json!({"cpu": "2", "memory": "4Gi"});
        let nodes = vec![(json!({}), vec![half.clone()]), (json!({}), vec![])];
        assert_eq!(figures(&SCORE, half, nodes), Some(vec![0, 50]));
    }
}
