//! Type and metadata of whole objects: of the custom resource itself, and of
//! objects embedded in it (`x-kubernetes-embedded-resource`).

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::{Structural, path::Path};
use crate::{
    access::has,
    field::FieldError,
    schema::{self, Check, Schema, TypeError},
    validate::{Errors, labels, metadata, names},
};

/// `metadata` as every object has it.
pub fn metadata_schema() -> &'static Arc<Schema> {
    static METADATA: OnceLock<Arc<Schema>> = OnceLock::new();
    METADATA.get_or_init(|| {
        schema::of("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap_or_else(|| Schema::any().clone())
    })
}

/// Brings the metadata of the object and of all embedded ones into their form. Gives the
/// unknown fields.
///
/// # Errors
/// A field of metadata has the wrong type.
pub fn shape(schema: &Structural, object: &mut Value, check: Check) -> Result<Vec<String>, TypeError> {
    let mut found = Found { unknown: Vec::new(), check };
    walk(schema, object, true, &Path::Root, &mut found)?;
    Ok(found.unknown)
}

/// What is unknown so far, and how metadata is checked.
struct Found {
    unknown: Vec<String>,
    check: Check,
}

fn walk(
    schema: &Structural,
    value: &mut Value,
    resource: bool,
    at: &Path<'_>,
    found: &mut Found,
) -> Result<(), TypeError> {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                let path = Path::Field(at, name);
                if resource && name == "metadata" {
                    let unknown = (found.check)(metadata_schema(), value).map_err(|error| {
                        let field = Path::Field(&path, &error.path).to_string();
                        TypeError { path: field, message: error.message }
                    })?;
                    found.unknown.extend(unknown.iter().map(|field| format!("{path}.{field}")));
                } else if let Some(field) = schema.field(name) {
                    walk(field, value, field.embedded, &path, found)?;
                }
            }
        }
        Value::Array(items) => {
            let Some(item) = &schema.items else { return Ok(()) };
            for (index, value) in items.iter_mut().enumerate() {
                walk(item, value, item.embedded, &Path::Index(at, index), found)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What is wrong with the embedded objects.
pub fn check(schema: &Structural, value: &Value) -> Errors {
    let mut errors = Vec::new();
    check_below(schema, value, &Path::Root, &mut errors);
    errors
}

fn check_below(schema: &Structural, value: &Value, at: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::Object(map) => {
            if schema.embedded {
                check_one(value, at, errors);
            }
            for (name, value) in map {
                if let Some(field) = schema.properties.get(name) {
                    check_below(field, value, &Path::Field(at, name), errors);
                } else if let Some(field) = schema.additional.schema() {
                    check_below(field, value, &Path::Key(at, name), errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(item) = &schema.items else { return };
            for (index, value) in items.iter().enumerate() {
                check_below(item, value, &Path::Index(at, index), errors);
            }
        }
        _ => {}
    }
}

fn check_one(object: &Value, at: &Path<'_>, errors: &mut Errors) {
    let field = |name: &str| Path::Field(at, name).to_string();
    for key in ["apiVersion", "kind"] {
        match object.get(key) {
            None => errors.push(FieldError::required(field(key), "")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::invalid(field(key), &"".into(), "must not be empty"));
            }
            Some(Value::String(text)) => check_word(key, text, field(key), errors),
            Some(other) => errors.push(FieldError::invalid(field(key), other, "must be a string")),
        }
    }
    let Some(meta) = object.get("metadata") else { return };
    let path = field("metadata");
    if let Some(name) = meta.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        let wrong = names::path_segment(name).into_iter();
        errors.extend(wrong.map(|w| FieldError::invalid(format!("{path}.name"), &name.into(), w)));
    }
    if has(meta, "/labels") {
        labels::labels(meta.get("labels"), &format!("{path}.labels"), errors);
    }
    metadata::annotations(meta, &path, errors);
}

fn check_word(key: &str, text: &str, field: String, errors: &mut Errors) {
    if key == "apiVersion" {
        if text.matches('/').count() > 1 {
            let detail = format!("unexpected GroupVersion string: {text}");
            errors.push(FieldError::invalid(field, &text.into(), detail));
        }
        return;
    }
    let wrong = names::dns_1035_label(&text.to_lowercase());
    if !wrong.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
        errors.push(FieldError::invalid(field, &text.into(), detail));
    }
}
