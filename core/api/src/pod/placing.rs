//! What is wrong with where a Pod's spec wants its Pod: tolerations, affinity, spreading.

use serde_json::{Value, json};

use crate::{
    access::{each, entries, has, int, list, present, text, with},
    field::FieldError,
    validate::{Errors, labels, names, node_selector, obey, optional_one_of},
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const ACTIONS: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Everything about placing in the spec at `path`.
pub fn validate(spec: &Value, path: &str, errors: &mut Errors) {
    labels::labels(spec.get("nodeSelector"), &format!("{path}.nodeSelector"), errors);
    affinity(spec, &format!("{path}.affinity"), errors);
    tolerations(list(spec, "/tolerations"), &format!("{path}.tolerations"), errors);
    spreading(spec, &format!("{path}.topologySpreadConstraints"), errors);
}

/// Tolerations, of a Pod or of a class of Pods.
pub fn tolerations(tolerations: &[Value], path: &str, errors: &mut Errors) {
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (key, operator) = (text(toleration, "/key"), text(toleration, "/operator"));
        let (value, effect) = (text(toleration, "/value"), text(toleration, "/effect"));
        if !key.is_empty() {
            labels::key_of(key, &format!("{path}.key"), errors);
        } else if operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(format!("{path}.operator"), &operator.into(), detail));
        }
        if has(toleration, "/tolerationSeconds") && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(format!("{path}.effect"), &effect.into(), detail));
        }
        operator_of(operator, value, &format!("{path}.operator"), errors);
        if !effect.is_empty() && !EFFECTS.contains(&effect) {
            errors.push(FieldError::not_supported(format!("{path}.effect"), effect, &EFFECTS));
        }
    }
}

fn operator_of(operator: &str, value: &str, field: &str, errors: &mut Errors) {
    match operator {
        "" | "Equal" => {
            let wrong = names::label_value(value);
            if !wrong.is_empty() {
                errors.push(FieldError::invalid(field, &value.into(), wrong.join(";")));
            }
        }
        "Exists" if !value.is_empty() => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.push(FieldError::invalid(field, &value.into(), detail));
        }
        "Exists" => {}
        "Lt" | "Gt" if value.parse::<i64>().map(|n| n.to_string()).ok().as_deref() != Some(value) => {
            let detail = "must be a valid integer";
            errors.push(FieldError::invalid(field, &value.into(), detail));
        }
        "Lt" | "Gt" => {}
        other => errors.push(FieldError::not_supported(field, other, &["Equal", "Exists"])),
    }
}

fn affinity(spec: &Value, path: &str, errors: &mut Errors) {
    let Some(affinity) = present(spec, "/affinity") else { return };
    if let Some(nodes) = present(affinity, "/nodeAffinity") {
        let path = format!("{path}.nodeAffinity");
        if let Some(selector) = present(nodes, &format!("/{REQUIRED}")) {
            node_selector::selector(selector, &format!("{path}.{REQUIRED}"), errors);
        }
        for (index, preferred) in list(nodes, &format!("/{PREFERRED}")).iter().enumerate() {
            let path = format!("{path}.{PREFERRED}[{index}]");
            weight(preferred, &path, errors);
            let term = preferred.get("preference").unwrap_or(&Value::Null);
            node_selector::term(term, &format!("{path}.preference"), false, errors);
        }
    }
    for which in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = present(affinity, &format!("/{which}")) else { continue };
        let path = format!("{path}.{which}");
        for (index, given) in list(pods, &format!("/{REQUIRED}")).iter().enumerate() {
            term(given, &format!("{path}.{REQUIRED}[{index}]"), errors);
        }
        for (index, preferred) in list(pods, &format!("/{PREFERRED}")).iter().enumerate() {
            let path = format!("{path}.{PREFERRED}[{index}]");
            weight(preferred, &path, errors);
            let given = preferred.get("podAffinityTerm").unwrap_or(&Value::Null);
            term(given, &format!("{path}.podAffinityTerm"), errors);
        }
    }
}

fn weight(preferred: &Value, path: &str, errors: &mut Errors) {
    let weight = int(preferred, "/weight").unwrap_or_default();
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(
            format!("{path}.weight"),
            &weight.into(),
            "must be in the range 1-100",
        ));
    }
}

/// Pods that this one wants near, or not near.
fn term(term: &Value, path: &str, errors: &mut Errors) {
    for key in ["labelSelector", "namespaceSelector"] {
        if let Some(selector) = present(term, &format!("/{key}")) {
            labels::selector(selector, &format!("{path}.{key}"), errors);
        }
    }
    for namespace in list(term, "/namespaces").iter().filter_map(Value::as_str) {
        obey(names::dns_label, namespace, &format!("{path}.namespace"), errors);
    }
    label_keys(term, path, errors);
    let other = list(term, "/mismatchLabelKeys");
    for (index, key) in
        list(term, "/matchLabelKeys").iter().enumerate().filter(|(_, key)| other.contains(key))
    {
        let field = format!("{path}.matchLabelKeys[{index}]");
        errors.push(FieldError::invalid(field, key, "exists in both matchLabelKeys and mismatchLabelKeys"));
    }
    let (key, field) = (text(term, "/topologyKey"), format!("{path}.topologyKey"));
    if key.is_empty() {
        errors.push(FieldError::required(&*field, "can not be empty"));
    }
    labels::key_of(key, &field, errors);
}

/// Labels whose values are taken from the Pod. A new Pod's are in the selector already, at its end: so only
/// what stands in it twice was named by its author.
fn label_keys(object: &Value, path: &str, errors: &mut Errors) {
    let selector = present(object, "/labelSelector");
    for which in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = list(object, &format!("/{which}"));
        if !keys.is_empty() && selector.is_none() {
            let detail = "must not be specified when labelSelector is not set";
            errors.push(FieldError::forbidden(format!("{path}.{which}"), detail));
            continue;
        }
        for (index, key) in keys.iter().enumerate() {
            labels::key_of(key.as_str().unwrap_or_default(), &format!("{path}.{which}[{index}]"), errors);
        }
    }
    let Some(selector) = selector else { return };
    let mut selected: Vec<&str> = entries(selector, "/matchLabels").map(|(key, _)| key.as_str()).collect();
    for wanted in list(selector, "/matchExpressions") {
        let key = text(wanted, "/key");
        let at = list(object, "/matchLabelKeys").iter().position(|other| other.as_str() == Some(key));
        if let Some(index) = at.filter(|_| selected.contains(&key)) {
            let detail = "exists in both matchLabelKeys and labelSelector";
            errors.push(FieldError::invalid(format!("{path}[{index}]"), &key.into(), detail));
        }
        selected.push(key);
    }
}

/// Before a Pod is stored: the values of its own labels go into the selectors that name their keys.
pub fn resolve_label_keys(pod: &mut Value) {
    let labels = pod.pointer("/metadata/labels").cloned().unwrap_or_default();
    let Some(spec) = pod.get_mut("spec") else { return };
    each(spec, "/topologySpreadConstraints", |constraint| resolve(constraint, &labels));
    for which in ["podAffinity", "podAntiAffinity"] {
        each(spec, &format!("/affinity/{which}/{REQUIRED}"), |term| resolve(term, &labels));
        each(spec, &format!("/affinity/{which}/{PREFERRED}"), |preferred| {
            with(preferred, "/podAffinityTerm", |term| resolve(term, &labels));
        });
    }
}

fn resolve(term: &mut Value, labels: &Value) {
    let mut more = Vec::new();
    for (which, operator) in [("/matchLabelKeys", "In"), ("/mismatchLabelKeys", "NotIn")] {
        for key in list(term, which).iter().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                more.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    let Some(selector) = term.get_mut("labelSelector").filter(|s| s.is_object() && !more.is_empty()) else {
        return;
    };
    if let Some(expressions) =
        selector.as_object_mut().map(|s| s.entry("matchExpressions").or_insert_with(|| json!([])))
        && let Some(expressions) = expressions.as_array_mut()
    {
        expressions.extend(more);
    }
}

fn spreading(spec: &Value, path: &str, errors: &mut Errors) {
    let all = list(spec, "/topologySpreadConstraints");
    for (index, constraint) in all.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let skew = int(constraint, "/maxSkew").unwrap_or_default();
        if skew <= 0 {
            errors.push(FieldError::invalid(
                format!("{path}.maxSkew"),
                &skew.into(),
                "must be greater than zero",
            ));
        }
        let key = text(constraint, "/topologyKey");
        if key.is_empty() {
            errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
        }
        let action = text(constraint, "/whenUnsatisfiable");
        if !ACTIONS.contains(&action) {
            errors.push(FieldError::not_supported(format!("{path}.whenUnsatisfiable"), action, &ACTIONS));
        }
        let pair = |c: &Value| (text(c, "/topologyKey").to_owned(), text(c, "/whenUnsatisfiable").to_owned());
        if all[index + 1..].iter().any(|other| pair(other) == pair(constraint)) {
            let twice = format!("{{{key}, {action}}}");
            let field = format!("{path}.{{topologyKey, whenUnsatisfiable}}");
            errors.push(FieldError::duplicate(field, &twice.into()));
        }
        domains(constraint, action, &format!("{path}.minDomains"), errors);
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            optional_one_of(constraint, key, &path, &["Honor", "Ignore"], errors);
        }
        label_keys(constraint, &path, errors);
        if let Some(selector) = present(constraint, "/labelSelector") {
            labels::selector(selector, &format!("{path}.labelSelector"), errors);
        }
    }
}

fn domains(constraint: &Value, action: &str, field: &str, errors: &mut Errors) {
    let Some(least) = int(constraint, "/minDomains") else { return };
    if least <= 0 {
        errors.push(FieldError::invalid(field, &least.into(), "must be greater than zero"));
    }
    if action != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.push(FieldError::invalid(field, &least.into(), detail));
    }
}
