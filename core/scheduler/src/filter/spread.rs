//! Topology spread constraints that must hold (DoNotSchedule).
//!
//! The number of matching Pods in a domain (Nodes of one value of the topology
//! key), with the new one, may exceed that of the emptiest domain by maxSkew.
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/>

use std::collections::HashMap;

use tiphys_api::placement::{selects_node, untolerated};

use super::{Check, Filter, Refusal};
use crate::{
    change::Changes,
    node_info::NodeInfo,
    pod_info::{PodInfo, Spread},
    snapshot::Snapshot,
};

pub const FILTER: Filter = Filter { name: "PodTopologySpread", changes: CHANGES, prepare };

const CHANGES: Changes = Changes::NODE_ADDED
    .or(Changes::NODE_LABELS)
    .or(Changes::POD_REMOVED)
    .or(Changes::POD_PLACED)
    .or(Changes::POD_LABELS);

struct Counted<'a> {
    constraint: &'a Spread,
    domains: HashMap<&'a str, i64>,
    least: i64,
    /// 1 when the Pod matches its own constraint.
    own: i64,
}

fn prepare<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Check<'a>> {
    let hard: Vec<&Spread> = pod.spread.iter().filter(|constraint| constraint.hard).collect();
    if hard.is_empty() {
        return None;
    }
    let counted: Vec<Counted<'a>> =
        hard.iter().map(|constraint| count(pod, constraint, &hard, snapshot)).collect();
    Some(Box::new(move |node| {
        for Counted { constraint, domains, least, own } in &counted {
            let Some(domain) = node.label(&constraint.key) else {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Err(Refusal::of_node(reason));
            };
            let here = domains.get(domain).copied().unwrap_or(0);
            if here + own - least > constraint.max_skew {
                return Err(Refusal::of_pods("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }))
}

fn count<'a>(pod: &PodInfo, constraint: &'a Spread, all: &[&Spread], snapshot: &'a Snapshot) -> Counted<'a> {
    let mut domains: HashMap<&str, i64> = HashMap::new();
    for node in &snapshot.nodes {
        let has_all = all.iter().all(|constraint| node.label(&constraint.key).is_some());
        if let Some(domain) = node.label(&constraint.key).filter(|_| has_all && counts(pod, constraint, node))
        {
            *domains.entry(domain).or_default() += matching(pod, constraint, node);
        }
    }
    let enough = domains.len() >= constraint.min_domains;
    let least = if enough { domains.values().copied().min().unwrap_or(0) } else { 0 };
    let own = constraint.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels));
    Counted { constraint, domains, least, own: i64::from(own) }
}

/// Whether the Node's domain takes part.
pub fn counts(pod: &PodInfo, constraint: &Spread, node: &NodeInfo) -> bool {
    let selected = !constraint.honor_affinity || selects_node(&pod.spec, &node.name, node.labels());
    let tolerated = || untolerated(node.taints(), pod.tolerations(), &["NoSchedule", "NoExecute"]).is_none();
    selected && (!constraint.honor_taints || tolerated())
}

/// The Pods on the Node that the constraint counts.
pub fn matching(pod: &PodInfo, constraint: &Spread, node: &NodeInfo) -> i64 {
    let Some(selector) = &constraint.selector else { return 0 };
    let counted = node.pods.iter().filter(|other| {
        other.namespace == pod.namespace && !other.deleting() && selector.matches(&other.labels)
    });
    counted.count() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::reasons;
    use serde_json::{Value, json};

    fn incoming(more: Value) -> Value {
        let mut constraint = json!({"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}}});
        for (key, value) in more.as_object().unwrap() {
            constraint[key] = value.clone();
        }
        json!({"labels": {"app": "web"}, "spec": {"topologySpreadConstraints": [constraint]}})
    }

    #[test]
    fn domains_may_differ_by_max_skew() {
        let zone = |zone: &str, pods: usize| {
            (json!({"labels": {"zone": zone}}), vec![json!({"labels": {"app": "web"}}); pods])
        };
        let other = |zone: &str| (json!({"labels": {"zone": zone}}), vec![json!({"labels": {"app": "db"}})]);
        let skewed = "node(s) didn't match pod topology spread constraints";
        let unlabeled = "node(s) didn't match pod topology spread constraints (missing required label)";
        for (why, more, nodes, expected) in [
            ("even", json!({}), vec![zone("a", 1), zone("b", 1)], vec![]),
            ("ahead", json!({}), vec![zone("a", 1), zone("b", 0)], vec![skewed]),
            ("allowed", json!({"maxSkew": 2}), vec![zone("a", 1), zone("b", 0)], vec![]),
            ("behind", json!({}), vec![zone("a", 0), zone("b", 1)], vec![]),
            ("others don't count", json!({}), vec![other("a"), zone("b", 0)], vec![]),
            ("two nodes of a zone", json!({}), vec![zone("a", 0), zone("a", 1), zone("b", 0)], vec![skewed]),
            ("too few domains", json!({"minDomains": 3}), vec![zone("a", 1), zone("b", 1)], vec![skewed]),
            ("no such label", json!({}), vec![(json!({}), vec![]), zone("b", 0)], vec![unlabeled]),
        ] {
            assert_eq!(reasons(&FILTER, incoming(more), nodes), expected, "{why}");
        }
    }
}
