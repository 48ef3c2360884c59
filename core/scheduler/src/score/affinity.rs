//! Nodes whose domain has Pods that the new one prefers to be near, or whose
//! Pods prefer the new one.

use std::collections::HashMap;

use super::{BEST, Score};
use crate::{
    node_info::NodeInfo,
    pod_info::{PodInfo, Term},
    snapshot::Snapshot,
};

pub const SCORE: Score = Score { name: "InterPodAffinity", weight: 2, score };

/// What a required affinity of a Pod there counts as a preference for its kind.
const REQUIRED_WEIGHT: i64 = 1;

fn score(pod: &PodInfo, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    if snapshot.affinity_pods == 0 && pod.affinity.preferred.is_empty() {
        return None;
    }
    let mut domains: HashMap<(&str, &str), i64> = HashMap::new();
    for node in &snapshot.nodes {
        let mut count = |term: &Term, weight: i64| -> Option<()> {
            let (key, value) = node.labels().get_key_value(&term.topology_key)?;
            *domains.entry((key.as_str(), value.as_str())).or_default() += weight;
            Some(())
        };
        for there in &node.with_affinity {
            let (required, preferred) = (&there.affinity.required, &there.affinity.preferred);
            for term in required.iter().filter(|term| term.matches(pod, &snapshot.namespaces)) {
                count(term, REQUIRED_WEIGHT);
            }
            for (weight, term) in preferred.iter().filter(|(_, term)| term.matches(pod, &snapshot.namespaces))
            {
                count(term, *weight);
            }
        }
        for (weight, term) in &pod.affinity.preferred {
            let matching =
                node.pods.iter().filter(|there| term.matches(there, &snapshot.namespaces)).count() as i64;
            if matching > 0 {
                count(term, weight * matching);
            }
        }
    }
    let of = |node: &&NodeInfo| -> i64 {
        domains
            .iter()
            .filter(|((key, value), _)| node.label(key) == Some(value))
            .map(|(_, weight)| weight)
            .sum()
    };
    stretch(nodes.iter().map(of).collect())
}

/// From the least to the most, as 0 to 100.
fn stretch(sums: Vec<i64>) -> Option<Vec<i64>> {
    let (least, most) = (sums.iter().copied().min()?, sums.iter().copied().max()?);
    if least == most {
        return None;
    }
    Some(sums.into_iter().map(|sum| BEST * (sum - least) / (most - least)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::figures;
    use serde_json::{Value, json};

    fn preferring(kind: &str, app: &str) -> Value {
        json!({"labels": {"app": "web"}, "spec": {"affinity": {kind: {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": {
                "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}}}]}}}})
    }

    #[test]
    fn preferences_of_both_sides_count() {
        let zone = |zone: &str, pods: Vec<Value>| (json!({"labels": {"zone": zone}}), pods);
        let db = || json!({"labels": {"app": "db"}});
        let nodes = || vec![zone("a", vec![db()]), zone("a", vec![]), zone("b", vec![])];
        assert_eq!(figures(&SCORE, preferring("podAffinity", "db"), nodes()), Some(vec![100, 100, 0]));
        assert_eq!(figures(&SCORE, preferring("podAntiAffinity", "db"), nodes()), Some(vec![0, 0, 100]));
        let liked = vec![zone("a", vec![preferring("podAffinity", "api")]), zone("b", vec![])];
        assert_eq!(figures(&SCORE, json!({"labels": {"app": "api"}}), liked), Some(vec![100, 0]));
        assert_eq!(figures(&SCORE, json!({}), nodes()), None);
    }
}
