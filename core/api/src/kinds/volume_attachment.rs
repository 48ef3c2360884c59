//! VolumeAttachment: the wish to have a volume attached to a node. Served; nothing attaches volumes yet.

use serde_json::Value;

use super::volume;
use crate::{
    access::{entries, flag, int, keep_status, present, remove, text},
    field::FieldError,
    kind::{Column, Kind, METADATA, Subresource},
    table::{AGE, NAME, text_or},
    validate::{Errors, driver_name, names, obey, unchanged},
};

const METADATA_LIMIT: usize = 256 * 1024;
const MESSAGE_LIMIT: usize = 1024;

pub static KIND: Kind = Kind {
    subresources: &[Subresource::Status],
    status_keeps: METADATA,
    prepare_create: |attachment| {
        remove(attachment, "status");
        attachment["status"] = serde_json::json!({"attached": false});
    },
    prepare_update: keep_status,
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec"]),
    validate_status: |new, _| status(new),
    columns: &[
        NAME,
        Column::text("Attacher", |a, _| text_or(a, "/spec/attacher", "")),
        Column::text("PV", |a, _| text_or(a, "/spec/source/persistentVolumeName", "")),
        Column::text("Node", |a, _| text_or(a, "/spec/nodeName", "")),
        Column { kind: "boolean", ..Column::text("Attached", |a, _| flag(a, "/status/attached").into()) },
        AGE,
    ],
    ..Kind::cluster(
        "storage.k8s.io",
        "v1",
        "VolumeAttachment",
        "volumeattachments",
        "volumeattachment",
        "io.k8s.api.storage.v1.VolumeAttachment",
    )
};

fn validate(attachment: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = attachment.get("spec").unwrap_or(&Value::Null);
    driver_name(text(spec, "/attacher"), "spec.attacher", &mut errors);
    source(spec.get("source").unwrap_or(&Value::Null), "spec.source", &mut errors);
    obey(names::dns_subdomain, text(spec, "/nodeName"), "spec.nodeName", &mut errors);
    errors.extend(status(attachment));
    errors
}

fn source(source: &Value, path: &str, errors: &mut Errors) {
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (present(source, "/persistentVolumeName"), present(source, "/inlineVolumeSpec")) {
        (None, None) => errors.push(FieldError::required(path, detail)),
        (Some(_), Some(_)) => errors.push(FieldError::forbidden(path, detail)),
        (Some(name), None) => {
            let (name, path) = (name.as_str().unwrap_or_default(), format!("{path}.persistentVolumeName"));
            if name.is_empty() {
                let detail = "must specify non empty persistentVolumeName";
                errors.push(FieldError::required(&*path, detail));
            }
            obey(names::dns_subdomain, name, &path, errors);
        }
        (None, Some(spec)) => volume::inline(spec, &format!("{path}.inlineVolumeSpec"), errors),
    }
}

fn status(attachment: &Value) -> Errors {
    let mut errors = Vec::new();
    let size: usize = entries(attachment, "/status/attachmentMetadata")
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > METADATA_LIMIT {
        errors.push(FieldError::too_long("status.attachmentMetadata", METADATA_LIMIT));
    }
    for key in ["attachError", "detachError"] {
        let Some(error) = attachment.get("status").and_then(|status| present(status, &format!("/{key}")))
        else {
            continue;
        };
        if text(error, "/message").len() > MESSAGE_LIMIT {
            errors.push(FieldError::too_long(format!("status.{key}.message"), METADATA_LIMIT));
        }
        if let Some(code) = int(error, "/errorCode").filter(|code| *code < 0) {
            let detail = "must be between 0 and 2147483647, inclusive";
            errors.push(FieldError::invalid(format!("status.{key}.errorCode"), &code.into(), detail));
        }
    }
    errors
}
