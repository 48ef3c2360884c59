//! PersistentVolume: storage that a claim can be bound to. Served; nothing binds volumes yet.

use serde_json::{Value, json};

use crate::{
    access::{default, ensure, has, keep_status, list, set, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, text_or, text_or_none},
    validate::{Errors, one_of},
};

pub static KIND: Kind = Kind {
    short_names: &["pv"],
    subresources: &[Subresource::Status],
    default: |volume| {
        if let Some(spec) = ensure(volume, "spec") {
            default(spec, "persistentVolumeReclaimPolicy", "Retain");
            default(spec, "volumeMode", "Filesystem");
        }
    },
    prepare_create: |volume| set(volume, "status", json!({"phase": "Pending"})),
    prepare_update: keep_status,
    validate,
    columns: &[
        NAME,
        Column::text("Capacity", |v, _| text_or(v, "/spec/capacity/storage", "")),
        Column::text("Access Modes", |v, _| access_modes(v, "/spec/accessModes")),
        Column::text("Reclaim Policy", |v, _| text_or(v, "/spec/persistentVolumeReclaimPolicy", "")),
        Column::text("Status", |v, _| {
            if has(v, "/metadata/deletionTimestamp") {
                "Terminating".into()
            } else {
                text_or(v, "/status/phase", "")
            }
        }),
        Column::text("Claim", |v, _| claim(v)),
        Column::text("StorageClass", |v, _| text_or(v, "/spec/storageClassName", "")),
        Column::text("VolumeAttributesClass", |v, _| {
            text_or(v, "/spec/volumeAttributesClassName", "<unset>")
        }),
        Column::text("Reason", |v, _| text_or(v, "/status/reason", "")),
        AGE,
        Column::text("VolumeMode", |v, _| text_or_none(v, "/spec/volumeMode")).wide(),
    ],
    ..Kind::cluster(
        "",
        "v1",
        "PersistentVolume",
        "persistentvolumes",
        "persistentvolume",
        "io.k8s.api.core.v1.PersistentVolume",
    )
};

fn validate(volume: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = volume.get("spec").unwrap_or(&Value::Null);
    if list(spec, "/accessModes").is_empty() {
        errors.push(FieldError::required("spec.accessModes", ""));
    }
    if spec.pointer("/capacity/storage").is_none() {
        errors.push(FieldError::required("spec.capacity", ""));
    }
    let policies = &["Delete", "Recycle", "Retain"];
    one_of(spec, "persistentVolumeReclaimPolicy", "spec", policies, &mut errors);
    errors
}

/// The spec of a volume that a VolumeAttachment carries itself: of CSI, and of no claim.
pub fn inline(spec: &Value, path: &str, errors: &mut Errors) {
    for key in ["claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "volumeMode"] {
        if has(spec, &format!("/{key}")) {
            let detail = "may not be specified in the context of inline volumes";
            errors.push(FieldError::forbidden(format!("{path}.{key}"), detail));
        }
    }
    if !has(spec, "/csi") {
        errors.push(FieldError::required(
            format!("{path}.csi"),
            "has to be specified in the context of inline volumes",
        ));
    }
}

fn claim(volume: &Value) -> Value {
    match text(volume, "/spec/claimRef/name") {
        "" => "".into(),
        name => format!("{}/{name}", text(volume, "/spec/claimRef/namespace")).into(),
    }
}

/// `RWO,ROX`
pub fn access_modes(object: &Value, pointer: &str) -> Value {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    let modes: Vec<&str> = list(object, pointer).iter().map(short).filter(|m| !m.is_empty()).collect();
    modes.join(",").into()
}
