//! Lists whose elements must differ: sets by the whole element, maps by their keys.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Structural, path::Path};
use crate::{field::FieldError, schema::ListType};

/// Elements that are there twice.
pub fn check(schema: &Structural, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(schema, object, &Path::Root, &mut errors);
    errors
}

fn walk(schema: &Structural, value: &Value, at: &Path<'_>, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(field) = schema.properties.get(name) {
                    walk(field, value, &Path::Field(at, name), errors);
                } else if let Some(field) = schema.additional.schema() {
                    walk(field, value, &Path::Key(at, name), errors);
                }
            }
        }
        Value::Array(items) => {
            match &schema.list_type {
                Some(ListType::Set) => twice(items.iter().cloned(), at, errors),
                Some(ListType::Map(keys)) => map_list(keys, items, at, errors),
                _ => {}
            }
            if let Some(item) = &schema.items {
                for (index, value) in items.iter().enumerate() {
                    walk(item, value, &Path::Index(at, index), errors);
                }
            }
        }
        _ => {}
    }
}

fn map_list(keys: &[String], items: &[Value], at: &Path<'_>, errors: &mut Vec<FieldError>) {
    let is_item = |item: &Value| item.is_null() || item.is_object();
    if let Some(index) = items.iter().position(|item| !is_item(item)) {
        let path = Path::Index(at, index).to_string();
        let detail = "must be an object for an array of list-type map";
        return errors.push(FieldError::invalid(path, &items[index], detail));
    }
    let keys_of = |item: &Value| {
        let present = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
        Value::Object(present.collect::<Map<_, _>>())
    };
    twice(items.iter().map(keys_of), at, errors);
}

/// Each value that comes again is told of once, where it comes for the second time.
fn twice(values: impl Iterator<Item = Value>, at: &Path<'_>, errors: &mut Vec<FieldError>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, value) in values.enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            errors.push(FieldError::duplicate(Path::Index(at, index).to_string(), &value));
        }
    }
}
