//! The taints that follow from a Node's conditions, and the conditions of a
//! Node that is no longer heard of. Pure.

use k8s_openapi::{
    api::core::v1::{Node, NodeCondition, Taint},
    apimachinery::pkg::apis::meta::v1::Time,
};

pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, its bad state, its taint.
const PRESSURES: &[(&str, &str)] = &[
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

/// The conditions that a silent kubelet can't vouch for.
const VOUCHED: &[&str] = &["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

pub fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

pub fn ready(node: &Node) -> &str {
    condition(node, "Ready").map_or("", |ready| ready.status.as_str())
}

/// The Node's taints as they should be: those of others are kept as they are.
pub fn taints(node: &Node, now: &Time) -> Vec<Taint> {
    let spec = node.spec.clone().unwrap_or_default();
    let wanted = wanted(node, spec.unschedulable == Some(true));
    let is = |taint: &Taint, (key, effect): &(&str, &str)| taint.key == *key && taint.effect == *effect;
    let mut taints = spec.taints.unwrap_or_default();
    taints.retain(|taint| !managed(taint) || wanted.iter().any(|want| is(taint, want)));
    for want in wanted {
        if !taints.iter().any(|taint| is(taint, &want)) {
            taints.push(Taint {
                key: want.0.to_owned(),
                effect: want.1.to_owned(),
                time_added: Some(now.clone()),
                value: None,
            });
        }
    }
    taints
}

fn wanted(node: &Node, unschedulable: bool) -> Vec<(&'static str, &'static str)> {
    let mut wanted = match ready(node) {
        "True" => vec![],
        "Unknown" => vec![(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")],
        "False" => vec![(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")],
        // It has just registered.
        _ => vec![(NOT_READY, "NoSchedule")],
    };
    for (kind, key) in PRESSURES {
        if condition(node, kind).is_some_and(|condition| condition.status == "True") {
            wanted.push((key, "NoSchedule"));
        }
    }
    if unschedulable {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    wanted
}

fn managed(taint: &Taint) -> bool {
    let both = [NOT_READY, UNREACHABLE].contains(&taint.key.as_str());
    let scheduling = taint.key == UNSCHEDULABLE || PRESSURES.iter().any(|(_, key)| taint.key == *key);
    match taint.effect.as_str() {
        "NoSchedule" => both || scheduling,
        "NoExecute" => both,
        _ => false,
    }
}

/// The conditions of a Node whose kubelet is silent; `None` when they say so already.
pub fn silenced(node: &Node, now: &Time) -> Option<Vec<NodeCondition>> {
    let old = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let mut new = old.clone();
    for kind in VOUCHED {
        match new.iter_mut().find(|condition| condition.type_ == *kind) {
            Some(condition) if condition.status == "Unknown" => {}
            Some(condition) => {
                condition.status = "Unknown".to_owned();
                condition.reason = Some("NodeStatusUnknown".to_owned());
                condition.message = Some("Kubelet stopped posting node status.".to_owned());
                condition.last_transition_time = Some(now.clone());
            }
            None => new.push(NodeCondition {
                type_: (*kind).to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(now.clone()),
            }),
        }
    }
    (new != old).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    fn now() -> Time {
        Time(Timestamp::from_second(1000).unwrap())
    }

    fn node(spec: Value, conditions: Value) -> Node {
        serde_json::from_value(
            json!({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}),
        )
        .unwrap()
    }

    fn shown(taints: &[Taint]) -> Vec<String> {
        taints
            .iter()
            .map(|taint| format!("{}:{}", taint.key.rsplit('/').next().unwrap(), taint.effect))
            .collect()
    }

    #[test]
    fn taints_follow_conditions_and_leave_foreign_ones_alone() {
        let ready = |status: &str| json!([{"type": "Ready", "status": status}]);
        for (why, spec, conditions, expected) in [
            ("ready", json!({}), ready("True"), vec![]),
            ("just registered", json!({}), json!([]), vec!["not-ready:NoSchedule"]),
            ("not ready", json!({}), ready("False"), vec!["not-ready:NoSchedule", "not-ready:NoExecute"]),
            ("silent", json!({}), ready("Unknown"), vec!["unreachable:NoSchedule", "unreachable:NoExecute"]),
            ("cordoned", json!({"unschedulable": true}), ready("True"), vec!["unschedulable:NoSchedule"]),
            (
                "back again, with a taint of the user's",
                json!({"taints": [{"key": UNREACHABLE, "effect": "NoExecute"}, {"key": "gpu", "effect": "NoSchedule"}]}),
                ready("True"),
                vec!["gpu:NoSchedule"],
            ),
            (
                "pressure",
                json!({}),
                json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]),
                vec!["disk-pressure:NoSchedule"],
            ),
        ] {
            assert_eq!(shown(&taints(&node(spec, conditions), &now())), expected, "{why}");
        }
    }

    #[test]
    fn a_taint_that_stays_keeps_its_time() {
        let spec = json!({"taints": [{"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:05Z"}]});
        let taints = taints(&node(spec, json!([{"type": "Ready", "status": "Unknown"}])), &now());
        assert_eq!(taints[0].time_added.as_ref().unwrap().0.as_second(), 5);
        assert_eq!(taints[1].time_added.as_ref().unwrap().0.as_second(), 1000);
    }

    #[test]
    fn a_silent_kubelet_makes_its_conditions_unknown_once() {
        let mut node = node(
            json!({}),
            json!([{"type": "Ready", "status": "True"}, {"type": "Other", "status": "True"}]),
        );
        let conditions = silenced(&node, &now()).unwrap();
        let states: Vec<_> = conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect();
        assert_eq!(states[..2], [("Ready", "Unknown"), ("Other", "True")]);
        assert_eq!(states.len(), 5);
        node.status.as_mut().unwrap().conditions = Some(conditions);
        assert_eq!(silenced(&node, &now()), None);
    }
}
