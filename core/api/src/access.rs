//! Reading and defaulting fields of objects that are JSON.
//!
//! Kinds work on decoded JSON and not on types, so that nothing a client sent is lost on the way
//! and no object is decoded twice. Reading is by the path of the fields; absent
//! and null are the same.

use serde_json::{Map, Value};

/// What is at a path of fields: `/spec/replicas`. Unlike a JSON pointer it names fields only, as they
/// are written: these are known ones, read several times in each write.
pub fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').skip(1).try_fold(value, |value, field| value.as_object()?.get(field))
}

/// As [`at`], to be changed.
pub fn at_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('/').skip(1).try_fold(value, |value, field| value.as_object_mut()?.get_mut(field))
}

/// The value of an annotation, whose name may have a slash.
pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    at(object, "/metadata/annotations")?.get(name)?.as_str()
}

/// The text at a path; empty when there is none.
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

pub fn int(value: &Value, path: &str) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

pub fn flag(value: &Value, path: &str) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or_default()
}

/// The elements at a path; none when there is no list.
pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The fields at a path; none when there is no object.
pub fn entries<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    at(value, path).and_then(Value::as_object).into_iter().flatten()
}

/// A value that is there and not null.
pub fn present<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    at(value, path).filter(|v| !v.is_null())
}

pub fn has(value: &Value, path: &str) -> bool {
    present(value, path).is_some()
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

/// Calls `f` with the object at a path, if there is one.
pub fn with(object: &mut Value, path: &str, f: impl FnOnce(&mut Value)) {
    if let Some(value) = at_mut(object, path).filter(|v| v.is_object()) {
        f(value);
    }
}

/// Calls `f` with each object of the list at a path.
pub fn each(object: &mut Value, path: &str, f: impl FnMut(&mut Value)) {
    if let Some(items) = at_mut(object, path).and_then(Value::as_array_mut) {
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
