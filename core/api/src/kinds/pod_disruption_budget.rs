//! PodDisruptionBudget: how many Pods of a set an eviction must leave.

use serde_json::Value;

use crate::{
    access::{has, keep_status, present, set},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, number},
    validate::{Errors, count_or_percent, labels, not_negative, one_of},
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
    validate_status,
    counts_generations: true,
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

fn validate_status(new: &Value, _: &Value) -> Errors {
    let mut errors = Vec::new();
    if let Some(status) = present(new, "/status") {
        ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"]
            .iter()
            .for_each(|key| not_negative(status, key, "status", &mut errors));
    }
    errors
}

fn validate(budget: &Value) -> Errors {
    let mut errors = Vec::new();
    if has(budget, "/spec/minAvailable") && has(budget, "/spec/maxUnavailable") {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid("spec", &budget["spec"], detail));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        let value = present(budget, &format!("/spec/{key}"));
        count_or_percent(value, &format!("spec.{key}"), &mut errors);
        let percent =
            value.and_then(Value::as_str).and_then(|text| text.strip_suffix('%')?.parse::<u32>().ok());
        if let (Some(value), Some(101..)) = (value, percent) {
            errors.push(FieldError::invalid(format!("spec.{key}"), value, "must not be greater than 100%"));
        }
    }
    if has(budget, "/spec/unhealthyPodEvictionPolicy") {
        let supported = ["AlwaysAllow", "IfHealthyBudget"];
        one_of(&budget["spec"], "unhealthyPodEvictionPolicy", "spec", &supported, &mut errors);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            (json!({ "minAvailable": "100%", "unhealthyPodEvictionPolicy": "AlwaysAllow" }), None),
            (
                json!({ "maxUnavailable": "101%" }),
                Some("spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"),
            ),
            (
                json!({ "maxUnavailable": -1 }),
                Some("spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0"),
            ),
            (
                json!({ "unhealthyPodEvictionPolicy": "Never" }),
                Some(
                    "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \
                     \"AlwaysAllow\", \"IfHealthyBudget\"",
                ),
            ),
        ];
        for (spec, expected) in table {
            let told: Vec<_> = validate(&json!({ "spec": spec })).iter().map(ToString::to_string).collect();
            assert_eq!(told, Vec::from_iter(expected.map(String::from)));
        }
    }
}
