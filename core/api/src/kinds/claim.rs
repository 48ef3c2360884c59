//! PersistentVolumeClaim: a wish for storage. Served; nothing binds claims yet.

use serde_json::{Value, json};

use super::volume::access_modes;
use crate::{
    access::{default, ensure, entries, has, keep_status, list, present, remove, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    quantity::Quantity,
    table::{AGE, NAME, text_or, text_or_none},
    validate::{Errors, labels, names, obey, optional_one_of, required},
};

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

const RESIZES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizePending",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
];

pub static KIND: Kind = Kind {
    short_names: &["pvc"],
    subresources: &[Subresource::Status],
    default: defaults,
    prepare_create: |claim| {
        set(claim, "status", json!({"phase": "Pending"}));
        same_sources(claim);
    },
    prepare_update: keep_status,
    validate,
    validate_update,
    validate_status,
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
    self::spec(claim.get("spec").unwrap_or(&Value::Null), "spec", &mut errors);
    errors
}

/// The spec of a claim, or of a template of one, at `path`.
pub fn spec(spec: &Value, path: &str, errors: &mut Errors) {
    access_modes_of(spec, path, "at least 1 access mode is required", errors);
    if let Some(selector) = present(spec, "/selector") {
        labels::selector(selector, &format!("{path}.selector"), errors);
    }
    let size = format!("{path}.resources[storage]");
    match spec.pointer("/resources/requests/storage") {
        None => errors.push(FieldError::required(size, "")),
        Some(amount) => positive(amount, &size, errors),
    }
    for key in ["storageClassName", "volumeAttributesClassName"] {
        let name = text(spec, &format!("/{key}"));
        if !name.is_empty() {
            obey(names::dns_subdomain, name, &format!("{path}.{key}"), errors);
        }
    }
    optional_one_of(spec, "volumeMode", path, &["Block", "Filesystem"], errors);
    sources(spec, path, errors);
}

/// `accessModes`: some, known, and not one for a single Pod beside others.
pub fn access_modes_of(spec: &Value, path: &str, why: &str, errors: &mut Errors) {
    let field = format!("{path}.accessModes");
    let modes: Vec<&str> = list(spec, "/accessModes").iter().filter_map(Value::as_str).collect();
    if modes.is_empty() {
        errors.push(FieldError::required(&*field, why));
    }
    for mode in modes.iter().filter(|mode| !MODES.contains(mode)) {
        errors.push(FieldError::not_supported(&*field, mode, &MODES));
    }
    if modes.contains(&"ReadWriteOncePod")
        && modes.iter().any(|m| *m != "ReadWriteOncePod" && MODES.contains(m))
    {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(field, detail));
    }
}

/// An amount above zero.
pub fn positive(amount: &Value, field: &str, errors: &mut Errors) {
    match amount.as_str().unwrap_or_default().parse::<Quantity>() {
        Ok(size) if size.is_zero() || size.is_negative() => {
            errors.push(FieldError::invalid(field, amount, "must be greater than zero"));
        }
        Ok(_) => {}
        Err(error) => errors.push(FieldError::invalid(field, amount, error)),
    }
}

/// What the volume is filled with: the older field and the newer one say the same.
fn sources(spec: &Value, path: &str, errors: &mut Errors) {
    for key in ["dataSource", "dataSourceRef"] {
        let Some(source) = present(spec, &format!("/{key}")) else { continue };
        let path = format!("{path}.{key}");
        required(source, "name", &path, errors);
        required(source, "kind", &path, errors);
        let (group, kind) = (text(source, "/apiGroup"), text(source, "/kind"));
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(&*path, &kind.into(), detail));
        }
        if !group.is_empty() {
            obey(names::dns_subdomain, group, &format!("{path}.apiGroup"), errors);
        }
        let namespace = text(source, "/namespace");
        if !namespace.is_empty() {
            obey(names::dns_label, namespace, &format!("{path}.namespace"), errors);
        }
    }
    let (Some(old), Some(new)) = (present(spec, "/dataSource"), present(spec, "/dataSourceRef")) else {
        return;
    };
    let same = ["/apiGroup", "/kind", "/name"].iter().all(|key| text(old, key) == text(new, key));
    let detail = match (text(new, "/namespace"), same) {
        ("", true) => return,
        ("", false) => "must match dataSourceRef",
        _ => "may not be specified when dataSourceRef.namespace is specified",
    };
    errors.push(FieldError::invalid(path, &format!("{path}.dataSource").into(), detail));
}

/// Until both fields name the source, the one that is there speaks for the other.
fn same_sources(claim: &mut Value) {
    with(claim, "/spec", |spec| {
        let namespaced = !text(spec, "/dataSourceRef/namespace").is_empty();
        match (present(spec, "/dataSource").cloned(), present(spec, "/dataSourceRef").cloned()) {
            (Some(old), None) => set(spec, "dataSourceRef", old),
            (None, Some(mut new)) if !namespaced => {
                remove(&mut new, "namespace");
                set(spec, "dataSource", new);
            }
            _ => {}
        }
    });
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let bound = text(old, "/status/phase") == "Bound";
    let named = !text(old, "/spec/volumeName").is_empty();
    let classed = has(old, "/spec/storageClassName");
    let frozen = |claim: &Value| {
        let mut spec = claim.get("spec").cloned().unwrap_or_default();
        if bound {
            remove(&mut spec, "volumeAttributesClassName");
            with(&mut spec, "/resources/requests", |requests| remove(requests, "storage"));
        }
        if !named {
            remove(&mut spec, "volumeName");
        }
        // Which class a claim without one gets may be decided later.
        if !classed {
            remove(&mut spec, "storageClassName");
        }
        spec
    };
    let mut errors = Vec::new();
    if frozen(new) != frozen(old) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", detail));
    }
    let class = |claim: &Value| present(claim, "/spec/volumeAttributesClassName").cloned();
    if let Some(detail) = match (class(old), class(new)) {
        (Some(_), None) => Some("update from non-nil value to nil is forbidden"),
        (Some(old), Some(new)) if old != new && new == "" => {
            Some("update from non-nil value to an empty string is forbidden")
        }
        _ => None,
    } {
        errors.push(FieldError::forbidden("spec.volumeAttributesClassName", detail));
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

fn validate_status(new: &Value, _: &Value) -> Errors {
    let mut errors = Vec::new();
    for key in ["capacity", "allocatedResources"] {
        for (name, amount) in entries(new, &format!("/status/{key}")) {
            let negative = amount
                .as_str()
                .and_then(|text| text.parse::<Quantity>().ok())
                .is_some_and(Quantity::is_negative);
            if negative {
                let field = format!("status.{key}[{name}]");
                errors.push(FieldError::invalid(field, amount, "must be a valid resource quantity"));
            }
        }
    }
    for (name, state) in entries(new, "/status/allocatedResourceStatuses") {
        let field = "status.allocatedResourceStatus";
        if !state.as_str().is_some_and(|state| RESIZES.contains(&state)) {
            errors.push(FieldError::not_supported(field, name, &RESIZES));
        }
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
