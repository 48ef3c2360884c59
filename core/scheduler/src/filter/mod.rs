//! Filters: which Nodes a Pod may go to. One file each, one signature, one list.
//!
//! A filter prepares once a Pod (counting what it must over all Nodes) and then
//! judges Node by Node; one that has nothing to check for this Pod prepares
//! nothing and costs nothing.

mod affinity;
mod node_affinity;
mod node_name;
mod ports;
mod resources;
pub mod spread;
mod taints;
mod unschedulable;

use std::borrow::Cow;

use crate::{change::Changes, node_info::NodeInfo, pod_info::PodInfo, snapshot::Snapshot};

/// Why a Node doesn't do, in upstream's words: they are counted in the message
/// of the condition. More than one for resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reasons: Vec<Cow<'static, str>>,
    /// Fewer Pods on the Node could make it do.
    pub by_pods: bool,
}

impl Refusal {
    fn of_node(reason: &'static str) -> Self {
        Self { reasons: vec![reason.into()], by_pods: false }
    }

    fn of_pods(reason: &'static str) -> Self {
        Self { reasons: vec![reason.into()], by_pods: true }
    }
}

/// Judges one Node.
pub type Check<'a> = Box<dyn Fn(&NodeInfo) -> Result<(), Refusal> + Send + 'a>;

pub struct Filter {
    pub name: &'static str,
    /// What may undo its refusal.
    pub changes: Changes,
    /// `None`: every Node does.
    pub prepare: for<'a> fn(&'a PodInfo, &'a Snapshot) -> Option<Check<'a>>,
}

/// Every filter, the cheap ones first.
pub fn all() -> &'static [Filter] {
    &[
        node_name::FILTER,
        unschedulable::FILTER,
        taints::FILTER,
        node_affinity::FILTER,
        resources::FILTER,
        ports::FILTER,
        spread::FILTER,
        affinity::FILTER,
    ]
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::sample::{node, pod, snapshot};
    use serde_json::{Value, json};

    /// The reasons of `filter` for a Pod on the first of these Nodes with Pods.
    pub fn reasons(filter: &Filter, incoming: Value, nodes: Vec<(Value, Vec<Value>)>) -> Vec<String> {
        let nodes = nodes.into_iter().enumerate().map(|(number, (more, pods))| {
            let here =
                pods.into_iter().enumerate().map(|(n, more)| pod(&format!("p{number}-{n}"), more)).collect();
            (node(&format!("n{number}"), more), here)
        });
        let snapshot = snapshot(nodes.collect());
        let incoming = pod("incoming", incoming);
        let Some(check) = (filter.prepare)(&incoming, &snapshot) else { return vec![] };
        let refusal = check(snapshot.node("n0").unwrap()).err();
        refusal.map(|refusal| refusal.reasons.into_iter().map(Cow::into_owned).collect()).unwrap_or_default()
    }

    #[test]
    fn filters_have_names_of_their_own() {
        let mut names: Vec<_> = all().iter().map(|filter| filter.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn one_node_filters() {
        let on = |more: Value| vec![(more, vec![])];
        let taint = |effect: &str| json!({"taints": [{"key": "gpu", "value": "x", "effect": effect}]});
        let spec = |spec: Value| json!({"spec": spec});
        for (filter, incoming, node, expected) in [
            (&node_name::FILTER, json!({}), json!({}), ""),
            (
                &node_name::FILTER,
                spec(json!({"nodeName": "n1"})),
                json!({}),
                "node(s) didn't match the requested node name",
            ),
            (&unschedulable::FILTER, json!({}), json!({"unschedulable": true}), "node(s) were unschedulable"),
            (
                &unschedulable::FILTER,
                spec(
                    json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]}),
                ),
                json!({"unschedulable": true}),
                "",
            ),
            (&taints::FILTER, json!({}), taint("NoSchedule"), "node(s) had untolerated taint {gpu: x}"),
            (&taints::FILTER, json!({}), taint("NoExecute"), "node(s) had untolerated taint {gpu: x}"),
            (&taints::FILTER, json!({}), taint("PreferNoSchedule"), ""),
            (
                &taints::FILTER,
                spec(json!({"tolerations": [{"operator": "Exists"}]})),
                taint("NoSchedule"),
                "",
            ),
            (&node_affinity::FILTER, json!({}), json!({}), ""),
            (
                &node_affinity::FILTER,
                spec(json!({"nodeSelector": {"disk": "ssd"}})),
                json!({}),
                "node(s) didn't match Pod's node affinity/selector",
            ),
            (
                &node_affinity::FILTER,
                spec(json!({"nodeSelector": {"disk": "ssd"}})),
                json!({"labels": {"disk": "ssd"}}),
                "",
            ),
        ] {
            let expected: Vec<&str> = Some(expected).into_iter().filter(|text| !text.is_empty()).collect();
            assert_eq!(
                reasons(filter, incoming.clone(), on(node.clone())),
                expected,
                "{} {incoming} {node}",
                filter.name
            );
        }
    }
}
