//! What is wrong with a Pod's volumes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::validate::unique;
use crate::{
    access::{list, present, text},
    field::FieldError,
    validate::{Errors, names, optional_one_of, required},
};

const HOST_PATH_TYPES: &[&str] =
    &["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

/// Checks the volumes of the spec at `path` and gives their names, for mounts to refer to.
pub fn validate<'a>(volumes: &'a [Value], path: &str, errors: &mut Errors) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let names = volumes.iter().enumerate();
    unique(names.map(|(i, v)| (format!("{path}.volumes[{i}].name"), text(v, "/name"))), &mut seen, errors);
    for (index, volume) in volumes.iter().enumerate() {
        validate_one(volume, &format!("{path}.volumes[{index}]"), errors);
    }
    seen
}

fn validate_one(volume: &Value, path: &str, errors: &mut Errors) {
    let name = text(volume, "/name");
    let field = format!("{path}.name");
    match name {
        "" => errors.push(FieldError::required(field, "")),
        _ => {
            let wrong = names::dns_label(name);
            errors.extend(wrong.into_iter().map(|w| FieldError::invalid(&*field, &name.into(), w)));
        }
    }
    let sources: Vec<&String> = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| *key != "name" && !value.is_null())
        .map(|(key, _)| key)
        .collect();
    match sources.as_slice() {
        [] => errors.push(FieldError::required(path, "must specify a volume type")),
        [_] => {}
        [_, rest @ ..] => {
            let more = rest.iter().map(|key| format!("{path}.{key}"));
            errors.extend(
                more.map(|field| FieldError::forbidden(field, "may not specify more than 1 volume type")),
            );
        }
    }
    source(volume, path, errors);
}

fn source(volume: &Value, path: &str, errors: &mut Errors) {
    if let Some(secret) = present(volume, "/secret") {
        required(secret, "secretName", &format!("{path}.secret"), errors);
        items(list(secret, "/items"), &format!("{path}.secret"), errors);
    }
    if let Some(config_map) = present(volume, "/configMap") {
        required(config_map, "name", &format!("{path}.configMap"), errors);
        items(list(config_map, "/items"), &format!("{path}.configMap"), errors);
    }
    if let Some(host_path) = present(volume, "/hostPath") {
        let path = format!("{path}.hostPath");
        required(host_path, "path", &path, errors);
        if text(host_path, "/path").split('/').any(|part| part == "..") {
            let value = text(host_path, "/path").into();
            errors.push(FieldError::invalid(format!("{path}.path"), &value, "must not contain '..'"));
        }
        if !text(host_path, "/type").is_empty() {
            optional_one_of(host_path, "type", &path, HOST_PATH_TYPES, errors);
        }
    }
    if let Some(claim) = present(volume, "/persistentVolumeClaim") {
        required(claim, "claimName", &format!("{path}.persistentVolumeClaim"), errors);
    }
    for (index, source) in list(volume, "/projected/sources").iter().enumerate() {
        let path = format!("{path}.projected.sources[{index}]");
        for kind in ["secret", "configMap"] {
            if let Some(source) = present(source, &format!("/{kind}")) {
                required(source, "name", &format!("{path}.{kind}"), errors);
                items(list(source, "/items"), &format!("{path}.{kind}"), errors);
            }
        }
        if let Some(token) = present(source, "/serviceAccountToken") {
            required(token, "path", &format!("{path}.serviceAccountToken"), errors);
        }
    }
}

/// Keys of a Secret or ConfigMap and the relative paths they become.
fn items(items: &[Value], path: &str, errors: &mut Errors) {
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        required(item, "key", &path, errors);
        required(item, "path", &path, errors);
        local_path(text(item, "/path"), &format!("{path}.path"), errors);
    }
}

/// A path that must stay inside its folder.
pub fn local_path(text: &str, field: &str, errors: &mut Errors) {
    if text.starts_with('/') {
        errors.push(FieldError::invalid(field, &text.into(), "must be a relative path"));
    }
    if text.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(field, &text.into(), "must not contain '..'"));
    }
}
