//! PersistentVolumeClaim: a wish for storage. Served; nothing binds claims yet.

use serde_json::{Value, json};

use super::volume::access_modes;
use crate::{
    access::{default, ensure, has, keep_status, list, remove, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    quantity::Quantity,
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
    let bound = text(old, "/status/phase") == "Bound";
    let named = !text(old, "/spec/volumeName").is_empty();
    let frozen = |claim: &Value| {
        let mut spec = claim.get("spec").cloned().unwrap_or_default();
        if bound {
            remove(&mut spec, "volumeAttributesClassName");
            with(&mut spec, "/resources/requests", |requests| remove(requests, "storage"));
        }
        if !named {
            remove(&mut spec, "volumeName");
        }
        spec
    };
    let mut errors = Vec::new();
    if frozen(new) != frozen(old) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", detail));
    }
    let size =
        |claim: &Value, pointer: &str| text(claim, pointer).parse::<Quantity>().unwrap_or(Quantity::ZERO);
    let requested = |claim: &Value| size(claim, "/spec/resources/requests/storage");
    // What could not be expanded may be asked for less, but never for less than there is.
    if requested(new) < requested(old) && requested(new) <= size(old, "/status/capacity/storage") {
        let path = "spec.resources.requests.storage";
        errors.push(FieldError::forbidden(path, "field can not be less than status.capacity"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_claim_may_grow() {
        let claim = |phase: &str, size: &str, class: &str| {
            json!({ "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } },
                              "volumeName": "v", "storageClassName": class },
                    "status": { "phase": phase, "capacity": { "storage": "2Gi" } } })
        };
        let bound = |size: &str| claim("Bound", size, "a");
        let immutable = "spec: Forbidden: spec is immutable after creation except resources.requests and \
                         volumeAttributesClassName for bound claims";
        let small = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity";
        let table = [
            (bound("2Gi"), bound("4Gi"), None),
            (bound("4Gi"), bound("3Gi"), None),
            (bound("4Gi"), bound("2Gi"), Some(small)),
            (claim("Pending", "2Gi", "a"), claim("Pending", "4Gi", "a"), Some(immutable)),
            (bound("2Gi"), claim("Bound", "2Gi", "b"), Some(immutable)),
        ];
        for (old, new, expected) in table {
            let told: Vec<_> = validate_update(&new, &old).iter().map(ToString::to_string).collect();
            assert_eq!(told, Vec::from_iter(expected.map(String::from)));
        }
    }
}
