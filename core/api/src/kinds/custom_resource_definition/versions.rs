//! What is wrong with the versions of a definition: names, flags, subresources, columns,
//! selectable fields, schemas.
//!
//! What all versions have in common is reported once and at the top (`spec.validation`), as users know it
//! from upstream, whose older API had it there.

use serde_json::Value;

use super::schema;
use crate::{
    access::{flag, list, text},
    custom::{Structural, jsonpath::JsonPath},
    field::FieldError,
    validate::{Errors, names::dns_1035_label},
};

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 9] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password", "name"];
const MOST_SELECTABLE: usize = 8;

pub fn validate(spec: &Value, errors: &mut Errors) {
    let versions = list(spec, "/versions");
    let all = Value::from(versions);
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = version.get("name").unwrap_or(&Value::Null);
        let wrong = dns_1035_label(name.as_str().unwrap_or_default());
        if !wrong.is_empty() {
            errors.push(FieldError::invalid(format!("{path}.name"), name, wrong.join(",")));
        }
        deprecation(version, &path, errors);
        if version.pointer("/schema/openAPIV3Schema").is_none_or(|schema| !schema.is_object()) {
            errors.push(FieldError::required(format!("{path}.schema.openAPIV3Schema"), ""));
        }
    }
    let names: Vec<&str> = versions.iter().map(|version| text(version, "/name")).collect();
    if names.iter().enumerate().any(|(index, name)| names[..index].contains(name)) {
        errors.push(FieldError::invalid("spec.versions", &all, "must contain unique version names"));
    }
    if versions.iter().filter(|version| flag(version, "/storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", &all, detail));
    }
    schemas(versions, errors);
    subresources(versions, errors);
    each_or_all(versions, "/additionalPrinterColumns", "additionalPrinterColumns", |columns, path| {
        for (index, column) in list(columns, "").iter().enumerate() {
            column_faults(column, &format!("{path}[{index}]"), errors);
        }
    });
    for (path, fields, schema) in selectable(versions) {
        selectable_faults(fields, schema, &path, errors);
    }
}

/// Calls `f` with what stands at the pointer of each version, or once if all have the same.
fn each_or_all(versions: &[Value], pointer: &str, name: &str, mut f: impl FnMut(&Value, String)) {
    let found: Vec<Option<&Value>> = versions.iter().map(|version| version.pointer(pointer)).collect();
    if found.windows(2).all(|pair| pair[0] == pair[1]) {
        if let Some(Some(common)) = found.first() {
            f(common, format!("spec.{name}"));
        }
        return;
    }
    for (index, own) in found.iter().enumerate() {
        if let Some(own) = own {
            f(own, format!("spec.versions[{index}].{name}"));
        }
    }
}

fn schemas(versions: &[Value], errors: &mut Errors) {
    let found: Vec<_> = versions.iter().map(|version| version.get("schema")).collect();
    let has_status = |version: &Value| version.pointer("/subresources/status").is_some();
    if found.windows(2).all(|pair| pair[0] == pair[1]) {
        if let Some(schema) = found.first().and_then(|first| first.and_then(|s| s.get("openAPIV3Schema"))) {
            schema::validate(schema, versions.iter().any(has_status), "spec.validation", errors);
        }
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        if let Some(schema) = version.pointer("/schema/openAPIV3Schema") {
            let path = format!("spec.versions[{index}].schema");
            schema::validate(schema, has_status(version), &path, errors);
        }
    }
}

fn deprecation(version: &Value, path: &str, errors: &mut Errors) {
    let Some(warning) = version.get("deprecationWarning").filter(|warning| !warning.is_null()) else {
        return;
    };
    let text = warning.as_str().unwrap_or_default();
    let odd = text.chars().position(char::is_control);
    let detail = match odd {
        _ if !flag(version, "/deprecated") => "can only be set for deprecated versions".to_owned(),
        _ if text.len() > 256 => "must be <= 256 characters long".into(),
        _ if text.is_empty() => "must not be an empty string".into(),
        Some(at) => {
            format!(
                "must only contain printable UTF-8 characters; non-printable character found at index {at}"
            )
        }
        None => return,
    };
    errors.push(FieldError::invalid(format!("{path}.deprecationWarning"), warning, detail));
}

fn subresources(versions: &[Value], errors: &mut Errors) {
    each_or_all(versions, "/subresources", "subresources", |subresources, path| {
        let Some(scale) = subresources.get("scale") else { return };
        for (key, roots, required, detail) in [
            ("specReplicasPath", &[".spec."][..], true, "should be a json path under .spec"),
            ("statusReplicasPath", &[".status."], true, "should be a json path under .status"),
            (
                "labelSelectorPath",
                &[".spec.", ".status."],
                false,
                "should be a json path under either .spec or .status",
            ),
        ] {
            let (value, field) = (text(scale, &format!("/{key}")), format!("{path}.scale.{key}"));
            if value.is_empty() {
                if required {
                    errors.push(FieldError::required(field, ""));
                }
            } else if !value.starts_with('.') {
                let detail = "must be a simple json path starting with .";
                errors.push(FieldError::invalid(field, &value.into(), detail));
            } else if !roots.iter().any(|root| value.starts_with(root)) {
                errors.push(FieldError::invalid(field, &value.into(), detail));
            }
        }
    });
}

fn column_faults(column: &Value, path: &str, errors: &mut Errors) {
    if text(column, "/name").is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    let one_of = format!("must be one of {}", COLUMN_TYPES.join(","));
    match text(column, "/type") {
        "" => errors.push(FieldError::required(format!("{path}.type"), &one_of)),
        known if COLUMN_TYPES.contains(&known) => {}
        other => errors.push(FieldError::invalid(format!("{path}.type"), &other.into(), one_of)),
    }
    let format = text(column, "/format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let mut known = COLUMN_FORMATS;
        known.sort_unstable();
        let detail = format!("must be one of {}", known.join(","));
        errors.push(FieldError::invalid(format!("{path}.format"), &format.into(), detail));
    }
    let (value, field) = (text(column, "/jsonPath"), format!("{path}.JSONPath"));
    if value.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if !value.starts_with('.') {
        let detail = "must be a simple json path starting with .";
        errors.push(FieldError::invalid(field, &value.into(), detail));
    } else if let Err(why) = JsonPath::parse(value) {
        errors.push(FieldError::invalid(field, &value.into(), format!("must be a json path: {why}")));
    }
}

/// Path, fields and schema, of each version or once for all.
fn selectable(versions: &[Value]) -> Vec<(String, &Value, &Value)> {
    let pairs: Vec<Option<(&Value, &Value)>> = versions
        .iter()
        .map(|version| Some((version.get("selectableFields")?, version.pointer("/schema/openAPIV3Schema")?)))
        .collect();
    if pairs.windows(2).all(|pair| pair[0] == pair[1]) {
        let first = pairs.into_iter().flatten().next();
        return first.map(|(f, s)| ("spec.selectableFields".to_owned(), f, s)).into_iter().collect();
    }
    let named = |(index, pair): (usize, Option<_>)| {
        let (fields, schema) = pair?;
        Some((format!("spec.versions[{index}].selectableFields"), fields, schema))
    };
    pairs.into_iter().enumerate().filter_map(named).collect()
}

fn selectable_faults(fields: &Value, schema: &Value, path: &str, errors: &mut Errors) {
    let schema = Structural::parse(schema);
    let mut seen: Vec<&str> = Vec::new();
    for (index, field) in list(fields, "").iter().enumerate() {
        let (value, at) = (text(field, "/jsonPath"), format!("{path}[{index}].jsonPath"));
        if value.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let ty = match field_type(&schema, value) {
            Ok(ty) => ty,
            Err(why) => {
                let detail = format!("is an invalid path: {why}");
                errors.push(FieldError::invalid(at, &value.into(), detail));
                continue;
            }
        };
        if value.starts_with(".metadata") {
            let detail = "must not point to fields in metadata";
            errors.push(FieldError::invalid(at.clone(), &value.into(), detail));
        }
        if !matches!(ty, "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and \
                          strings with formats are allowed.";
            errors.push(FieldError::invalid(at.clone(), &value.into(), detail));
        }
        if seen.contains(&value) {
            errors.push(FieldError::duplicate(at, &value.into()));
        } else {
            seen.push(value);
        }
    }
    if seen.len() > MOST_SELECTABLE {
        errors.push(FieldError::too_many(path, seen.len(), MOST_SELECTABLE));
    }
}

fn field_type<'a>(schema: &'a Structural, path: &str) -> Result<&'a str, String> {
    let Some(path) = path.strip_prefix('.') else { return Err(format!("expected [ or . but got: {path}")) };
    if path.contains('[') {
        return Err("array notation is not allowed".into());
    }
    let step = |schema: &'a Structural, name: &str| {
        schema.field(name).ok_or_else(|| "does not refer to a valid field".to_owned())
    };
    path.split('.').try_fold(schema, step).map(|found| found.ty.as_str())
}
