//! ReplicationController: the elder of ReplicaSet.

use serde_json::{Value, json};

use crate::{
    access::{default, ensure, entries, has, keep_status, set},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, number},
    validate::Errors,
    workload::{
        CONTAINERS, IMAGES, SCALE, SELECTOR, default_template, own_labels, validate_counts, validate_status,
        validate_template,
    },
};

pub static KIND: Kind = Kind {
    short_names: &["rc"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Scale(SCALE)],
    default: defaults,
    prepare_create: |object| set(object, "status", json!({"replicas": 0})),
    prepare_update: keep_status,
    validate,
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
        "",
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        "replicationcontroller",
        "io.k8s.api.core.v1.ReplicationController",
    )
};

fn defaults(object: &mut Value) {
    default_template(object);
    let Some(spec) = ensure(object, "spec") else { return };
    default(spec, "replicas", 1);
    let Some(labels) = spec.pointer("/template/metadata/labels").cloned() else { return };
    if entries(spec, "/selector").count() == 0 {
        set(spec, "selector", labels.clone());
    }
    own_labels(object, labels);
}

fn validate(object: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_template(object, "ReplicationController", &mut errors);
    validate_counts(object, &["replicas", "minReadySeconds"], &mut errors);
    let labels = object.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null);
    if entries(object, "/spec/selector").count() == 0 {
        errors.push(FieldError::required("spec.selector", ""));
    } else if has(object, "/spec/template")
        && entries(object, "/spec/selector").any(|(key, value)| labels.get(key) != Some(value))
    {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, detail));
    }
    errors
}
