//! PriorityClass, StorageClass, RuntimeClass: named choices for Pods and claims.

use serde_json::Value;

use crate::{
    access::{default, flag, int, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, number, text_or},
    validate::{Errors, unchanged},
};

/// Above this only the system's own classes may be.
const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;

pub static PRIORITY_CLASS: Kind = Kind {
    short_names: &["pc"],
    default: |class| default(class, "preemptionPolicy", "PreemptLowerPriority"),
    validate: validate_priority,
    validate_update: |new, old| unchanged(new, old, &["/value", "/preemptionPolicy"]),
    columns: &[
        NAME,
        Column::number("Value", |c, _| number(c, "/value")),
        Column::text("Global-Default", |c, _| flag(c, "/globalDefault").into()),
        AGE,
        Column::text("PreemptionPolicy", |c, _| text_or(c, "/preemptionPolicy", "")),
    ],
    ..Kind::cluster(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
        "priorityclass",
        "io.k8s.api.scheduling.v1.PriorityClass",
    )
};

pub static STORAGE_CLASS: Kind = Kind {
    short_names: &["sc"],
    default: |class| {
        default(class, "reclaimPolicy", "Delete");
        default(class, "volumeBindingMode", "Immediate");
    },
    validate: validate_storage,
    validate_update: |new, old| {
        unchanged(new, old, &["/parameters", "/provisioner", "/reclaimPolicy", "/volumeBindingMode"])
    },
    columns: &[
        Column { cell: |c, _| storage_name(c).into(), ..NAME },
        Column::text("Provisioner", |c, _| text_or(c, "/provisioner", "")),
        Column::text("ReclaimPolicy", |c, _| text_or(c, "/reclaimPolicy", "Delete")),
        Column::text("VolumeBindingMode", |c, _| text_or(c, "/volumeBindingMode", "Immediate")),
        Column {
            kind: "boolean",
            ..Column::text("AllowVolumeExpansion", |c, _| flag(c, "/allowVolumeExpansion").into())
        },
        AGE,
    ],
    ..Kind::cluster(
        "storage.k8s.io",
        "v1",
        "StorageClass",
        "storageclasses",
        "storageclass",
        "io.k8s.api.storage.v1.StorageClass",
    )
};

pub static RUNTIME_CLASS: Kind = Kind {
    validate: |class| {
        let mut errors = Vec::new();
        if text(class, "/handler").is_empty() {
            errors.push(FieldError::required("handler", ""));
        }
        errors
    },
    validate_update: |new, old| unchanged(new, old, &["/handler"]),
    columns: &[NAME, Column::text("Handler", |c, _| text_or(c, "/handler", "")), AGE],
    ..Kind::cluster(
        "node.k8s.io",
        "v1",
        "RuntimeClass",
        "runtimeclasses",
        "runtimeclass",
        "io.k8s.api.node.v1.RuntimeClass",
    )
};

fn validate_priority(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let (name, value) = (text(class, "/metadata/name"), int(class, "/value").unwrap_or_default());
    let system = ["system-node-critical", "system-cluster-critical"].contains(&name);
    if name.starts_with("system-") && !system {
        let detail = "priority class names with 'system-' prefix are reserved for system use only";
        errors.push(FieldError::forbidden("metadata.name", detail));
    }
    if value > HIGHEST_USER_PRIORITY && !system {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
        errors.push(FieldError::forbidden("value", &detail));
    }
    known(class, "preemptionPolicy", &["Never", "PreemptLowerPriority"], &mut errors);
    errors
}

/// A top-level text that is one of these, or absent.
fn known(class: &Value, key: &str, values: &[&str], errors: &mut Errors) {
    let value = text(class, &format!("/{key}"));
    if !value.is_empty() && !values.contains(&value) {
        errors.push(FieldError::not_supported(key, value, values));
    }
}

fn validate_storage(class: &Value) -> Errors {
    let mut errors = Vec::new();
    if text(class, "/provisioner").is_empty() {
        errors.push(FieldError::required("provisioner", ""));
    }
    known(class, "reclaimPolicy", &["Delete", "Retain"], &mut errors);
    known(class, "volumeBindingMode", &["Immediate", "WaitForFirstConsumer"], &mut errors);
    errors
}

fn storage_name(class: &Value) -> String {
    let is_default = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";
    let name = text(class, "/metadata/name");
    if text(class, is_default) == "true" { format!("{name} (default)") } else { name.to_owned() }
}
