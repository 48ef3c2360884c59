//! Reading and defaulting fields of objects that are JSON.
//!
//! Kinds work on decoded JSON and not on types, so that nothing a client sent is lost on the way
//! and no object is decoded twice. Reading is by JSON pointer; absent and null
//! are the same.

use serde_json::{Map, Value};

/// The text at a pointer; empty when there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn int(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

pub fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The elements at a pointer; none when there is no list.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The fields at a pointer; none when there is no object.
pub fn entries<'a>(
    value: &'a Value,
    pointer: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    value.pointer(pointer).and_then(Value::as_object).into_iter().flatten()
}

/// A value that is there and not null.
pub fn present<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    value.pointer(pointer).filter(|v| !v.is_null())
}

pub fn has(value: &Value, pointer: &str) -> bool {
    present(value, pointer).is_some()
}

/// The element of a list of objects whose `key` is `wanted`.
pub fn find<'a>(items: &'a [Value], key: &str, wanted: &str) -> Option<&'a Value> {
    items.iter().find(|item| item.get(key).and_then(Value::as_str) == Some(wanted))
}

/// Whether the condition of this type has the status `True`.
pub fn condition(object: &Value, kind: &str) -> bool {
    find(list(object, "/status/conditions"), "type", kind).is_some_and(|c| text(c, "/status") == "True")
}

/// Sets a field that is absent, null or an empty string.
pub fn default(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && is_unset(map.get(key))
    {
        map.insert(key.to_owned(), value.into());
    }
}

fn is_unset(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

/// A field as an object, made when it is absent. `None` when the field is of another type.
pub fn ensure<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let field = object.as_object_mut()?.entry(key).or_insert(Value::Null);
    if field.is_null() {
        *field = Value::Object(Map::new());
    }
    Some(field).filter(|f| f.is_object())
}

/// Calls `f` with the object at a pointer, if there is one.
pub fn with(object: &mut Value, pointer: &str, f: impl FnOnce(&mut Value)) {
    if let Some(value) = object.pointer_mut(pointer).filter(|v| v.is_object()) {
        f(value);
    }
}

/// Calls `f` with each object of the list at a pointer.
pub fn each(object: &mut Value, pointer: &str, f: impl FnMut(&mut Value)) {
    if let Some(items) = object.pointer_mut(pointer).and_then(Value::as_array_mut) {
        items.iter_mut().filter(|v| v.is_object()).for_each(f);
    }
}

pub fn remove(object: &mut Value, key: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(key);
    }
}

/// Sets a top-level field of an object.
pub fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

/// Before an update through the main resource: `status` stays as it is stored.
pub fn keep_status(new: &mut Value, old: &Value) {
    match old.get("status") {
        Some(status) => set(new, "status", status.clone()),
        None => remove(new, "status"),
    }
}

/// Before a create: `status` is what the cluster says, so it starts empty.
pub fn empty_status(object: &mut Value) {
    set(object, "status", Value::Object(Map::new()));
}
