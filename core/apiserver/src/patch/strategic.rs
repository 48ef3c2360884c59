//! Strategic merge patch: as a merge patch, but lists merge by key where the schema says so.
//!
//! Directives, with the rules of the Kubernetes API conventions:
//!
//! | directive | meaning |
//! |---|---|
//! | `$patch: replace` | in an object: this instead; as an element of a list: the rest of the list instead |
//! | `$patch: delete` | in an object: nothing; in an element: the element with this key goes |
//! | `$patch: merge` | the default |
//! | `$retainKeys: [..]` | of the object only these fields stay |
//! | `$deleteFromPrimitiveList/F: [..]` | these go from the list of texts or numbers F |
//! | `$setElementOrder/F: [..]` | the order of the list F |
//!
//! Depth is bounded by the decoder's limit on nesting.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tiphys_api::schema::Schema;

use super::{PatchError, order::interleave};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// The document after the patch.
pub fn apply(document: &Value, patch: &Value, schema: &Schema) -> Result<Value, PatchError> {
    let (Value::Object(document), Value::Object(patch)) = (document, patch) else {
        return Err(malformed("a strategic merge patch must be an object"));
    };
    merge_object(document.clone(), patch, schema).map(Value::Object)
}

fn malformed(message: impl Into<String>) -> PatchError {
    PatchError::Malformed(message.into())
}

fn merge_object(
    mut object: Map<String, Value>,
    patch: &Map<String, Value>,
    schema: &Schema,
) -> Result<Map<String, Value>, PatchError> {
    match directive(patch)? {
        Some(Directive::Replace) => {
            object = Map::new();
        }
        Some(Directive::Delete) => return Ok(Map::new()),
        Some(Directive::Merge) | None => retain_keys(&mut object, patch)?,
    }
    for (key, values) in patch.iter().filter_map(|(k, v)| Some((k.strip_prefix(DELETE_FROM)?, v))) {
        delete_from_list(&mut object, key, values)?;
    }
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        merge_field(&mut object, key, value, schema)?;
    }
    for (key, order) in patch.iter().filter_map(|(k, v)| Some((k.strip_prefix(SET_ORDER)?, v))) {
        set_order(&mut object, key, order, schema)?;
    }
    Ok(object)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>) -> Result<Option<Directive>, PatchError> {
    match patch.get(PATCH).map(|v| v.as_str().unwrap_or_default()) {
        None => Ok(None),
        Some("merge") => Ok(Some(Directive::Merge)),
        Some("replace") => Ok(Some(Directive::Replace)),
        Some("delete") => Ok(Some(Directive::Delete)),
        Some(other) => Err(malformed(format!("unknown patch directive: {PATCH}: {other:?}"))),
    }
}

fn retain_keys(object: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    let Some(kept) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let kept = kept.as_array().ok_or_else(|| malformed(format!("{RETAIN_KEYS} must be a list of fields")))?;
    let is_kept = |key: &str| kept.iter().any(|k| k.as_str() == Some(key));
    let set = patch.iter().filter(|(key, value)| !key.starts_with('$') && !value.is_null());
    if let Some((key, _)) = set.into_iter().find(|(key, _)| !is_kept(key)) {
        return Err(malformed(format!(
            "{RETAIN_KEYS} does not contain the field {key:?} that the patch sets"
        )));
    }
    object.retain(|key, _| is_kept(key));
    Ok(())
}

fn delete_from_list(object: &mut Map<String, Value>, key: &str, gone: &Value) -> Result<(), PatchError> {
    let gone = gone.as_array().ok_or_else(|| malformed(format!("{DELETE_FROM}{key} must be a list")))?;
    let gone: BTreeSet<String> = gone.iter().map(Value::to_string).collect();
    if let Some(list) = object.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|item| !gone.contains(&item.to_string()));
    }
    Ok(())
}

fn merge_field(
    object: &mut Map<String, Value>,
    key: &str,
    patch: &Value,
    schema: &Schema,
) -> Result<(), PatchError> {
    let field = schema.field(key).unwrap_or_else(|| Schema::any());
    if patch.is_null() {
        object.remove(key);
        return Ok(());
    }
    let old = object.remove(key);
    let new = match patch {
        Value::Object(patch) => {
            let old = match old {
                Some(Value::Object(old)) if !field.patch.replace => old,
                _ => Map::new(),
            };
            Value::Object(merge_object(old, patch, field)?)
        }
        Value::Array(patch) if field.patch.merge => {
            let old = match old {
                Some(Value::Array(old)) => old,
                _ => Vec::new(),
            };
            Value::Array(merge_list(old, patch, field)?)
        }
        other => other.clone(),
    };
    object.insert(key.to_owned(), new);
    Ok(())
}

fn merge_list(mut list: Vec<Value>, patch: &[Value], schema: &Schema) -> Result<Vec<Value>, PatchError> {
    if !patch.iter().chain(&list).any(Value::is_object) {
        let mut seen: BTreeSet<String> = list.iter().map(Value::to_string).collect();
        list.extend(patch.iter().filter(|item| seen.insert(item.to_string())).cloned());
        return Ok(list);
    }
    let mut elements = Vec::with_capacity(patch.len());
    for element in patch {
        let element = element
            .as_object()
            .ok_or_else(|| malformed("objects and other values can't merge in one list"))?;
        elements.push((directive(element)?, element));
    }
    if elements.iter().any(|(directive, _)| *directive == Some(Directive::Replace)) {
        list.clear();
        elements.retain(|(directive, element)| *directive != Some(Directive::Replace) || element.len() > 1);
    }
    let mut keyed = Keyed::new(list, merge_key(schema)?);
    let item = schema.items.as_deref().unwrap_or_else(|| Schema::any());
    for (directive, element) in elements {
        keyed.merge(directive, element, item)?;
    }
    Ok(keyed.slots.into_iter().flatten().collect())
}

fn merge_key(schema: &Schema) -> Result<&str, PatchError> {
    schema
        .patch
        .merge_key
        .as_deref()
        .ok_or_else(|| malformed("the list has no merge key: it can only be replaced"))
}

/// A list of objects, found by their merge key.
struct Keyed<'a> {
    merge_key: &'a str,
    /// Empty where an element was deleted.
    slots: Vec<Option<Value>>,
    places: BTreeMap<String, Vec<usize>>,
}

impl<'a> Keyed<'a> {
    fn new(list: Vec<Value>, merge_key: &'a str) -> Self {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, key) in list.iter().enumerate().filter_map(|(i, v)| Some((i, v.get(merge_key)?))) {
            places.entry(key.to_string()).or_default().push(place);
        }
        Self { merge_key, slots: list.into_iter().map(Some).collect(), places }
    }

    fn merge(
        &mut self,
        directive: Option<Directive>,
        patch: &Map<String, Value>,
        item: &Schema,
    ) -> Result<(), PatchError> {
        let Some(key) = patch.get(self.merge_key).map(Value::to_string) else {
            let merge_key = self.merge_key;
            return Err(malformed(format!(
                "an element of the list does not contain its merge key {merge_key:?}"
            )));
        };
        if directive == Some(Directive::Delete) {
            let places = self.places.remove(&key).unwrap_or_default();
            places.into_iter().for_each(|place| self.slots[place] = None);
            return Ok(());
        }
        let place = match self.places.get(&key) {
            Some(places) => places[0],
            None => {
                self.slots.push(None);
                self.places.insert(key, vec![self.slots.len() - 1]);
                self.slots.len() - 1
            }
        };
        let old = match self.slots[place].take() {
            Some(Value::Object(old)) => old,
            _ => Map::new(),
        };
        self.slots[place] = Some(Value::Object(merge_object(old, patch, item)?));
        Ok(())
    }
}

fn set_order(
    object: &mut Map<String, Value>,
    key: &str,
    order: &Value,
    schema: &Schema,
) -> Result<(), PatchError> {
    let order = order.as_array().ok_or_else(|| malformed(format!("{SET_ORDER}{key} must be a list")))?;
    let Some(Value::Array(list)) = object.get_mut(key) else { return Ok(()) };
    let field = schema.field(key).unwrap_or_else(|| Schema::any());
    if !field.patch.merge {
        return Ok(());
    }
    let identity = |value: &Value| -> String {
        let by_key = field.patch.merge_key.as_deref().and_then(|k| value.get(k));
        by_key.unwrap_or(value).to_string()
    };
    let ids: Vec<String> = list.iter().map(identity).collect();
    let mut rank = BTreeMap::new();
    for (place, wanted) in order.iter().enumerate() {
        rank.entry(identity(wanted)).or_insert(place);
    }
    let old: BTreeMap<&String, usize> = ids.iter().enumerate().rev().map(|(place, id)| (id, place)).collect();
    let (mut ordered, others): (Vec<Value>, Vec<Value>) =
        std::mem::take(list).into_iter().partition(|item| rank.contains_key(&identity(item)));
    ordered.sort_by_key(|item| rank.get(&identity(item)).copied());
    *list = interleave(ordered, others, |item| old.get(&identity(item)).copied());
    Ok(())
}
