//! Defaults of a schema into an object: on the way in, and again when an object
//! is read that was stored before the schema had them.

use serde_json::{Map, Value};

use super::structural::Structural;

/// Fills in what is absent. Nulls that the schema doesn't allow count as absent.
pub fn default(schema: &Structural, value: &mut Value) {
    match value {
        Value::Object(map) => default_map(schema, map),
        Value::Array(items) => {
            let Some(item) = schema.items.as_deref() else { return };
            for value in items {
                if stands_for_nothing(item, value)
                    && let Some(filled) = &item.default
                {
                    *value = filled.clone();
                }
                default(item, value);
            }
        }
        _ => {}
    }
}

fn default_map(schema: &Structural, map: &mut Map<String, Value>) {
    map.retain(|name, value| {
        schema.field(name).is_none_or(|field| !stands_for_nothing(field, value) || field.default.is_some())
    });
    for (name, field) in &schema.properties {
        let Some(filled) = &field.default else { continue };
        if map.get(name).is_none_or(|value| stands_for_nothing(field, value)) {
            map.insert(name.clone(), filled.clone());
        }
    }
    for (name, value) in map.iter_mut() {
        let Some(field) = schema.field(name) else { continue };
        if stands_for_nothing(field, value)
            && let Some(filled) = &field.default
        {
            *value = filled.clone();
        }
        default(field, value);
    }
}

fn stands_for_nothing(schema: &Structural, value: &Value) -> bool {
    value.is_null() && !schema.nullable
}
