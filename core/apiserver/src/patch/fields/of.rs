//! The fields of an object.

use serde_json::Value;
use tiphys_api::schema::{ListType, Schema};

use super::{Set, field, shape, shape::Shape};

/// The fields that an applied configuration claims.
pub fn applied(value: &Value, schema: &Schema) -> Set {
    walk(value, schema, false)
}

/// The fields of something that was added as a whole: maps and lists are owned with what is in them.
pub fn added(value: &Value, schema: &Schema) -> Set {
    walk(value, schema, true)
}

fn walk(value: &Value, schema: &Schema, as_whole: bool) -> Set {
    let mut set = Set::default();
    match shape::of(value, schema) {
        Shape::Leaf => set.owned = true,
        Shape::Object(map) => {
            set.owned = map.is_empty() || (as_whole && shape::is_map(schema));
            for (name, value) in map {
                let mut child = walk(value, shape::field(schema, name), as_whole);
                child.owned |= !shape::is_named(schema, name);
                set.insert(field(name), child);
            }
        }
        Shape::List(items) => {
            set.owned = as_whole;
            for (index, item) in items.iter().enumerate() {
                let mut child = match schema.list {
                    ListType::Map(_) => walk(item, shape::item(schema), as_whole),
                    _ => Set::default(),
                };
                child.owned = true;
                set.insert(shape::element_at(item, index, schema), child);
            }
        }
    }
    set
}
