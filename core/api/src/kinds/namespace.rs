//! Namespace: a space of names. Kept by the finalizer `kubernetes` until it is empty.

use serde_json::{Value, json};

use crate::{
    access::{ensure, has, keep_status, set, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, text_or},
    validate::{Errors, names},
};

pub static KIND: Kind = Kind {
    short_names: &["ns"],
    subresources: &[Subresource::Status, Subresource::Named("finalize")],
    validate_name: names::dns_label,
    default: label_with_name,
    prepare_create: |namespace| {
        set(namespace, "status", json!({"phase": "Active"}));
        if let Some(spec) = ensure(namespace, "spec") {
            set(spec, "finalizers", json!(["kubernetes"]));
        }
    },
    prepare_update: |new, old| {
        set(new, "spec", old.get("spec").cloned().unwrap_or_else(|| json!({})));
        keep_status(new, old);
    },
    validate_status,
    columns: &[NAME, Column::text("Status", |n, _| text_or(n, "/status/phase", "")), AGE],
    selectable: &["status.phase"],
    ..Kind::cluster("", "v1", "Namespace", "namespaces", "namespace", "io.k8s.api.core.v1.Namespace")
};

/// A namespace that is being deleted is `Terminating`, and no other is.
fn validate_status(new: &Value, _: &Value) -> Errors {
    let (phase, when) = if has(new, "/metadata/deletionTimestamp") {
        ("Terminating", "is not empty")
    } else {
        ("Active", "is empty")
    };
    let given = text(new, "/status/phase");
    if given == phase {
        return Vec::new();
    }
    let detail = format!("may only be '{phase}' if `deletionTimestamp` {when}");
    vec![FieldError::invalid("status.Phase", &given.into(), detail)]
}

/// Every namespace carries its own name as a label, so that selectors can name it.
fn label_with_name(namespace: &mut Value) {
    let name = text(namespace, "/metadata/name").to_owned();
    if name.is_empty() {
        return;
    }
    if let Some(labels) = ensure(namespace, "metadata").and_then(|m| ensure(m, "labels")) {
        set(labels, "kubernetes.io/metadata.name", name.into());
    }
}
