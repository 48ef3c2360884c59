//! What is wrong with where a Pod's spec wants its Pod: tolerations, affinity, spreading.

use serde_json::Value;

use crate::{
    access::{entries, has, int, list, present, text},
    field::FieldError,
    validate::{Errors, labels, names, node_selector, obey, one_of, optional_one_of},
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
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
    label_keys(term, path, &["matchLabelKeys", "mismatchLabelKeys"], errors);
    let matched = list(term, "/matchLabelKeys");
    for (index, key) in
        list(term, "/mismatchLabelKeys").iter().enumerate().filter(|(_, k)| matched.contains(k))
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

/// Labels whose values are taken from the Pod: none that the selector names itself.
fn label_keys(object: &Value, path: &str, lists: &[&str], errors: &mut Errors) {
    let selector = present(object, "/labelSelector");
    let mut selected: Vec<&str> = selector
        .map(|s| entries(s, "/matchLabels").map(|(key, _)| key.as_str()).collect())
        .unwrap_or_default();
    selected.extend(
        selector.map(|s| list(s, "/matchExpressions")).unwrap_or_default().iter().map(|e| text(e, "/key")),
    );
    for which in lists {
        let keys = list(object, &format!("/{which}"));
        if !keys.is_empty() && selector.is_none() {
            let detail = "must not be specified when labelSelector is not set";
            errors.push(FieldError::forbidden(format!("{path}.{which}"), detail));
        }
        for (index, key) in keys.iter().enumerate() {
            let (key, field) = (key.as_str().unwrap_or_default(), format!("{path}.{which}[{index}]"));
            labels::key_of(key, &field, errors);
            if selected.contains(&key) {
                let detail = "exists in both matchLabelKeys and labelSelector";
                let detail = detail.replace("matchLabelKeys", which);
                errors.push(FieldError::invalid(field, &key.into(), detail));
            }
        }
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
        let (key, field) = (text(constraint, "/topologyKey"), format!("{path}.topologyKey"));
        if key.is_empty() {
            errors.push(FieldError::required(field, "can not be empty"));
        } else {
            labels::key_of(key, &field, errors);
        }
        let action = text(constraint, "/whenUnsatisfiable");
        one_of(constraint, "whenUnsatisfiable", &path, &["DoNotSchedule", "ScheduleAnyway"], errors);
        let pair = |c: &Value| (text(c, "/topologyKey").to_owned(), text(c, "/whenUnsatisfiable").to_owned());
        if all[..index].iter().any(|other| pair(other) == pair(constraint)) {
            let twice = format!("{{{key}, {action}}}");
            let field = format!("{path}.{{topologyKey, whenUnsatisfiable}}");
            errors.push(FieldError::duplicate(field, &twice.into()));
        }
        domains(constraint, action, &format!("{path}.minDomains"), errors);
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            optional_one_of(constraint, key, &path, &["Honor", "Ignore"], errors);
        }
        label_keys(constraint, &path, &["matchLabelKeys"], errors);
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
