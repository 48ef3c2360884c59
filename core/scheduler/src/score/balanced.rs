//! Nodes on which CPU and memory would be used to about the same share, so that
//! neither is left over alone.

use super::{BEST, Score};
use crate::{node_info::NodeInfo, pod_info::PodInfo, snapshot::Snapshot};

pub const SCORE: Score = Score { name: "NodeResourcesBalancedAllocation", weight: 1, score };

fn score(pod: &PodInfo, _: &Snapshot, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    if pod.requests.cpu == 0 && pod.requests.memory == 0 {
        return None;
    }
    let share = |taken: i64, more: i64, all: i64| -> f64 {
        if all == 0 { 1.0 } else { ((taken + more) as f64 / all as f64).min(1.0) }
    };
    let of = |node: &&NodeInfo| {
        let (taken, all) = (&node.requested, &node.allocatable);
        let cpu = share(taken.cpu, pod.requests.cpu, all.cpu);
        let memory = share(taken.memory, pod.requests.memory, all.memory);
        // The standard deviation of two figures is half their distance.
        ((1.0 - (cpu - memory).abs() / 2.0) * BEST as f64) as i64
    };
    Some(nodes.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::figures;
    use serde_json::json;

    #[test]
    fn even_use_is_better() {
        let nodes = vec![(json!({}), vec![json!({"cpu": "3"})]), (json!({}), vec![json!({"memory": "2Gi"})])];
        assert_eq!(figures(&SCORE, json!({"cpu": "1"}), nodes), Some(vec![50, 100]));
        assert_eq!(figures(&SCORE, json!({}), vec![(json!({}), vec![])]), None);
    }
}
