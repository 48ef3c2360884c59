//! Scopes of a quota: which Pods and claims it is about.

use serde_json::{Value, json};

use crate::{
    access::{list, present, text},
    pod::qos,
};

/// Scopes and the scope selector of a quota, in the selector's form:
/// `{scopeName, operator, values}`.
pub fn selectors(quota: &Value) -> Vec<Value> {
    let plain =
        list(quota, "/spec/scopes").iter().map(|scope| json!({ "scopeName": scope, "operator": "Exists" }));
    plain.chain(list(quota, "/spec/scopeSelector/matchExpressions").iter().cloned()).collect()
}

pub fn of_pod(selector: &Value, pod: &Value) -> bool {
    let terminating =
        || pod.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_i64).is_some_and(|n| n >= 0);
    let best_effort = || qos::class(&pod["spec"]) == "BestEffort";
    match text(selector, "/scopeName") {
        "Terminating" => terminating(),
        "NotTerminating" => !terminating(),
        "BestEffort" => best_effort(),
        "NotBestEffort" => !best_effort(),
        "PriorityClass" => {
            let class = text(pod, "/spec/priorityClassName");
            is_selected(selector, (!class.is_empty()).then_some(class).as_slice())
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

pub fn of_claim(selector: &Value, claim: &Value) -> bool {
    if text(selector, "/scopeName") != "VolumeAttributesClass" {
        return false;
    }
    let places = [
        "/spec/volumeAttributesClassName",
        "/status/currentVolumeAttributesClassName",
        "/status/modifyVolumeStatus/targetVolumeAttributesClassName",
    ];
    let names: Vec<&str> =
        places.iter().map(|place| text(claim, place)).filter(|name| !name.is_empty()).collect();
    is_selected(selector, &names)
}

/// Whether one of the names, or their absence, is what the selector wants.
fn is_selected(selector: &Value, names: &[&str]) -> bool {
    let listed = |name: &&str| list(selector, "/values").iter().any(|value| value == *name);
    match text(selector, "/operator") {
        "Exists" => !names.is_empty(),
        "DoesNotExist" => names.is_empty(),
        "In" => names.iter().any(listed),
        "NotIn" => names.is_empty() || names.iter().any(|name| !listed(name)),
        _ => false,
    }
}

fn crosses_namespaces(pod: &Value) -> bool {
    let reaches =
        |term: &Value| !list(term, "/namespaces").is_empty() || present(term, "/namespaceSelector").is_some();
    ["podAffinity", "podAntiAffinity"].iter().any(|which| {
        let terms = |when: &str| list(pod, &format!("/spec/affinity/{which}/{when}")).to_vec();
        terms("requiredDuringSchedulingIgnoredDuringExecution").iter().any(reaches)
            || terms("preferredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .any(|term| reaches(&term["podAffinityTerm"]))
    })
}
