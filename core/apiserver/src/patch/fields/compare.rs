//! What a change touched: the fields that are there newly or with another value, and those that went.

use std::collections::BTreeMap;

use serde_json::Value;
use tiphys_api::schema::{ListType, Schema};

use super::{Set, field, of, shape, shape::Shape};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Added or modified.
    pub changed: Set,
    /// Each is the top of what went: all below it went too.
    pub removed: Set,
}

impl Change {
    fn insert(&mut self, element: String, child: Change) {
        self.changed.insert(element.clone(), child.changed);
        self.removed.insert(element, child.removed);
    }
}

pub fn change(old: &Value, new: &Value, schema: &Schema) -> Change {
    let mut change = Change::default();
    if old == new {
        return change;
    }
    match (shape::of(old, schema), shape::of(new, schema)) {
        (Shape::Object(old), Shape::Object(new)) => {
            let keys = old.keys().filter(|key| !new.contains_key(*key)).chain(new.keys());
            for name in keys {
                let part = one(
                    old.get(name),
                    new.get(name),
                    shape::field(schema, name),
                    !shape::is_named(schema, name),
                );
                change.insert(field(name), part);
            }
        }
        (Shape::List(old), Shape::List(new)) => list(old, new, schema, &mut change),
        _ => change.changed.owned = true,
    }
    change
}

/// `is_data`: the place is a map's key or a list's item, which is owned itself.
fn one(old: Option<&Value>, new: Option<&Value>, schema: &Schema, is_data: bool) -> Change {
    match (old, new) {
        (Some(old), Some(new)) => change(old, new, schema),
        (None, Some(new)) => {
            let mut changed = of::added(new, schema);
            changed.owned |= is_data;
            Change { changed, removed: Set::default() }
        }
        (Some(_), None) => Change { changed: Set::default(), removed: Set::leaf() },
        (None, None) => Change::default(),
    }
}

fn list(old: &[Value], new: &[Value], schema: &Schema, change: &mut Change) {
    let (old, new) = (by_element(old, schema), by_element(new, schema));
    let item = match schema.list {
        ListType::Map(_) => shape::item(schema),
        _ => Schema::any(),
    };
    for element in old.keys().filter(|key| !new.contains_key(*key)).chain(new.keys()) {
        let mut part = one(old.get(element).copied(), new.get(element).copied(), item, true);
        // A member of a set has nothing below it.
        if !matches!(schema.list, ListType::Map(_)) && !part.changed.is_empty() {
            part.changed = Set::leaf();
        }
        change.insert(element.clone(), part);
    }
}

fn by_element<'a>(items: &'a [Value], schema: &Schema) -> BTreeMap<String, &'a Value> {
    items.iter().enumerate().map(|(i, v)| (shape::element_at(v, i, schema), v)).collect()
}
