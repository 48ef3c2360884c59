//! DaemonSet: one Pod on every node that it selects.

use serde_json::{Value, json};

use crate::{
    access::{default, ensure, keep_status, set, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, number},
    validate::{Errors, count_or_share, one_of, unchanged},
    workload::{
        CONTAINERS, IMAGES, SELECTOR, default_template, label_text, validate_counts, validate_selector,
        validate_status, validate_template,
    },
};

const FIGURES: [&str; 7] = [
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
];

pub static KIND: Kind = Kind {
    short_names: &["ds"],
    categories: &["all"],
    subresources: &[Subresource::Status],
    default: defaults,
    prepare_create: zero_status,
    prepare_update: keep_status,
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec/selector"]),
    validate_status: |new, old| validate_status(new, old, &FIGURES, &[]),
    counts_generations: true,
    columns: &[
        NAME,
        Column::number("Desired", |s, _| number(s, "/status/desiredNumberScheduled")),
        Column::number("Current", |s, _| number(s, "/status/currentNumberScheduled")),
        Column::number("Ready", |s, _| number(s, "/status/numberReady")),
        Column::number("Up-to-date", |s, _| number(s, "/status/updatedNumberScheduled")),
        Column::number("Available", |s, _| number(s, "/status/numberAvailable")),
        Column::text("Node Selector", |s, _| label_text(s, "/spec/template/spec/nodeSelector")),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    ..Kind::namespaced("apps", "v1", "DaemonSet", "daemonsets", "daemonset", "io.k8s.api.apps.v1.DaemonSet")
};

fn defaults(object: &mut Value) {
    default_template(object);
    let Some(spec) = ensure(object, "spec") else { return };
    default(spec, "revisionHistoryLimit", 10);
    let Some(strategy) = ensure(spec, "updateStrategy") else { return };
    default(strategy, "type", "RollingUpdate");
    if text(strategy, "/type") == "RollingUpdate"
        && let Some(rolling) = ensure(strategy, "rollingUpdate")
    {
        default(rolling, "maxUnavailable", 1);
        default(rolling, "maxSurge", 0);
    }
}

/// These figures are always there, also when they are 0.
fn zero_status(object: &mut Value) {
    let zero = json!({
        "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
    });
    set(object, "status", zero);
}

fn validate(object: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_selector(object, "daemonset", &mut errors);
    validate_template(object, "DaemonSet", &mut errors);
    validate_counts(object, &["minReadySeconds", "revisionHistoryLimit"], &mut errors);
    let strategy = object.pointer("/spec/updateStrategy").unwrap_or(&Value::Null);
    one_of(strategy, "type", "spec.updateStrategy", &["RollingUpdate", "OnDelete"], &mut errors);
    let path = "spec.updateStrategy.rollingUpdate";
    let (unavailable, surge) =
        (strategy.pointer("/rollingUpdate/maxUnavailable"), strategy.pointer("/rollingUpdate/maxSurge"));
    count_or_share(unavailable, &format!("{path}.maxUnavailable"), &mut errors);
    count_or_share(surge, &format!("{path}.maxSurge"), &mut errors);
    let is_zero = |v: Option<&Value>| v.is_none_or(|v| *v == json!(0) || *v == json!("0%"));
    match (is_zero(unavailable), is_zero(surge)) {
        (true, true) if text(strategy, "/type") == "RollingUpdate" => {
            let detail = "cannot be 0 when maxSurge is 0";
            errors.push(FieldError::required(format!("{path}.maxUnavailable"), detail));
        }
        (false, false) => {
            let (surge, detail) =
                (surge.unwrap_or(&Value::Null), "may not be set when maxUnavailable is non-zero");
            errors.push(FieldError::invalid(format!("{path}.maxSurge"), surge, detail));
        }
        _ => {}
    }
    errors
}
