//! Removing what an applier applied before and no longer does, unless somebody else wants it.

use serde_json::Value;
use tiphys_api::schema::{ListType, Schema};

use super::{Set, shape};

/// Takes out of `value` what is in `last` and in nobody's set (`claimed`: the
/// new configuration's and all other managers'). With a structure or an element that nobody
/// claims any more goes everything in it, defaults included.
pub fn prune(value: &mut Value, last: &Set, claimed: &Set, schema: &Schema) {
    let nobody = Set::default();
    for (element, before) in &last.children {
        let (prefix, name) = element.split_at_checked(2).unwrap_or_default();
        let claim = claimed.children.get(element).unwrap_or(&nobody);
        match (prefix, &mut *value) {
            ("f:", Value::Object(map)) => {
                let is_whole = before.owned || shape::is_named(schema, name);
                if claim.is_empty() && is_whole {
                    map.remove(name);
                } else if let Some(below) = map.get_mut(name) {
                    prune(below, before, claim, shape::field(schema, name));
                }
            }
            ("k:" | "v:", Value::Array(items)) => {
                if claim.is_empty() && before.owned {
                    items.retain(|item| shape::element(item, schema).as_ref() != Ok(element));
                } else if let ListType::Map(_) = schema.list {
                    let own = items.iter_mut().find(|item| shape::element(item, schema).as_ref() == Ok(element));
                    if let Some(below) = own {
                        prune(below, before, claim, shape::item(schema));
                    }
                }
            }
            _ => {}
        }
    }
}
