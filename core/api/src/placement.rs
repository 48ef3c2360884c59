//! Where a Pod may run, as far as Pod and Node alone decide it: taints, node
//! selector, required node affinity.
//!
//! The scheduler filters by it, the DaemonSet controller picks nodes by it, the
//! kubelet admits by it; so it stands here, once. Pure. Rules:
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/>.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

type Labels = BTreeMap<String, String>;

/// Whether this toleration covers the taint (whatever its seconds).
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    let key = toleration.key.as_deref().unwrap_or_default();
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "" | "Equal" => {
            !key.is_empty()
                && toleration.value.as_deref().unwrap_or_default()
                    == taint.value.as_deref().unwrap_or_default()
        }
        "Lt" => compare(taint, toleration).is_some_and(std::cmp::Ordering::is_lt),
        "Gt" => compare(taint, toleration).is_some_and(std::cmp::Ordering::is_gt),
        _ => false,
    }
}

fn compare(taint: &Taint, toleration: &Toleration) -> Option<std::cmp::Ordering> {
    let number = |text: &Option<String>| text.as_deref().unwrap_or_default().parse::<i64>().ok();
    Some(number(&taint.value)?.cmp(&number(&toleration.value)?))
}

/// The first taint with one of these effects that no toleration covers.
pub fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    effects: &[&str],
) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| effects.contains(&taint.effect.as_str()))
        .find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// Whether the Pod's `nodeSelector` and required node affinity allow this node.
pub fn selects_node(spec: &PodSpec, node_name: &str, labels: &Labels) -> bool {
    let by_selector = spec
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key).is_some_and(|actual| actual == value));
    by_selector
        && required_affinity(spec).is_none_or(|selector| selector_matches(selector, node_name, labels))
}

/// `requiredDuringSchedulingIgnoredDuringExecution` of the node affinity.
pub fn required_affinity(spec: &PodSpec) -> Option<&NodeSelector> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    affinity.required_during_scheduling_ignored_during_execution.as_ref()
}

/// Any one term must match; no term matches nothing.
pub fn selector_matches(selector: &NodeSelector, node_name: &str, labels: &Labels) -> bool {
    selector.node_selector_terms.iter().any(|term| term_matches(term, node_name, labels))
}

/// All requirements of the term must hold; an empty term matches nothing.
pub fn term_matches(term: &NodeSelectorTerm, node_name: &str, labels: &Labels) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.iter().all(|wanted| holds(wanted, labels.get(&wanted.key).map(String::as_str)))
        && fields.iter().all(|wanted| wanted.key == "metadata.name" && holds(wanted, Some(node_name)))
}

fn holds(wanted: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let listed = || actual.is_some_and(|actual| values.iter().any(|value| value == actual));
    let number = |text: &str| text.parse::<i64>().ok();
    let bound = || Some((number(actual?)?, number(values.first()?)?));
    match wanted.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => bound().is_some_and(|(actual, bound)| actual > bound),
        "Lt" => bound().is_some_and(|(actual, bound)| actual < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.into(), value: Some(value.into()), effect: effect.into(), time_added: None }
    }

    #[test]
    fn tolerations_cover_taints_by_key_value_effect_and_operator() {
        let gpu = taint("gpu", "5", "NoSchedule");
        for (toleration, expected) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "gpu", "operator": "Exists"}), true),
            (json!({"key": "gpu", "value": "5"}), true),
            (json!({"key": "gpu", "value": "6"}), false),
            (json!({"key": "gpu", "value": "5", "effect": "NoExecute"}), false),
            (json!({"key": "gpu", "value": "5", "effect": "NoSchedule"}), true),
            (json!({"key": "disk", "operator": "Exists"}), false),
            (json!({"key": "gpu", "operator": "Gt", "value": "4"}), true),
            (json!({"key": "gpu", "operator": "Lt", "value": "4"}), false),
        ] {
            let parsed: Toleration = serde_json::from_value(toleration.clone()).unwrap();
            assert_eq!(tolerates(&parsed, &gpu), expected, "{toleration}");
        }
    }

    #[test]
    fn only_the_asked_effects_count() {
        let taints = [taint("a", "", "PreferNoSchedule"), taint("b", "", "NoExecute")];
        assert_eq!(untolerated(&taints, &[], &["NoSchedule"]), None);
        assert_eq!(untolerated(&taints, &[], &["NoExecute"]).unwrap().key, "b");
    }

    #[test]
    fn node_selectors_match_labels_and_the_name() {
        let labels = Labels::from([("zone".into(), "a".into()), ("cores".into(), "8".into())]);
        let affinity = |terms: Value| {
            json!({"containers": [], "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
        };
        let expression = |key: &str, operator: &str, values: &[&str]| {
            affinity(json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]))
        };
        for (spec, expected) in [
            (json!({"containers": []}), true),
            (json!({"containers": [], "nodeSelector": {"zone": "a"}}), true),
            (json!({"containers": [], "nodeSelector": {"zone": "b"}}), false),
            (expression("zone", "In", &["b", "a"]), true),
            (expression("zone", "NotIn", &["a"]), false),
            (expression("rack", "NotIn", &["a"]), true),
            (expression("cores", "Gt", &["4"]), true),
            (expression("cores", "Lt", &["4"]), false),
            (expression("rack", "Exists", &[]), false),
            (expression("rack", "DoesNotExist", &[]), true),
            (affinity(json!([{}])), false),
            (
                affinity(json!([{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}])),
                true,
            ),
            (
                affinity(json!([{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": ["node-2"]}]}])),
                false,
            ),
        ] {
            let parsed: PodSpec = serde_json::from_value(spec.clone()).unwrap();
            assert_eq!(selects_node(&parsed, "node-1", &labels), expected, "{spec}");
        }
    }
}
