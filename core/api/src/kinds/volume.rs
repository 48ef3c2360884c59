//! PersistentVolume: storage that a claim can be bound to. Served; nothing binds volumes yet.

use serde_json::{Value, json};

use super::claim::{access_modes_of, positive};
use crate::{
    access::{default, ensure, entries, has, keep_status, list, present, remove, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    pod,
    table::{AGE, NAME, text_or, text_or_none},
    validate::{Errors, names, node_selector, obey, optional_one_of, required},
};

const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];
const SECRETS: [&str; 5] = [
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodeStageSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
];

pub static KIND: Kind = Kind {
    short_names: &["pv"],
    subresources: &[Subresource::Status],
    default: |volume| {
        if let Some(spec) = ensure(volume, "spec") {
            default(spec, "persistentVolumeReclaimPolicy", "Retain");
            default(spec, "volumeMode", "Filesystem");
            pod::defaults::sources(spec);
            with(spec, "/hostPath", |path| {
                if !has(path, "/type") {
                    set(path, "type", json!(""));
                }
            });
        }
    },
    prepare_create: |volume| set(volume, "status", json!({"phase": "Pending"})),
    prepare_update: keep_status,
    validate,
    validate_update,
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
    self::spec(volume.get("spec").unwrap_or(&Value::Null), "spec", false, &mut errors);
    errors
}

/// The spec of a volume that a VolumeAttachment carries itself: of CSI, and of no claim.
pub fn inline(spec: &Value, path: &str, errors: &mut Errors) {
    self::spec(spec, path, true, errors);
    for key in ["claimRef", "capacity", "nodeAffinity", "storageClassName"] {
        if has(spec, &format!("/{key}")) {
            let detail = "may not be specified in the context of inline volumes";
            errors.push(FieldError::forbidden(format!("{path}.{key}"), detail));
        }
    }
    if !has(spec, "/csi") {
        let detail = "has to be specified in the context of inline volumes";
        errors.push(FieldError::required(format!("{path}.csi"), detail));
    }
    if !["", "Retain"].contains(&text(spec, "/persistentVolumeReclaimPolicy")) {
        let detail = "may only be Retain in the context of inline volumes";
        errors.push(FieldError::forbidden(format!("{path}.persistentVolumeReclaimPolicy"), detail));
    }
    if !["", "Filesystem"].contains(&text(spec, "/volumeMode")) {
        let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        errors.push(FieldError::forbidden(format!("{path}.volumeMode"), detail));
    }
}

fn spec(spec: &Value, path: &str, is_inline: bool, errors: &mut Errors) {
    access_modes_of(spec, path, "", errors);
    if !is_inline {
        capacity(spec, path, errors);
        let policies = &["Delete", "Recycle", "Retain"];
        optional_one_of(spec, "persistentVolumeReclaimPolicy", path, policies, errors);
        optional_one_of(spec, "volumeMode", path, &["Block", "Filesystem"], errors);
        if !text(spec, "/storageClassName").is_empty() {
            let name = text(spec, "/storageClassName");
            obey(names::dns_subdomain, name, &format!("{path}.storageClassName"), errors);
        }
    }
    source(spec, path, errors);
    let affinity = present(spec, "/nodeAffinity").filter(|_| !is_inline);
    match affinity.map(|affinity| present(affinity, "/required")) {
        Some(Some(selector)) => {
            node_selector::selector(selector, &format!("{path}.nodeAffinity.required"), errors);
        }
        Some(None) => {
            let detail = "must specify required node constraints";
            errors.push(FieldError::required(format!("{path}.nodeAffinity.required"), detail));
        }
        None if has(spec, "/local") => {
            let detail = "Local volume requires node affinity";
            errors.push(FieldError::required(format!("{path}.nodeAffinity"), detail));
        }
        None => {}
    }
    if text(spec, "/hostPath/path") == "/" && text(spec, "/persistentVolumeReclaimPolicy") == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(format!("{path}.persistentVolumeReclaimPolicy"), detail));
    }
    let class = present(spec, "/volumeAttributesClassName").and_then(Value::as_str);
    let field = format!("{path}.volumeAttributesClassName");
    match class {
        None => return,
        Some("") => errors.push(FieldError::required(field, "an empty string is disallowed")),
        Some(name) => obey(names::dns_subdomain, name, &field, errors),
    }
    if !has(spec, "/csi") {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.push(FieldError::required(format!("{path}.csi"), detail));
    }
}

fn capacity(spec: &Value, path: &str, errors: &mut Errors) {
    let field = format!("{path}.capacity");
    let amounts = entries(spec, "/capacity").count();
    if amounts == 0 {
        errors.push(FieldError::required(&*field, ""));
    }
    if amounts > 1 || !has(spec, "/capacity/storage") {
        let given = spec.get("capacity").unwrap_or(&Value::Null).to_string();
        let mut error = FieldError::not_supported(&*field, "", &["storage"]);
        error.message = format!("Unsupported value: {given}: supported values: \"storage\"");
        errors.push(error);
    }
    entries(spec, "/capacity")
        .for_each(|(name, amount)| positive(amount, &format!("{field}[{name}]"), errors));
}

/// Exactly one kind of storage.
fn source(spec: &Value, path: &str, errors: &mut Errors) {
    let given: Vec<&str> = SOURCES.into_iter().filter(|kind| has(spec, &format!("/{kind}"))).collect();
    match given.as_slice() {
        [] => errors.push(FieldError::required(path, "must specify a volume type")),
        [kind, rest @ ..] => {
            let (source, field) = (&spec[*kind], format!("{path}.{kind}"));
            pod::volume::source(kind, source, &field, errors);
            if *kind == "csi" {
                required(source, "volumeHandle", &field, errors);
                for key in SECRETS.iter().filter(|key| has(source, &format!("/{key}"))) {
                    let field = format!("{field}.{key}");
                    obey(
                        names::dns_subdomain,
                        text(source, &format!("/{key}/name")),
                        &format!("{field}.name"),
                        errors,
                    );
                    let namespace = text(source, &format!("/{key}/namespace"));
                    obey(names::dns_label, namespace, &format!("{field}.namespace"), errors);
                }
            }
            for kind in rest {
                let detail = "may not specify more than 1 volume type";
                errors.push(FieldError::forbidden(format!("{path}.{kind}"), detail));
            }
        }
    }
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let sources = |volume: &Value| -> Vec<Option<Value>> {
        let mut all: Vec<Option<Value>> =
            SOURCES.iter().map(|kind| volume.pointer(&format!("/spec/{kind}")).cloned()).collect();
        // Who may grow it can be said later.
        if !has(old, "/spec/csi/controllerExpandSecretRef") {
            all.iter_mut().flatten().for_each(|source| remove(source, "controllerExpandSecretRef"));
        }
        all
    };
    let mut errors = Vec::new();
    if sources(new) != sources(old) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        errors.push(FieldError::forbidden("spec.persistentvolumesource", detail));
    }
    let changed = |key: &str| new.pointer(key) != old.pointer(key);
    let value = |key: &str| new.pointer(key).cloned().unwrap_or_default();
    if changed("/spec/volumeMode") {
        errors.push(FieldError::immutable("volumeMode", &value("/spec/volumeMode")));
    }
    if has(old, "/spec/nodeAffinity") && changed("/spec/nodeAffinity") {
        let detail = "field is immutable, except for updating from beta label to GA";
        errors.push(FieldError::invalid("nodeAffinity", &value("/spec/nodeAffinity"), detail));
    }
    let class = "/spec/volumeAttributesClassName";
    if has(old, class) && !has(new, class) {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden("spec.volumeAttributesClassName", detail));
    }
    errors
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
