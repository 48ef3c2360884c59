//! Unknown fields out of an object. What a schema doesn't name isn't kept, unless
//! it says `x-kubernetes-preserve-unknown-fields`.

use serde_json::{Map, Value};

use super::{
    path::Path,
    structural::{Additional, Structural},
};

const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes what the schema of a whole object doesn't know, and gives the paths of what went, sorted.
pub fn prune(schema: &Structural, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(Some(schema), object, true, &Path::Root, &mut unknown);
    unknown.sort();
    unknown
}

/// The same for a value at some place below the root, such as a default.
pub fn prune_value(schema: &Structural, value: &mut Value) {
    walk(Some(schema), value, schema.embedded, &Path::Root, &mut Vec::new());
}

/// `resource`: the value is a whole object, whose type and metadata are others' matter.
fn walk(
    schema: Option<&Structural>,
    value: &mut Value,
    resource: bool,
    at: &Path<'_>,
    unknown: &mut Vec<String>,
) {
    if let Some(schema) = schema.filter(|schema| schema.preserve_unknown) {
        return keep(schema, value, resource, at, unknown);
    }
    match value {
        Value::Object(map) => walk_map(schema, map, resource, at, unknown),
        Value::Array(items) => {
            let item = schema.and_then(|schema| schema.items.as_deref());
            for (index, value) in items.iter_mut().enumerate() {
                let embedded = item.is_some_and(|item| item.embedded);
                walk(item, value, embedded, &Path::Index(at, index), unknown);
            }
        }
        _ => {}
    }
}

fn walk_map(
    schema: Option<&Structural>,
    map: &mut Map<String, Value>,
    resource: bool,
    at: &Path<'_>,
    unknown: &mut Vec<String>,
) {
    map.retain(|name, value| {
        if resource && META.contains(&name.as_str()) {
            return true;
        }
        let path = Path::Field(at, name);
        let known = schema.and_then(|schema| match schema.properties.get(name) {
            Some(field) => Some(Some(field)),
            None => match &schema.additional {
                Additional::Of(field) => Some(Some(&**field)),
                // A map of anything: its values are kept only as far as they are scalars.
                Additional::Any => Some(None),
                Additional::Unset | Additional::Forbidden => None,
            },
        });
        let Some(field) = known else {
            unknown.push(path.to_string());
            return false;
        };
        walk(field, value, field.is_some_and(|field| field.embedded), &path, unknown);
        true
    });
}

/// Below a place that keeps everything, what the schema does name is pruned as everywhere.
fn keep(schema: &Structural, value: &mut Value, resource: bool, at: &Path<'_>, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if resource && META.contains(&name.as_str()) {
                    continue;
                }
                if let Some(field) = schema.field(name) {
                    walk(Some(field), value, field.embedded, &Path::Field(at, name), unknown);
                }
            }
        }
        Value::Array(items) => {
            let Some(item) = schema.items.as_deref() else { return };
            for (index, value) in items.iter_mut().enumerate() {
                keep(item, value, item.embedded, &Path::Index(at, index), unknown);
            }
        }
        _ => {}
    }
}
