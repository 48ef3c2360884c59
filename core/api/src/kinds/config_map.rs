//! ConfigMap: configuration as keys and values.

use serde_json::Value;

use crate::{
    access::{entries, flag},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME},
    validate::{Errors, names},
};

const SIZE_LIMIT: usize = 1024 * 1024;

pub static KIND: Kind = Kind {
    short_names: &["cm"],
    validate,
    validate_update: |new, old| immutable(new, old, &["/data", "/binaryData"]),
    columns: &[
        NAME,
        Column::number("Data", |map, _| {
            (entries(map, "/data").count() + entries(map, "/binaryData").count()).into()
        }),
        AGE,
    ],
    ..Kind::namespaced("", "v1", "ConfigMap", "configmaps", "configmap", "io.k8s.api.core.v1.ConfigMap")
};

fn validate(map: &Value) -> Errors {
    let mut errors = Vec::new();
    keys(map, "data", &mut errors);
    keys(map, "binaryData", &mut errors);
    for (key, _) in entries(map, "/data").filter(|(key, _)| map["binaryData"].get(key.as_str()).is_some()) {
        let detail = "duplicate of key present in binaryData";
        errors.push(FieldError::invalid(format!("data[{key}]"), &key.as_str().into(), detail));
    }
    let plain: usize = entries(map, "/data").map(|(_, v)| v.as_str().map_or(0, str::len)).sum();
    if plain + decoded_size(map, "/binaryData") > SIZE_LIMIT {
        errors.push(FieldError::too_long("[]", SIZE_LIMIT));
    }
    errors
}

/// How many bytes a map's values, in base 64, stand for.
pub fn decoded_size(object: &Value, pointer: &str) -> usize {
    let size = |text: &str| text.len() / 4 * 3 - text.bytes().rev().take_while(|b| *b == b'=').count().min(2);
    entries(object, pointer).filter_map(|(_, v)| v.as_str()).filter(|text| text.len() >= 4).map(size).sum()
}

/// The keys of a field of data become the names of files.
pub fn keys(object: &Value, field: &str, errors: &mut Errors) {
    for (key, _) in entries(object, &format!("/{field}")) {
        let wrong = names::config_key(key);
        let path = format!("{field}[{key}]");
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid(&*path, &key.as_str().into(), w)));
    }
}

/// Once `immutable`, these fields and the flag itself stay.
pub fn immutable(new: &Value, old: &Value, fields: &[&str]) -> Errors {
    if !flag(old, "/immutable") {
        return Vec::new();
    }
    let detail = "field is immutable when `immutable` is set";
    let mut errors = Vec::new();
    if !flag(new, "/immutable") {
        errors.push(FieldError::forbidden("immutable", detail));
    }
    let changed = fields.iter().filter(|field| new.pointer(field) != old.pointer(field));
    errors.extend(changed.map(|field| FieldError::forbidden(field.trim_start_matches('/'), detail)));
    errors
}
