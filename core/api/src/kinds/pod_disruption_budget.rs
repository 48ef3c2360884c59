//! PodDisruptionBudget: how many Pods of a set an eviction must leave.

use serde_json::Value;

use crate::{
    access::{has, keep_status, present, set},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, number},
    validate::{Errors, count_or_percent, labels},
};

pub static KIND: Kind = Kind {
    short_names: &["pdb"],
    subresources: &[Subresource::Status],
    prepare_create: |budget| {
        let zero = serde_json::json!({
            "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
        });
        set(budget, "status", zero);
    },
    prepare_update: keep_status,
    validate,
    columns: &[
        NAME,
        Column::text("Min Available", |b, _| amount(b, "/spec/minAvailable")),
        Column::text("Max Unavailable", |b, _| amount(b, "/spec/maxUnavailable")),
        Column::number("Allowed Disruptions", |b, _| number(b, "/status/disruptionsAllowed")),
        AGE,
    ],
    ..Kind::namespaced(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "poddisruptionbudget",
        "io.k8s.api.policy.v1.PodDisruptionBudget",
    )
};

fn validate(budget: &Value) -> Errors {
    let mut errors = Vec::new();
    if has(budget, "/spec/minAvailable") && has(budget, "/spec/maxUnavailable") {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid("spec", &budget["spec"], detail));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        count_or_percent(present(budget, &format!("/spec/{key}")), &format!("spec.{key}"), &mut errors);
    }
    if let Some(selector) = present(budget, "/spec/selector") {
        labels::selector(selector, "spec.selector", &mut errors);
    }
    errors
}

fn amount(budget: &Value, pointer: &str) -> Value {
    match present(budget, pointer) {
        None => "N/A".into(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
    }
}
