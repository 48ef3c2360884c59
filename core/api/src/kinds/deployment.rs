//! Deployment: ReplicaSets that follow one another as the Pod template changes.

use serde_json::{Value, json};

use crate::{
    access::{default, empty_status, ensure, has, keep_status, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, number},
    validate::{Errors, count_or_percent, count_or_share, one_of, unchanged},
    workload::{
        CONTAINERS, IMAGES, SCALE, SELECTOR, default_template, ratio, validate_counts, validate_selector,
        validate_status, validate_template,
    },
};

pub static KIND: Kind = Kind {
    short_names: &["deploy"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Scale(SCALE)],
    status_keeps: &["labels"],
    default: defaults,
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec/selector"]),
    validate_status: |new, old| {
        let within = ["updatedReplicas", "readyReplicas", "availableReplicas"];
        validate_status(new, old, &["replicas", "unavailableReplicas"], &within)
    },
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Ready", |d, _| ratio(d, "/status/readyReplicas", "/spec/replicas")),
        Column::text("Up-to-date", |d, _| number(d, "/status/updatedReplicas")),
        Column::text("Available", |d, _| number(d, "/status/availableReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    ..Kind::namespaced(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        "deployment",
        "io.k8s.api.apps.v1.Deployment",
    )
};

fn defaults(deployment: &mut Value) {
    default_template(deployment);
    let Some(spec) = ensure(deployment, "spec") else { return };
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "progressDeadlineSeconds", 600);
    let Some(strategy) = ensure(spec, "strategy") else { return };
    default(strategy, "type", "RollingUpdate");
    if text(strategy, "/type") == "RollingUpdate"
        && let Some(rolling) = ensure(strategy, "rollingUpdate")
    {
        default(rolling, "maxUnavailable", "25%");
        default(rolling, "maxSurge", "25%");
    }
}

fn validate(deployment: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_selector(deployment, "deployment", &mut errors);
    validate_template(deployment, "ReplicaSet", &mut errors);
    let counts = ["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"];
    validate_counts(deployment, &counts, &mut errors);
    strategy(deployment, &mut errors);
    let spec = deployment.get("spec").unwrap_or(&Value::Null);
    let (ready, deadline) = (spec["minReadySeconds"].as_i64(), spec["progressDeadlineSeconds"].as_i64());
    if deadline.is_some_and(|deadline| deadline <= ready.unwrap_or_default()) {
        let field = "spec.progressDeadlineSeconds";
        errors.push(FieldError::invalid(field, &json!(deadline), "must be greater than minReadySeconds"));
    }
    errors
}

fn strategy(deployment: &Value, errors: &mut Errors) {
    let strategy = deployment.pointer("/spec/strategy").unwrap_or(&Value::Null);
    one_of(strategy, "type", "spec.strategy", &["Recreate", "RollingUpdate"], errors);
    let path = "spec.strategy.rollingUpdate";
    if text(strategy, "/type") == "Recreate" && has(strategy, "/rollingUpdate") {
        let detail = "may not be specified when strategy `type` is 'Recreate'";
        errors.push(FieldError::forbidden(path, detail));
        return;
    }
    let (unavailable, surge) =
        (strategy.pointer("/rollingUpdate/maxUnavailable"), strategy.pointer("/rollingUpdate/maxSurge"));
    count_or_share(unavailable, &format!("{path}.maxUnavailable"), errors);
    count_or_percent(surge, &format!("{path}.maxSurge"), errors);
    let is_zero = |v: Option<&Value>| v.is_some_and(|v| *v == json!(0) || *v == json!("0%"));
    if is_zero(unavailable) && is_zero(surge) {
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(
            format!("{path}.maxUnavailable"),
            unavailable.unwrap_or(&Value::Null),
            detail,
        ));
    }
}
