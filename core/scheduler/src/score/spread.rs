//! Nodes with fewer Pods of the same kind in their domain.
//!
//! The Pod's own ScheduleAnyway constraints; without any constraint, the Pods
//! of its controller are spread over hosts and zones.

use std::collections::HashMap;

use super::{BEST, Score};
use crate::{
    filter::spread as hard,
    node_info::NodeInfo,
    pod_info::{PodInfo, Spread},
    snapshot::{Snapshot, ZONE},
};

pub const SCORE: Score = Score { name: "PodTopologySpread", weight: 2, score };

const HOST: &str = "kubernetes.io/hostname";
/// The skews that count as none when a Pod has no constraint of its own.
const HOST_SKEW: i64 = 3;
const ZONE_SKEW: i64 = 5;

fn score(pod: &PodInfo, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    if pod.spread.is_empty() {
        let owner = pod.owner?;
        return normal(by_owner(owner, snapshot, nodes));
    }
    let soft: Vec<&Spread> = pod.spread.iter().filter(|constraint| !constraint.hard).collect();
    if soft.is_empty() {
        return None;
    }
    normal(by_constraints(pod, &soft, snapshot, nodes))
}

/// More domains make each one weigh more: their counts are smaller.
fn weight(domains: usize) -> f64 {
    ((domains + 2) as f64).ln()
}

fn by_owner(owner: u64, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> Vec<Option<i64>> {
    let hosts = weight(nodes.len());
    let zones = weight(snapshot.zone_count());
    let of = |node: &&NodeInfo| {
        let mut sum = f64::from(node.owned(owner)) * hosts + (HOST_SKEW - 1) as f64;
        if let Some(zone) = node.label(ZONE) {
            sum += snapshot.owned_in_zone(zone, owner) as f64 * zones + (ZONE_SKEW - 1) as f64;
        }
        Some(sum.round() as i64)
    };
    nodes.iter().map(of).collect()
}

fn by_constraints(
    pod: &PodInfo,
    soft: &[&Spread],
    snapshot: &Snapshot,
    nodes: &[&NodeInfo],
) -> Vec<Option<i64>> {
    let mut sums: Vec<Option<f64>> = vec![Some(0.0); nodes.len()];
    for constraint in soft {
        let domains = count(pod, constraint, snapshot, nodes);
        let weight = weight(domains.len());
        for (sum, node) in sums.iter_mut().zip(nodes) {
            let part = node.label(&constraint.key).map(|domain| {
                let here = match constraint.key == HOST {
                    true => hard::matching(pod, constraint, node),
                    false => domains.get(domain).copied().unwrap_or(0),
                };
                here as f64 * weight + (constraint.max_skew - 1) as f64
            });
            // A Node without the label is in no domain.
            *sum = sum.zip(part).map(|(sum, part)| sum + part);
        }
    }
    sums.into_iter().map(|sum| sum.map(|sum| sum.round() as i64)).collect()
}

/// Matching Pods of the domains that these Nodes belong to.
fn count<'a>(
    pod: &PodInfo,
    constraint: &Spread,
    snapshot: &Snapshot,
    nodes: &[&'a NodeInfo],
) -> HashMap<&'a str, i64> {
    let mut domains: HashMap<&str, i64> =
        nodes.iter().filter_map(|node| Some((node.label(&constraint.key)?, 0))).collect();
    if constraint.key == HOST {
        return domains;
    }
    for node in snapshot.nodes.iter().filter(|node| hard::counts(pod, constraint, node)) {
        if let Some(count) = node.label(&constraint.key).and_then(|domain| domains.get_mut(domain)) {
            *count += hard::matching(pod, constraint, node);
        }
    }
    domains
}

/// Fewer is better; Nodes outside of any domain are worst.
fn normal(sums: Vec<Option<i64>>) -> Option<Vec<i64>> {
    let known = || sums.iter().flatten().copied();
    let (least, most) = (known().min()?, known().max()?);
    let of = |sum: Option<i64>| match sum {
        None => 0,
        Some(_) if most == 0 => BEST,
        Some(sum) => BEST * (most + least - sum) / most,
    };
    Some(sums.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::figures;
    use serde_json::{Value, json};

    #[test]
    fn pods_of_one_owner_spread_over_hosts_then_zones() {
        let own = || json!({"owner": "set"});
        let zone = |zone: &str, pods: Vec<Value>| (json!({"labels": {ZONE: zone}}), pods);
        let nodes = vec![zone("a", vec![own()]), zone("a", vec![]), zone("b", vec![])];
        let figures = figures(&SCORE, own(), nodes).unwrap();
        assert!(figures[2] > figures[1] && figures[1] > figures[0], "{figures:?}");
    }

    #[test]
    fn pods_without_owner_have_no_preference() {
        assert_eq!(figures(&SCORE, json!({}), vec![(json!({}), vec![json!({})])]), None);
    }

    #[test]
    fn soft_constraints_count_their_domain() {
        let incoming = json!({"labels": {"app": "web"}, "spec": {"topologySpreadConstraints": [{
            "topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": "web"}}}]}});
        let rack = |rack: &str, pods: usize| {
            (json!({"labels": {"rack": rack}}), vec![json!({"labels": {"app": "web"}}); pods])
        };
        let nodes = vec![rack("a", 2), rack("a", 0), rack("b", 1), (json!({}), vec![])];
        let figures = figures(&SCORE, incoming, nodes).unwrap();
        assert!(figures[2] > figures[0] && figures[0] == figures[1] && figures[3] == 0, "{figures:?}");
    }
}
