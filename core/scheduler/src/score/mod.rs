//! Scores: which of the Nodes that do is the best. One file each, one
//! signature, one list.
//!
//! A score gives 0 to 100 for each Node, or nothing when all are equal to it.
//! The sum, weighted as upstream weighs, decides.

mod affinity;
mod balanced;
mod images;
mod least_allocated;
mod node_affinity;
mod spread;
mod taints;

use crate::{node_info::NodeInfo, pod_info::PodInfo, snapshot::Snapshot};

pub const BEST: i64 = 100;

pub struct Score {
    pub name: &'static str,
    pub weight: i64,
    /// One figure of 0 to 100 for each of the Nodes, in their order. `None`: no preference.
    pub score: fn(&PodInfo, &Snapshot, &[&NodeInfo]) -> Option<Vec<i64>>,
}

/// Every score.
pub fn all() -> &'static [Score] {
    &[
        least_allocated::SCORE,
        balanced::SCORE,
        taints::SCORE,
        node_affinity::SCORE,
        images::SCORE,
        spread::SCORE,
        affinity::SCORE,
    ]
}

/// Weighted sums of all scores, in the order of the Nodes.
pub fn sums(pod: &PodInfo, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    let mut sums = vec![0; nodes.len()];
    for score in all() {
        let Some(figures) = (score.score)(pod, snapshot, nodes) else { continue };
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure * score.weight;
        }
    }
    sums
}

/// Stretches figures so that the largest becomes 100. `None` when all are zero.
fn up_to_best(figures: Vec<i64>) -> Option<Vec<i64>> {
    let most = figures.iter().copied().max().filter(|most| *most > 0)?;
    Some(figures.into_iter().map(|figure| figure * BEST / most).collect())
}

/// Counts of something bad: none is 100, the most is 0. `None` when there is none at all.
fn fewer_is_better(figures: Vec<i64>) -> Option<Vec<i64>> {
    let stretched = up_to_best(figures)?;
    Some(stretched.into_iter().map(|figure| BEST - figure).collect())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::sample::{node, pod, snapshot};
    use serde_json::Value;

    /// The figures of `score` for a Pod over these Nodes with Pods.
    pub fn figures(score: &Score, incoming: Value, nodes: Vec<(Value, Vec<Value>)>) -> Option<Vec<i64>> {
        let nodes = nodes.into_iter().enumerate().map(|(number, (more, pods))| {
            let here =
                pods.into_iter().enumerate().map(|(n, more)| pod(&format!("p{number}-{n}"), more)).collect();
            (node(&format!("n{number}"), more), here)
        });
        let snapshot = snapshot(nodes.collect());
        let all: Vec<&NodeInfo> = snapshot.nodes.iter().collect();
        (score.score)(&pod("incoming", incoming), &snapshot, &all)
    }
}
