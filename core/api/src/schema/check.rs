//! Whether an object fits its schema: what decoding into types is elsewhere.
//!
//! One walk over the object finds wrong types, removes what is unknown or null and
//! brings times and quantities into the one form that clients can decode. It goes
//! only as deep as the schema does, so a hostile nesting costs nothing.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{Format, ListType, Schema, Type, format, zeros};

/// A value of the wrong type; the request is a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TypeError {
    /// `spec.replicas`
    pub path: String,
    pub message: String,
}

/// Brings a decoded object into the schema's shape, in place: nulls count as
/// absent, unknown fields are removed, numbers where quantities stand become
/// strings, and what Go leaves out when it is empty is left out. Gives the paths of the
/// unknown fields (`spec.foo`).
pub fn check(schema: &Schema, object: &mut Value) -> Result<Vec<String>, TypeError> {
    check_with(schema, object, false)
}

/// As [`check`], but for empty fields, which stay: those of an applied configuration have an owner.
pub fn check_as_written(schema: &Schema, object: &mut Value) -> Result<Vec<String>, TypeError> {
    check_with(schema, object, true)
}

fn check_with(schema: &Schema, object: &mut Value, keeps_zeros: bool) -> Result<Vec<String>, TypeError> {
    let mut found = Found { unknown: Vec::new(), keeps_zeros };
    let owner = schema.name.as_str();
    walk(schema, object, &Place { path: &Path::Root, owner }, &mut found)?;
    Ok(found.unknown)
}

/// What is told of an object, and how it is read.
struct Found {
    unknown: Vec<String>,
    keeps_zeros: bool,
}

/// The message of the 400 for an object of this kind that can't be decoded.
pub fn refusal(kind: &str, version: &str, why: &str) -> String {
    format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}")
}

/// A place in the object, built on the stack while walking down.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// The field names only, as decoding errors name a place.
    fn without_indexes(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(parent, name) => match parent.without_indexes() {
                prefix if prefix.is_empty() => (*name).to_owned(),
                prefix => format!("{prefix}.{name}"),
            },
            Self::Index(parent, _) => parent.without_indexes(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Place<'a> {
    path: &'a Path<'a>,
    /// The nearest definition above: `v1.PodSpec`.
    owner: &'a str,
}

impl Place<'_> {
    fn error(&self, message: String) -> TypeError {
        TypeError { path: self.path.to_string(), message }
    }

    fn mismatch(&self, schema: &Schema, found: &Value) -> TypeError {
        let owner = self.owner.rsplit('.').next().unwrap_or_default();
        let field = self.path.without_indexes();
        let into = match field.is_empty() {
            true => "Go value".to_owned(),
            false => format!("Go struct field {owner}.{field}"),
        };
        self.error(format!(
            "json: cannot unmarshal {} into {into} of type {}",
            found_name(found),
            type_name(schema)
        ))
    }
}

fn walk(schema: &Schema, value: &mut Value, at: &Place<'_>, found: &mut Found) -> Result<(), TypeError> {
    if let (Some(again), true) = (&schema.recursive, value.is_object())
        && let Some(schema) = super::of(again)
    {
        return walk(&schema, value, at, found);
    }
    match (schema.ty, &mut *value) {
        (Type::Any, _) => Ok(()),
        (_, Value::Null) if schema.nullable => Ok(()),
        (Type::Object, Value::Object(map)) => walk_object(schema, map, at, found),
        (Type::Array, Value::Array(items)) => walk_array(schema, items, at, found),
        (Type::String, Value::String(text)) => check_text(schema.format, text, at),
        (Type::Boolean, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::IntOrString, Value::String(_)) => Ok(()),
        (Type::Integer, Value::Number(n)) if fits(schema.format, n) => Ok(()),
        (Type::IntOrString, Value::Number(n)) if fits(Format::Int32, n) => Ok(()),
        (Type::Quantity, Value::String(_) | Value::Number(_)) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            *value = Value::String(format::quantity(&text).map_err(|m| at.error(m))?);
            Ok(())
        }
        (_, other) => Err(at.mismatch(schema, other)),
    }
}

fn walk_object(
    schema: &Schema,
    map: &mut Map<String, Value>,
    at: &Place<'_>,
    found: &mut Found,
) -> Result<(), TypeError> {
    let owner = if schema.name.is_empty() { at.owner } else { schema.name.as_str() };
    let mut dropped: Vec<String> = Vec::new();
    for (name, value) in map.iter_mut() {
        let path = Path::Field(at.path, name);
        match (schema.properties.get(name), &schema.additional) {
            (Some(field), _) if value.is_null() && !field.nullable => dropped.push(name.clone()),
            (Some(field), _) => {
                walk(field, value, &Place { path: &path, owner }, found)?;
                if !found.keeps_zeros && zeros::is_left_out(field, value) {
                    dropped.push(name.clone());
                }
            }
            (None, Some(field)) => {
                replace_null(field, value);
                walk(field, value, &Place { path: &path, owner }, found)?;
            }
            (None, None) if schema.preserve_unknown => {}
            (None, None) => {
                found.unknown.push(path.to_string());
                dropped.push(name.clone());
            }
        }
    }
    for name in dropped {
        map.remove(&name);
    }
    Ok(())
}

fn walk_array(
    schema: &Schema,
    items: &mut [Value],
    at: &Place<'_>,
    found: &mut Found,
) -> Result<(), TypeError> {
    let Some(item) = &schema.items else { return Ok(()) };
    for (index, value) in items.iter_mut().enumerate() {
        let path = Path::Index(at.path, index);
        replace_null(item, value);
        walk(item, value, &Place { path: &path, owner: at.owner }, found)?;
        if let (ListType::Map(_), Value::Object(element)) = (&schema.list, &mut *value) {
            default_keys(schema, item, element);
        }
    }
    Ok(())
}

/// Keys of list elements that have a default are always there, so that elements can be told apart.
fn default_keys(list: &Schema, item: &Schema, element: &mut Map<String, Value>) {
    let ListType::Map(keys) = &list.list else { return };
    for key in keys {
        if let Some(default) = item.properties.get(key).and_then(|p| p.default.as_ref())
            && !element.contains_key(key)
        {
            element.insert(key.clone(), default.clone());
        }
    }
}

/// A null in a map or list stands for the type's zero value.
fn replace_null(schema: &Schema, value: &mut Value) {
    if !value.is_null() || schema.nullable {
        return;
    }
    *value = match schema.ty {
        Type::Any => return,
        Type::Object => json!({}),
        Type::Array => json!([]),
        Type::String => json!(""),
        Type::Integer | Type::Number | Type::IntOrString => json!(0),
        Type::Boolean => json!(false),
        Type::Quantity => json!("0"),
    };
}

fn check_text(expected: Format, text: &mut String, at: &Place<'_>) -> Result<(), TypeError> {
    let done = match expected {
        Format::DateTime => format::time(text, 0).map(Some),
        Format::MicroTime => format::time(text, 6).map(Some),
        Format::Byte => format::base64(text).map(Some),
        Format::None | Format::Int32 | Format::Int64 => Ok(None),
    };
    if let Some(canonical) = done.map_err(|m| at.error(m))? {
        *text = canonical;
    }
    Ok(())
}

fn fits(format: Format, number: &serde_json::Number) -> bool {
    match format {
        Format::Int32 => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        _ => number.is_i64(),
    }
}

fn found_name(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(n) if n.is_i64() && i32::try_from(n.as_i64().unwrap_or_default()).is_ok() => {
            "number".into()
        }
        Value::Number(n) => format!("number {n}"),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    }
}

fn type_name(schema: &Schema) -> String {
    match schema.ty {
        Type::Any => "interface {}".into(),
        Type::Object => match &schema.additional {
            Some(values) => format!("map[string]{}", type_name(values)),
            None => schema.name.clone(),
        },
        Type::Array => format!("[]{}", schema.items.as_deref().map(type_name).unwrap_or_default()),
        Type::String => match schema.format {
            Format::Byte => "[]uint8".into(),
            Format::DateTime => "v1.Time".into(),
            Format::MicroTime => "v1.MicroTime".into(),
            _ => "string".into(),
        },
        Type::Integer => if schema.format == Format::Int32 { "int32" } else { "int64" }.into(),
        Type::Number => "float64".into(),
        Type::Boolean => "bool".into(),
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::Quantity => "resource.Quantity".into(),
    }
}
