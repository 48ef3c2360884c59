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
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    }
}

fn validate(secret: &Value) -> Errors {
    let mut errors = Vec::new();
    config_map::keys(secret, "data", &mut errors);
    if config_map::decoded_size(secret, "/data") > SIZE_LIMIT {
        errors.push(FieldError::too_long("data", SIZE_LIMIT));
    }
    let kind = text(secret, "/type");
    let value = |key: &str| secret["data"].get(key).and_then(Value::as_str);
    let is_missing = |key: &str| match kind {
        "kubernetes.io/ssh-auth" => value(key).is_none_or(str::is_empty),
        _ => value(key).is_none(),
    };
    for key in needed(kind).iter().filter(|key| is_missing(key)) {
        errors.push(FieldError::required(format!("data[{key}]"), ""));
    }
    match kind {
        "kubernetes.io/basic-auth" if ["username", "password"].iter().all(|key| is_missing(key)) => {
            errors.push(FieldError::required("data[username]", ""));
            errors.push(FieldError::required("data[password]", ""));
        }
        "kubernetes.io/dockercfg" => registries(value(".dockercfg"), ".dockercfg", &mut errors),
        "kubernetes.io/dockerconfigjson" => {
            registries(value(".dockerconfigjson"), ".dockerconfigjson", &mut errors);
        }
        _ => {}
    }
    let account = "kubernetes.io/service-account.name";
    if kind == "kubernetes.io/service-account-token"
        && secret["metadata"]["annotations"][account].as_str().is_none_or(str::is_empty)
    {
        errors.push(FieldError::required(format!("metadata.annotations[{account}]"), ""));
    }
    errors
}

/// Credentials for registries are a JSON object.
fn registries(text: Option<&str>, key: &str, errors: &mut Errors) {
    let field = format!("data[{key}]");
    let Some(text) = text else { return errors.push(FieldError::required(field, "")) };
    let bytes = STANDARD.decode(text).unwrap_or_default();
    let detail = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(_) => "json: cannot unmarshal into Go value of type map[string]interface {}".to_owned(),
        Err(error) if error.is_eof() => "unexpected end of JSON input".to_owned(),
        Err(_) => match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(byte) if !b"{[\"".contains(byte) => {
                format!("invalid character '{}' looking for beginning of value", char::from(*byte))
            }
            _ => "invalid character in JSON".to_owned(),
        },
    };
    errors.push(FieldError::invalid(field, &"<secret contents redacted>".into(), detail));
}
