//! ResourceQuota: how much of what a namespace may have.

use serde_json::Value;

use crate::{
    access::{empty_status, entries, has, keep_status, list, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    resource_names::{is_standard_for_quotas, of_quotas, whole},
    table::{AGE, NAME},
    validate::{Errors, quantity},
};

pub static KIND: Kind = Kind {
    short_names: &["quota"],
    subresources: &[Subresource::Status],
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::text("Request", |q, _| used(q, false)),
        Column::text("Limit", |q, _| used(q, true)),
        AGE,
    ],
    ..Kind::namespaced(
        "",
        "v1",
        "ResourceQuota",
        "resourcequotas",
        "resourcequota",
        "io.k8s.api.core.v1.ResourceQuota",
    )
};

/// `cpu: 1/2, memory: 1Gi/2Gi` of limits, or of everything else.
fn used(quota: &Value, limits: bool) -> Value {
    let hard = entries(quota, "/status/hard").filter(|(name, _)| name.starts_with("limits.") == limits);
    let shown: Vec<String> = hard
        .map(|(name, hard)| {
            let used = quota["status"]["used"].get(name).and_then(Value::as_str).unwrap_or("0");
            format!("{name}: {used}/{}", hard.as_str().unwrap_or_default())
        })
        .collect();
    shown.join(", ").into()
}

/// Scopes, and what each can bound.
const PODS: &[&str] =
    &["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const SCOPES: [(&str, &[&str]); 7] = [
    ("Terminating", PODS),
    ("NotTerminating", PODS),
    ("BestEffort", &["pods"]),
    ("NotBestEffort", PODS),
    ("PriorityClass", PODS),
    ("CrossNamespacePodAffinity", PODS),
    ("VolumeAttributesClass", &["persistentvolumeclaims", "requests.storage"]),
];
const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

fn validate(quota: &Value) -> Errors {
    let mut errors = Vec::new();
    for (name, amount) in entries(quota, "/spec/hard") {
        let path = format!("spec.hard[{name}]");
        of_quotas(name, &path, &mut errors);
        let amount = quantity(amount, &path, &mut errors);
        whole(name, amount, &path, &mut errors);
    }
    scopes(quota, &mut errors);
    if has(quota, "/spec/scopeSelector") {
        selector(quota, &mut errors);
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let set = |quota: &Value| {
        let mut scopes: Vec<String> = list(quota, "/spec/scopes").iter().map(ToString::to_string).collect();
        scopes.sort();
        scopes.dedup();
        scopes
    };
    if set(new) == set(old) {
        return Vec::new();
    }
    vec![FieldError::immutable("spec.scopes", &list(new, "/spec/scopes").into())]
}

fn scopes(quota: &Value, errors: &mut Errors) {
    let scopes = list(quota, "/spec/scopes");
    let mut wrong = |detail: &str| errors.push(FieldError::invalid("spec.scopes", &scopes.into(), detail));
    for scope in scopes.iter().filter_map(Value::as_str) {
        if !is_known(scope) {
            wrong("unsupported scope");
        }
        misapplied(quota, scope).for_each(|_| wrong("unsupported scope applied to resource"));
    }
    if conflicting(scopes.iter().filter_map(Value::as_str)) {
        wrong("conflicting scopes");
    }
}

fn selector(quota: &Value, errors: &mut Errors) {
    let path = "spec.scopeSelector.matchExpressions";
    let terms = list(quota, "/spec/scopeSelector/matchExpressions");
    for term in terms {
        let (scope, operator) = (text(term, "/scopeName"), text(term, "/operator"));
        if !is_known(scope) {
            errors.push(FieldError::invalid(format!("{path}.scopeName"), &scope.into(), "unsupported scope"));
        }
        for _ in misapplied(quota, scope) {
            let selector = &quota["spec"]["scopeSelector"];
            errors.push(FieldError::invalid(path, selector, "unsupported scope applied to resource"));
        }
        if !matches!(scope, "PriorityClass" | "VolumeAttributesClass")
            && is_known(scope)
            && operator != "Exists"
        {
            let detail = "must be 'Exist' only operator when scope is any of ResourceQuotaScopeTerminating, \
                          ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                          ResourceQuotaScopeNotBestEffort and ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(FieldError::invalid(format!("{path}.operator"), &operator.into(), detail));
        }
        values(term, operator, path, errors);
    }
    if conflicting(terms.iter().map(|term| text(term, "/scopeName"))) {
        errors.push(FieldError::invalid(
            "spec.scopes",
            &list(quota, "/spec/scopes").into(),
            "conflicting scopes",
        ));
    }
}

fn values(term: &Value, operator: &str, path: &str, errors: &mut Errors) {
    let values = list(term, "/values");
    let path = |field: &str| format!("{path}.{field}");
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(FieldError::required(path("values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(FieldError::invalid(path("values"), &values.into(), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            let detail = "not a valid selector operator";
            errors.push(FieldError::invalid(path("operator"), &other.into(), detail));
        }
    }
}

fn is_known(scope: &str) -> bool {
    SCOPES.iter().any(|(known, _)| *known == scope)
}

/// Bounded resources that the scope says nothing about.
fn misapplied<'a>(quota: &'a Value, scope: &str) -> impl Iterator<Item = &'a String> {
    let bounds = SCOPES.iter().find(|(known, _)| *known == scope).map(|(_, bounds)| *bounds);
    let fits = move |name: &str| bounds.is_none_or(|bounds| bounds.contains(&name));
    entries(quota, "/spec/hard")
        .map(|(name, _)| name)
        .filter(move |name| is_standard_for_quotas(name) && !fits(name))
}

fn conflicting<'a>(scopes: impl Iterator<Item = &'a str>) -> bool {
    let scopes: Vec<&str> = scopes.collect();
    CONFLICTS.iter().any(|pair| pair.iter().all(|scope| scopes.contains(scope)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(spec: Value) -> Vec<String> {
        validate(&json!({ "spec": spec })).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_quota_may_say() {
        let good = json!({
            "hard": { "pods": "2", "requests.cpu": "500m", "requests.example.com/gpu": "1", "count/jobs.batch": "3",
                      "gold.storageclass.storage.k8s.io/requests.storage": "1Gi", "services.nodeports": "0",
                      "hugepages-2Mi": "4Mi" },
        });
        assert_eq!(told(good), [""; 0]);
        let scoped =
            json!({ "hard": { "pods": "1", "limits.cpu": "2" }, "scopes": ["NotBestEffort", "Terminating"] });
        assert_eq!(told(scoped), [""; 0]);
        let table = [
            (
                json!({ "hard": { "cows": "1" } }),
                vec![
                    "spec.hard[cows]: Invalid value: \"cows\": must be a standard resource type or fully qualified",
                    "spec.hard[cows]: Invalid value: \"cows\": must be a standard resource for quota",
                ],
            ),
            (
                json!({ "hard": { "storage": "1" } }),
                vec!["spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota"],
            ),
            (
                json!({ "hard": { "pods": "500m" } }),
                vec!["spec.hard[pods]: Invalid value: \"500m\": must be an integer"],
            ),
            (
                json!({ "hard": { "cpu": "-1" } }),
                vec!["spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"],
            ),
            (
                json!({ "hard": { "cpu": "1" }, "scopes": ["BestEffort"] }),
                vec!["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"],
            ),
            (
                json!({ "scopes": ["Terminating", "NotTerminating", "x"] }),
                vec![
                    "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\",\"x\"]: unsupported scope",
                    "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\",\"x\"]: conflicting scopes",
                ],
            ),
            (
                json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": "PriorityClass", "operator": "In" }] } }),
                vec![
                    "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when \
                     `operator` is 'In' or 'NotIn' for scope selector",
                ],
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(told(spec), expected);
        }
    }

    #[test]
    fn scopes_stay() {
        let of = |scopes: Value| json!({ "spec": { "scopes": scopes } });
        let (ab, ba) = (of(json!(["BestEffort", "Terminating"])), of(json!(["Terminating", "BestEffort"])));
        assert!(validate_update(&ab, &ba).is_empty());
        assert_eq!(validate_update(&ab, &of(json!(["Terminating"])))[0].field, "spec.scopes");
    }
}
