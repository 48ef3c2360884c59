//! ReplicaSet: so many Pods of one template.

use serde_json::Value;

use crate::{
    access::{default, ensure, keep_status, set},
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, number},
    validate::{Errors, unchanged},
    workload::{
        CONTAINERS, IMAGES, SCALE, SELECTOR, default_template, validate_counts, validate_selector,
        validate_status, validate_template,
    },
};

pub static KIND: Kind = Kind {
    short_names: &["rs"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Scale(SCALE)],
    default: |object| {
        default_template(object);
        if let Some(spec) = ensure(object, "spec") {
            default(spec, "replicas", 1);
        }
    },
    prepare_create: |object| set(object, "status", serde_json::json!({"replicas": 0})),
    prepare_update: keep_status,
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec/selector"]),
    validate_status: |new, old| {
        let within = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
        validate_status(new, old, &["replicas"], &within)
    },
    counts_generations: true,
    columns: &[
        NAME,
        Column::number("Desired", |s, _| number(s, "/spec/replicas")),
        Column::number("Current", |s, _| number(s, "/status/replicas")),
        Column::number("Ready", |s, _| number(s, "/status/readyReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    selectable: &["status.replicas"],
    ..Kind::namespaced(
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        "replicaset",
        "io.k8s.api.apps.v1.ReplicaSet",
    )
};

fn validate(object: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_selector(object, "ReplicaSet", &mut errors);
    validate_template(object, "ReplicaSet", &mut errors);
    validate_counts(object, &["replicas", "minReadySeconds"], &mut errors);
    errors
}
