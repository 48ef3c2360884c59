//! ResourceQuota and LimitRange: bounds of a namespace. Served; quotas are not enforced yet.

use serde_json::{Value, json};

use super::role::CREATED_AT;
use crate::{
    access::{each, empty_status, ensure, entries, keep_status, list, set, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME},
    validate::{Errors, quantity},
};

pub static RESOURCE_QUOTA: Kind = Kind {
    short_names: &["quota"],
    subresources: &[Subresource::Status],
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate: |quota| {
        let mut errors = Vec::new();
        for (name, amount) in entries(quota, "/spec/hard") {
            quantity(amount, &format!("spec.hard[{name}]"), &mut errors);
        }
        errors
    },
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

pub static LIMIT_RANGE: Kind = Kind {
    short_names: &["limits"],
    default: limit_defaults,
    validate: validate_limits,
    columns: &[NAME, CREATED_AT],
    ..Kind::namespaced("", "v1", "LimitRange", "limitranges", "limitrange", "io.k8s.api.core.v1.LimitRange")
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

/// For containers a maximum is the default limit, and that the default request.
fn limit_defaults(range: &mut Value) {
    each(range, "/spec/limits", |limit| {
        if text(limit, "/type") != "Container" {
            return;
        }
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let source = limit.get(from).cloned().unwrap_or_else(|| json!({}));
            let Some(target) = ensure(limit, to) else { continue };
            for (name, amount) in source.as_object().into_iter().flatten() {
                if target.get(name).is_none() {
                    set(target, name, amount.clone());
                }
            }
        }
    });
}

fn validate_limits(range: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, limit) in list(range, "/spec/limits").iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        if text(limit, "/type").is_empty() {
            errors.push(FieldError::required(format!("{path}.type"), ""));
        }
        for key in ["max", "min", "default", "defaultRequest"] {
            for (name, amount) in entries(limit, &format!("/{key}")) {
                quantity(amount, &format!("{path}.{key}[{name}]"), &mut errors);
            }
        }
    }
    errors
}
