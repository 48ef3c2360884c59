//! Whether a value holds what its schema asks: types, limits, formats, branches.
//!
//! Paths and messages are those that users of kubectl know. On an update, a
//! part that is as it was isn't looked at again, so that an object which broke no rule
//! when it was written can still be changed elsewhere.

use serde_json::Value;

use super::{
    Structural,
    path::{Path, former_item},
    structural::Additional,
};
use crate::field::{FieldError, Reason};

mod branches;
mod scalar;

/// Everything wrong with `value`, which stands at `path`; `old` is what stood there before.
pub fn check(schema: &Structural, value: &Value, old: Option<&Value>, path: &Path<'_>) -> Vec<FieldError> {
    let mut outcome = Outcome::default();
    walk(schema, value, old, path, &mut outcome);
    outcome.errors
}

/// Errors, and how many checks went well: of several branches that fail, the one that
/// fits best is told of.
#[derive(Default)]
struct Outcome {
    errors: Vec<FieldError>,
    passed: usize,
}

impl Outcome {
    fn merge(&mut self, other: Outcome) {
        self.errors.extend(other.errors);
        self.passed += other.passed;
    }

    fn invalid(&mut self, path: &Path<'_>, value: &Value, rule: &str) {
        let message = format!("Invalid value: {value}: {path} in body {rule}");
        self.errors.push(FieldError { reason: Reason::Invalid, field: path.to_string(), message });
    }

    /// Something that isn't said of a field.
    fn composite(&mut self, message: String) {
        let message = format!("Invalid value: \"\": {message}");
        self.errors.push(FieldError { reason: Reason::Invalid, field: "<nil>".into(), message });
    }

    fn wrong_type(&mut self, path: &Path<'_>, expected: &str, found: &str) {
        let message =
            format!("Invalid value: {found:?}: {path} in body must be of type {expected}: {found:?}");
        self.errors.push(FieldError { reason: Reason::TypeInvalid, field: path.to_string(), message });
    }
}

fn walk(schema: &Structural, value: &Value, old: Option<&Value>, at: &Path<'_>, out: &mut Outcome) {
    if old == Some(value) {
        return;
    }
    let before = out.errors.len();
    check_type(schema, value, at, out);
    if out.errors.len() == before {
        out.passed += 1;
    }
    if value.is_null() {
        return scalar::allowed(schema, value, at, out);
    }
    branches::check(schema, value, at, out);
    match value {
        Value::String(text) => scalar::string(schema, text, at, out),
        Value::Number(number) => scalar::number(schema, number, at, out),
        Value::Array(items) => array(schema, items, old, at, out),
        _ => {}
    }
    scalar::allowed(schema, value, at, out);
    if let Value::Object(map) = value {
        object(schema, map, old, at, out);
    }
}

fn check_type(schema: &Structural, value: &Value, at: &Path<'_>, out: &mut Outcome) {
    let expected: &[&str] = match schema.ty.as_str() {
        _ if schema.int_or_string => &["integer", "string"],
        "" => return,
        one => &[one],
    };
    if value.is_null() && schema.nullable {
        return;
    }
    let found = type_name(value);
    let whole = value.as_f64().is_some_and(|n| n.fract() == 0.0) && expected.contains(&"integer");
    let counts_as_number = found == "integer" && expected.contains(&"number");
    if !(expected.contains(&found) || (found == "number" && whole) || counts_as_number) {
        out.wrong_type(at, &expected.join(","), found);
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn array(schema: &Structural, items: &[Value], old: Option<&Value>, at: &Path<'_>, out: &mut Outcome) {
    if let Some(item) = &schema.items {
        for (index, value) in items.iter().enumerate() {
            walk(item, value, former_item(schema, value, old), &Path::Index(at, index), out);
        }
    }
    let size = items.len() as u64;
    if let Some(least) = schema.limits.min_items.filter(|least| size < *least) {
        out.invalid(at, &size.into(), &format!("should have at least {least} items"));
    }
    if let Some(most) = schema.limits.max_items.filter(|most| size > *most) {
        out.errors.push(FieldError::too_many(at.to_string(), items.len(), most as usize));
    }
    out.passed += 1;
}

fn object(
    schema: &Structural,
    map: &serde_json::Map<String, Value>,
    old: Option<&Value>,
    at: &Path<'_>,
    out: &mut Outcome,
) {
    let size = map.len() as u64;
    if let Some(least) = schema.limits.min_properties.filter(|least| size < *least) {
        out.invalid(at, &size.into(), &format!("should have at least {least} properties"));
    }
    if let Some(most) = schema.limits.max_properties.filter(|most| size > *most) {
        out.errors.push(FieldError::too_many(at.to_string(), map.len(), most as usize));
    }
    for (name, value) in map {
        let path = Path::Field(at, name);
        let former = old.and_then(|old| old.get(name));
        match (schema.properties.get(name), &schema.additional) {
            (Some(field), _) => walk(field, value, former, &path, out),
            (None, Additional::Of(field)) => walk(field, value, former, &path, out),
            (None, Additional::Forbidden) => {
                let message = format!("Invalid value: {name:?}: {path} in body is a forbidden property");
                out.errors.push(FieldError { reason: Reason::Invalid, field: at.to_string(), message });
            }
            (None, _) => {}
        }
    }
    for name in schema.limits.required.iter().filter(|name| !map.contains_key(*name)) {
        out.errors.push(FieldError::required(Path::Field(at, name).to_string(), ""));
    }
}
