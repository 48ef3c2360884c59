//! Removing what an applier applied before and no longer does, unless somebody else wants it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tiphys_api::schema::{ListType, Schema};

use super::{Set, shape};

/// Takes out of `value` what is in `last` and in nobody's set (`claimed`: the
/// new configuration's and all other managers'). With a structure or an element that nobody
/// claims any more goes everything in it, defaults included.
pub fn prune(value: &mut Value, last: &Set, claimed: &Set, schema: &Schema) {
    match value {
        Value::Object(map) => prune_object(map, last, claimed, schema),
        Value::Array(items) => prune_list(items, last, claimed, schema),
        _ => {}
    }
}

fn prune_object(map: &mut Map<String, Value>, last: &Set, claimed: &Set, schema: &Schema) {
    let nobody = Set::default();
    for (element, before) in &last.children {
        let Some(name) = element.strip_prefix("f:") else { continue };
        let claim = claimed.children.get(element).unwrap_or(&nobody);
        if claim.is_empty() && (before.owned || shape::is_named(schema, name)) {
            map.remove(name);
        } else if let Some(below) = map.get_mut(name) {
            prune(below, before, claim, shape::field(schema, name));
        }
    }
}

fn prune_list(items: &mut Vec<Value>, last: &Set, claimed: &Set, schema: &Schema) {
    let nobody = Set::default();
    let place = |(i, item)| (shape::element_at(item, i, schema), i);
    let places: BTreeMap<String, usize> = items.iter().enumerate().rev().map(place).collect();
    let mut gone = vec![false; items.len()];
    for (element, before) in &last.children {
        let Some(&place) = places.get(element) else { continue };
        let claim = claimed.children.get(element).unwrap_or(&nobody);
        if claim.is_empty() && before.owned {
            gone[place] = true;
        } else if let ListType::Map(_) = schema.list {
            prune(&mut items[place], before, claim, shape::item(schema));
        }
    }
    let mut gone = gone.into_iter();
    items.retain(|_| !gone.next().unwrap_or_default());
}
