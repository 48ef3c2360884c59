//! Which places of an object have fields of their own, and which are owned as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tiphys_api::schema::{ListType, Schema, Type};

use super::compact;

/// What a value is to server-side apply, under its schema.
#[derive(Clone, Copy)]
pub enum Shape<'a> {
    /// A scalar, or an atomic object or list.
    Leaf,
    Object(&'a Map<String, Value>),
    /// A set, or a list with keys.
    List(&'a [Value]),
}

pub fn of<'a>(value: &'a Value, schema: &Schema) -> Shape<'a> {
    match value {
        Value::Object(map) if !schema.atomic && matches!(schema.ty, Type::Object | Type::Any) => {
            Shape::Object(map)
        }
        Value::Array(items) if schema.list != ListType::Atomic => Shape::List(items),
        _ => Shape::Leaf,
    }
}

/// The schema of a field; of an unknown one, anything.
pub fn field<'a>(schema: &'a Schema, name: &str) -> &'a Schema {
    schema.field(name).unwrap_or_else(|| Schema::any())
}

/// The schema of a list's elements.
pub fn item(schema: &Schema) -> &Schema {
    schema.items.as_deref().unwrap_or_else(|| Schema::any())
}

/// Whether the name is a field of a structure, and not a key of a map.
pub fn is_named(schema: &Schema, name: &str) -> bool {
    schema.properties.contains_key(name)
}

/// Whether an object under this schema is a map: its keys are data.
pub fn is_map(schema: &Schema) -> bool {
    schema.properties.is_empty()
}

/// The element that identifies an item of a list: `k:{...}` or `v:...`; the missing key if it has none.
pub fn element(value: &Value, list: &Schema) -> Result<String, String> {
    let ListType::Map(keys) = &list.list else { return Ok(format!("v:{}", compact(value))) };
    let mut found = BTreeMap::new();
    for key in keys {
        let default = || item(list).properties.get(key).and_then(|p| p.default.as_ref());
        let given = value.get(key).filter(|v| !v.is_null()).or_else(default);
        found.insert(key.as_str(), given.ok_or_else(|| key.clone())?);
    }
    let parts: Vec<String> =
        found.iter().map(|(k, v)| format!("{}:{}", Value::from(*k), compact(v))).collect();
    Ok(format!("k:{{{}}}", parts.join(",")))
}

/// As [`element`], for lists that are stored already: an item without its keys is known by its place.
pub fn element_at(value: &Value, index: usize, list: &Schema) -> String {
    element(value, list).unwrap_or_else(|_| format!("i:{index}"))
}
