//! Patches made for the tests: from one object to another, in each of the three notations that can
//! say so. The ways to say one thing are many: `way` chooses among them.

use serde_json::{Map, Value, json};
use tiphys_api::schema::Schema;

/// Which of several ways a patch takes; the same numbers give the same patch.
pub struct Way(u64);

impl Way {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// True once in `n` times.
    fn one_in(&mut self, n: u64) -> bool {
        // A step of xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.is_multiple_of(n)
    }
}

/// A JSON patch; some of its steps only test what is there.
pub fn json_patch(from: &Value, to: &Value, way: &mut Way) -> Value {
    let mut steps = Vec::new();
    step(from, to, "", way, &mut steps);
    steps.into()
}

fn step(from: &Value, to: &Value, place: &str, way: &mut Way, steps: &mut Vec<Value>) {
    if way.one_in(8) {
        steps.push(json!({"op": "test", "path": place, "value": from}));
    }
    match (from, to) {
        _ if from == to => {}
        (Value::Object(from), Value::Object(to)) if !way.one_in(10) => {
            for name in from.keys().filter(|name| !to.contains_key(*name)) {
                steps.push(json!({"op": "remove", "path": below(place, name)}));
            }
            for (name, new) in to {
                match from.get(name) {
                    Some(old) => step(old, new, &below(place, name), way, steps),
                    None => add(from, new, place, name, way, steps),
                }
            }
        }
        (Value::Array(from), Value::Array(to)) if !way.one_in(10) => {
            // From the end, so that the places before stay what they are.
            for at in (to.len()..from.len()).rev() {
                steps.push(json!({"op": "remove", "path": below(place, &at.to_string())}));
            }
            for (at, (old, new)) in from.iter().zip(to).enumerate() {
                step(old, new, &below(place, &at.to_string()), way, steps);
            }
            for (at, new) in to.iter().enumerate().skip(from.len()) {
                let at = if way.one_in(2) { "-".to_owned() } else { at.to_string() };
                steps.push(json!({"op": "add", "path": below(place, &at), "value": new}));
            }
        }
        // An addition to a member that is there replaces it.
        _ => {
            let op = if way.one_in(2) || place.is_empty() { "replace" } else { "remove" };
            if op == "replace" || place.rsplit('/').next().is_some_and(|last| last.parse::<usize>().is_ok()) {
                steps.push(json!({"op": "replace", "path": place, "value": to}));
            } else {
                steps.push(json!({"op": op, "path": place}));
                steps.push(json!({"op": "add", "path": place, "value": to}));
            }
        }
    }
}

/// A new member: copied or moved from a sibling that has the value, where there is one that stays.
fn add(
    from: &Map<String, Value>,
    new: &Value,
    place: &str,
    name: &str,
    way: &mut Way,
    steps: &mut Vec<Value>,
) {
    let path = below(place, name);
    // It may have been changed by an earlier step, so only before all others.
    let first = steps.is_empty();
    match from.iter().find(|(_, old)| first && *old == new) {
        Some((sibling, _)) if way.one_in(2) => {
            steps.push(json!({"op": "copy", "from": below(place, sibling), "path": path}));
        }
        _ => steps.push(json!({"op": "add", "path": path, "value": new})),
    }
}

fn below(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The merge patch that makes `to` of `from`. Neither holds a null.
pub fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let gone = from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let kept = to.iter().filter(|(name, value)| from.get(*name) != Some(value)).map(|(name, value)| {
        let part = from.get(name).map_or_else(|| value.clone(), |old| merge_patch(old, value));
        (name.clone(), part)
    });
    gone.chain(kept).collect::<Map<_, _>>().into()
}

/// The strategic merge patch, with the directives that it needs and some that say the same otherwise.
pub fn strategic(from: &Value, to: &Value, schema: &Schema, way: &mut Way) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    if way.one_in(12) {
        let mut whole = to.clone();
        whole.insert("$patch".into(), "replace".into());
        return whole.into();
    }
    members(from, to, schema, way).into()
}

/// Member by member.
fn members(
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    schema: &Schema,
    way: &mut Way,
) -> Map<String, Value> {
    let mut patch = Map::new();
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, new) in to.iter().filter(|(name, new)| from.get(*name) != Some(new)) {
        let field = schema.field(name).unwrap_or_else(|| Schema::any());
        let nothing = Value::Null;
        match (from.get(name).unwrap_or(&nothing), new) {
            (Value::Array(old), Value::Array(new)) if field.patch.merge => {
                list(&mut patch, name, old, new, field, way);
            }
            (old @ Value::Object(_), Value::Object(_)) if !field.patch.replace => {
                patch.insert(name.clone(), strategic(old, new, field, way));
            }
            _ => drop(patch.insert(name.clone(), new.clone())),
        }
    }
    if schema.patch.retain_keys || way.one_in(12) {
        // Only what the patch doesn't take away anyhow may stay unnamed.
        let kept: Vec<&String> = to.keys().collect();
        patch.retain(|_, value| !value.is_null());
        patch.insert("$retainKeys".into(), json!(kept));
    }
    patch
}

fn list(
    patch: &mut Map<String, Value>,
    name: &str,
    old: &[Value],
    new: &[Value],
    field: &Schema,
    way: &mut Way,
) {
    let Some(key) = field.patch.merge_key.as_deref() else {
        let gone: Vec<&Value> = old.iter().filter(|item| !new.contains(item)).collect();
        let added: Vec<&Value> = new.iter().filter(|item| !old.contains(item) || way.one_in(3)).collect();
        patch.insert(format!("$deleteFromPrimitiveList/{name}"), json!(gone));
        patch.insert(name.to_owned(), json!(added));
        patch.insert(format!("$setElementOrder/{name}"), json!(new));
        return;
    };
    if way.one_in(8) {
        let whole = std::iter::once(json!({"$patch": "replace"})).chain(new.iter().cloned());
        patch.insert(name.to_owned(), whole.collect());
        return;
    }
    let item = field.items.as_deref().unwrap_or_else(|| Schema::any());
    let find =
        |list: &[Value], element: &Value| list.iter().find(|other| other[key] == element[key]).cloned();
    let mut parts: Vec<Value> = Vec::new();
    for element in old.iter().filter(|element| find(new, element).is_none()) {
        parts.push(json!({"$patch": "delete", key: element[key]}));
    }
    for element in new {
        let mut part = match find(old, element) {
            Some(before) if before == *element && !way.one_in(4) => continue,
            // In an element `$patch: replace` is about the list.
            Some(before) => match (before.as_object(), element.as_object()) {
                (Some(before), Some(element)) => members(before, element, item, way).into(),
                _ => element.clone(),
            },
            None => element.clone(),
        };
        part[key] = element[key].clone();
        if let Some(kept) = part.get_mut("$retainKeys").and_then(Value::as_array_mut)
            && !kept.contains(&key.into())
        {
            kept.push(key.into());
        }
        parts.push(part);
    }
    patch.insert(name.to_owned(), parts.into());
    let order: Vec<Value> = new.iter().map(|element| json!({key: element[key]})).collect();
    patch.insert(format!("$setElementOrder/{name}"), order.into());
}
