//! On which Nodes a DaemonSet's Pods run, and the Pod for one Node. Pure.

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration},
};
use tiphys_api::placement::{selects_node, untolerated};
use tiphys_client::LeanPod;

use crate::{history::REVISION, object, pod_writer::from_template};

const NAME_FIELD: &str = "metadata.name";

/// Conditions that daemons live through: their Node may depend on them.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Whether a Node should have a Pod, and whether one that is there may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    pub should_run: bool,
    pub may_stay: bool,
}

pub fn fit(set: &DaemonSet, node: &Node) -> Fit {
    let nothing = Fit { should_run: false, may_stay: false };
    let Some(spec) = &set.spec.template.spec else { return nothing };
    let name = object::name(node);
    let named_elsewhere =
        spec.node_name.as_deref().is_some_and(|wanted| !wanted.is_empty() && wanted != name);
    if named_elsewhere || !selects_node(spec, name, object::labels(node)) {
        return nothing;
    }
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let tolerations = tolerations(spec);
    Fit {
        should_run: untolerated(taints, &tolerations, &["NoSchedule", "NoExecute"]).is_none(),
        may_stay: untolerated(taints, &tolerations, &["NoExecute"]).is_none(),
    }
}

fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = spec.tolerations.clone().unwrap_or_default();
    let network = spec.host_network == Some(true);
    let network = network.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    for (key, effect) in TOLERATED.iter().copied().chain(network) {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    tolerations
}

/// The Pod for this Node: the scheduler binds it, and may bind it nowhere else.
pub fn pod_for(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let mut pod = from_template(set, &set.spec.template);
    pod.metadata.labels.get_or_insert_default().insert(REVISION.to_owned(), hash.to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.tolerations = Some(tolerations(spec));
    let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    let only = NodeSelectorRequirement {
        key: NAME_FIELD.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    // The Node was matched against the former terms; its name is all that is left to ask for.
    let term = NodeSelectorTerm { match_fields: Some(vec![only]), ..NodeSelectorTerm::default() };
    let selector = NodeSelector { node_selector_terms: vec![term] };
    affinity.required_during_scheduling_ignored_during_execution = Some(selector);
    pod
}

/// The Node of a daemon Pod: where it is bound, or the one it may be bound to.
pub fn node_of(pod: &LeanPod) -> Option<&str> {
    let bound = &*pod.node;
    if !bound.is_empty() {
        return Some(bound);
    }
    let affinity = pod.spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let selector = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = selector.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let mut named = fields.filter(|field| field.key == NAME_FIELD && field.operator == "In");
    named.find_map(|field| field.values.as_ref()?.first().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(spec: Value) -> DaemonSet {
        serde_json::from_value(json!({
            "metadata": {"name": "d", "namespace": "default", "uid": "d"},
            "spec": {"selector": {}, "template": {"metadata": {"labels": {"app": "d"}}, "spec": spec}},
        }))
        .unwrap()
    }

    fn node(taints: Value) -> Node {
        serde_json::from_value(
            json!({"metadata": {"name": "n1", "labels": {"disk": "ssd"}}, "spec": {"taints": taints}}),
        )
        .unwrap()
    }

    #[test]
    fn daemons_run_where_selector_and_taints_allow() {
        let plain = || json!({"containers": []});
        let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
        for (why, spec, taints, should_run, may_stay) in [
            ("plain", plain(), json!([]), true, true),
            ("selector", json!({"containers": [], "nodeSelector": {"disk": "ssd"}}), json!([]), true, true),
            (
                "other selector",
                json!({"containers": [], "nodeSelector": {"disk": "hdd"}}),
                json!([]),
                false,
                false,
            ),
            ("named elsewhere", json!({"containers": [], "nodeName": "n2"}), json!([]), false, false),
            ("tainted", plain(), taint("gpu", "NoSchedule"), false, true),
            ("driven out", plain(), taint("gpu", "NoExecute"), false, false),
            ("unreachable", plain(), taint("node.kubernetes.io/unreachable", "NoExecute"), true, true),
            ("just registered", plain(), taint("node.kubernetes.io/not-ready", "NoSchedule"), false, true),
            ("cordoned", plain(), taint("node.kubernetes.io/unschedulable", "NoSchedule"), true, true),
            ("only preferred", plain(), taint("gpu", "PreferNoSchedule"), true, true),
        ] {
            assert_eq!(fit(&set(spec), &node(taints)), Fit { should_run, may_stay }, "{why}");
        }
    }

    #[test]
    fn a_pod_is_for_one_node_and_can_be_told_which() {
        let pod = pod_for(&set(json!({"containers": []})), "n7", "abc");
        let held: LeanPod = serde_json::from_value(serde_json::to_value(&pod).unwrap()).unwrap();
        assert_eq!(node_of(&held), Some("n7"));
        assert_eq!(object::labels(&pod)[REVISION], "abc");
        assert_eq!(pod.spec.unwrap().tolerations.unwrap().len(), TOLERATED.len());
    }
}
