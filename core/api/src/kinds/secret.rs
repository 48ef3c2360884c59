//! Secret: configuration that is not for everyone's eyes.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::config_map;
use crate::{
    access::{default, ensure, entries, set, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, text_or},
    validate::{Errors, unchanged},
};

const SIZE_LIMIT: usize = 1024 * 1024;

pub static KIND: Kind = Kind {
    default: |secret| {
        encode_string_data(secret);
        default(secret, "type", "Opaque");
    },
    validate,
    validate_update: |new, old| {
        let mut errors = unchanged(new, old, &["/type"]);
        errors.extend(config_map::immutable(new, old, &["/data"]));
        errors
    },
    columns: &[
        NAME,
        Column::text("Type", |secret, _| text_or(secret, "/type", "")),
        Column::number("Data", |secret, _| entries(secret, "/data").count().into()),
        AGE,
    ],
    selectable: &["type"],
    ..Kind::namespaced("", "v1", "Secret", "secrets", "secret", "io.k8s.api.core.v1.Secret")
};

/// `stringData` is for writing only: it becomes `data` and wins over it.
fn encode_string_data(secret: &mut Value) {
    let Some(plain) = secret.as_object_mut().and_then(|s| s.remove("stringData")) else { return };
    let Some(data) = ensure(secret, "data") else { return };
    for (key, value) in plain.as_object().into_iter().flatten() {
        set(data, key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
    }
}

/// The keys that a type of Secret must have.
fn needed(kind: &str) -> &'static [&'static str] {
    match kind {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    }
}

fn validate(secret: &Value) -> Errors {
    let mut errors = Vec::new();
    config_map::keys(secret, "data", &mut errors);
    let size: usize = entries(secret, "/data").map(|(_, v)| v.as_str().map_or(0, str::len) * 3 / 4).sum();
    if size > SIZE_LIMIT {
        errors.push(FieldError::too_long("data", SIZE_LIMIT));
    }
    let kind = text(secret, "/type");
    for key in needed(kind).iter().filter(|key| secret["data"].get(**key).is_none()) {
        errors.push(FieldError::required(format!("data[{key}]"), ""));
    }
    let account = "kubernetes.io/service-account.name";
    if kind == "kubernetes.io/service-account-token"
        && secret["metadata"]["annotations"].get(account).is_none()
    {
        errors.push(FieldError::required(format!("metadata.annotations[{account}]"), ""));
    }
    errors
}
