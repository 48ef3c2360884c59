//! JSON as values of the language, typed by the schema: times are times, numbers are whole
//! or not as the schema says, and what the schema doesn't name isn't seen.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use kube_cel::cel::{
    Value as Cel,
    objects::{Key, Map},
};
use serde_json::{Number, Value};

use super::schema_type::escape;
use crate::{
    cel::{library, meter::Meter},
    custom::Structural,
};

/// A value under its schema; `whole` says that it is an object with type and metadata.
pub fn typed(value: &Value, schema: &Structural, whole: bool) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => typed_number(number, schema),
        Value::String(text) => typed_text(text, schema),
        Value::Array(items) => match &schema.items {
            Some(item) => list(items.iter().map(|value| typed(value, item, item.embedded))),
            None => untyped(value),
        },
        Value::Object(map) => {
            let is_map = schema.additional.schema().is_some();
            let mut fields = HashMap::with_capacity(map.len());
            for (name, value) in map {
                let of = schema.field(name).map(|field| typed(value, field, field.embedded));
                let seen = match name.as_str() {
                    "apiVersion" | "kind" if whole => Some(untyped(value)),
                    "metadata" if whole => Some(names_only(value)),
                    _ => of.or_else(|| is_free(schema).then(|| untyped(value))),
                };
                if let Some(seen) = seen {
                    let key = if is_map { name.clone() } else { escape(name) };
                    fields.insert(Key::String(Arc::new(key)), seen);
                }
            }
            Cel::Map(Map { map: Arc::new(fields) })
        }
    }
}

/// Nothing is said of what is in it.
fn is_free(schema: &Structural) -> bool {
    schema.properties.is_empty() && schema.additional.schema().is_none() && schema.ty != "object"
}

fn list(values: impl Iterator<Item = Cel>) -> Cel {
    Cel::List(Arc::new(values.collect()))
}

fn names_only(metadata: &Value) -> Cel {
    let names = ["name", "generateName"].into_iter();
    let present = names.filter_map(|name| Some((name, metadata.get(name)?)));
    let fields = present.map(|(name, value)| (Key::String(Arc::new(name.to_owned())), untyped(value)));
    Cel::Map(Map { map: Arc::new(fields.collect()) })
}

fn typed_number(number: &Number, schema: &Structural) -> Cel {
    match schema.ty.as_str() {
        "number" => Cel::Float(number.as_f64().unwrap_or_default()),
        "integer" => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Cel::Int(whole),
            (None, n) => Cel::Int(n.unwrap_or_default() as i64),
        },
        _ => plain_number(number),
    }
}

fn plain_number(number: &Number) -> Cel {
    match number.as_i64() {
        Some(whole) => Cel::Int(whole),
        None => Cel::Float(number.as_f64().unwrap_or_default()),
    }
}

fn typed_text(text: &str, schema: &Structural) -> Cel {
    let plain = || Cel::String(Arc::new(text.to_owned()));
    if schema.int_or_string {
        return plain();
    }
    match schema.format.as_str() {
        "datetime" => parsed("timestamp", text).unwrap_or_else(plain),
        "date" => parsed("timestamp", &format!("{text}T00:00:00Z")).unwrap_or_else(plain),
        "duration" => parsed("duration", text).unwrap_or_else(plain),
        "byte" => STANDARD.decode(text).map_or_else(|_| plain(), |bytes| Cel::Bytes(Arc::new(bytes))),
        _ => plain(),
    }
}

/// The language's own reading of times: `timestamp("...")`.
fn parsed(function: &str, text: &str) -> Option<Cel> {
    let read = library::find(function)?;
    read(&[Cel::String(Arc::new(text.to_owned()))], &mut Meter::new(u64::MAX)).ok()
}

fn untyped(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => plain_number(number),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => list(items.iter().map(untyped)),
        Value::Object(map) => {
            let fields =
                map.iter().map(|(name, value)| (Key::String(Arc::new(name.clone())), untyped(value)));
            Cel::Map(Map { map: Arc::new(fields.collect()) })
        }
    }
}
