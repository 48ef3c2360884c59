//! PersistentVolumeClaim: a wish for storage. Served; nothing binds claims yet.

use serde_json::{Value, json};

use super::volume::access_modes;
use crate::{
    access::{default, ensure, has, keep_status, list, set, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, text_or, text_or_none},
    validate::{Errors, optional_one_of, quantity},
};

pub static KIND: Kind = Kind {
    short_names: &["pvc"],
    subresources: &[Subresource::Status],
    default: defaults,
    prepare_create: |claim| set(claim, "status", json!({"phase": "Pending"})),
    prepare_update: keep_status,
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::text("Status", |c, _| {
            if has(c, "/metadata/deletionTimestamp") {
                "Terminating".into()
            } else {
                text_or(c, "/status/phase", "")
            }
        }),
        Column::text("Volume", |c, _| text_or(c, "/spec/volumeName", "")),
        Column::text("Capacity", |c, _| text_or(c, "/status/capacity/storage", "")),
        Column::text("Access Modes", |c, _| access_modes(c, "/status/accessModes")),
        Column::text("StorageClass", |c, _| text_or(c, "/spec/storageClassName", "")),
        Column::text("VolumeAttributesClass", |c, _| {
            text_or(c, "/spec/volumeAttributesClassName", "<unset>")
        }),
        AGE,
        Column::text("VolumeMode", |c, _| text_or_none(c, "/spec/volumeMode")).wide(),
    ],
    ..Kind::namespaced(
        "",
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        "persistentvolumeclaim",
        "io.k8s.api.core.v1.PersistentVolumeClaim",
    )
};

pub fn defaults(claim: &mut Value) {
    if let Some(spec) = ensure(claim, "spec") {
        default(spec, "volumeMode", "Filesystem");
    }
}

fn validate(claim: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = claim.get("spec").unwrap_or(&Value::Null);
    if list(spec, "/accessModes").is_empty() {
        errors.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    let path = "spec.resources[storage]";
    match spec.pointer("/resources/requests/storage") {
        None => errors.push(FieldError::required(path, "")),
        Some(amount) => {
            quantity(amount, path, &mut errors);
        }
    }
    optional_one_of(spec, "volumeMode", "spec", &["Block", "Filesystem"], &mut errors);
    errors
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let frozen = |claim: &Value, with_volume: bool| {
        let mut spec = claim.get("spec").cloned().unwrap_or_default();
        let mutable = ["resources", "volumeAttributesClassName"];
        mutable.iter().for_each(|key| crate::access::remove(&mut spec, key));
        if !with_volume {
            crate::access::remove(&mut spec, "volumeName");
        }
        spec
    };
    let bound = !text(old, "/spec/volumeName").is_empty();
    if frozen(new, bound) == frozen(old, bound) {
        return Vec::new();
    }
    let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
    vec![FieldError::forbidden("spec", detail)]
}
