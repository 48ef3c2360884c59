//! Sets of fields: what a manager owns, as `metadata.managedFields[].fieldsV1`.
//!
//! A set is a tree of path elements in their encoded form: `f:replicas` is a
//! field or a map's key, `k:{"name":"web"}` an element of a list with keys, `v:"a"` a
//! member of a set. The same tree is the JSON, where `.` says that the place
//! itself belongs to the set beside something below it.
//!
//! - [`of`]: the fields of an object; [`compare`]: what a change touched.
//! - [`merge`]: an applied configuration into an object; [`prune`]: what its applier no longer wants.
//! - [`undeclared`]: how what a schema doesn't know is told.
//! - `shape`: which places of an object have fields and which are owned as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub mod compare;
pub mod merge;
pub mod of;
pub mod prune;
pub mod shape;
pub mod undeclared;

#[cfg(test)]
mod tests;

/// A set of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// The place itself is in the set.
    pub owned: bool,
    pub children: BTreeMap<String, Set>,
}

impl Set {
    pub fn leaf() -> Self {
        Self { owned: true, children: BTreeMap::new() }
    }

    pub fn is_empty(&self) -> bool {
        !self.owned && self.children.values().all(Set::is_empty)
    }

    pub fn insert(&mut self, element: String, child: Set) {
        if !child.is_empty() {
            self.children.insert(element, child);
        }
    }

    pub fn union(&mut self, other: &Set) {
        self.owned |= other.owned;
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().union(child);
        }
    }

    /// Takes the places of `other` out, one by one: what is below them stays.
    pub fn subtract(&mut self, other: &Set) {
        self.owned &= !other.owned;
        self.below(other, Set::subtract);
    }

    /// Takes the places of `other` out with all that is below them.
    pub fn subtract_trees(&mut self, other: &Set) {
        if other.owned {
            *self = Set::default();
            return;
        }
        self.below(other, Set::subtract_trees);
    }

    fn below(&mut self, other: &Set, subtract: fn(&mut Set, &Set)) {
        for (element, child) in &other.children {
            if let Some(own) = self.children.get_mut(element) {
                subtract(own, child);
                if own.is_empty() {
                    self.children.remove(element);
                }
            }
        }
    }

    pub fn intersection(&self, other: &Set) -> Set {
        let mut both = Set { owned: self.owned && other.owned, children: BTreeMap::new() };
        for (element, child) in &self.children {
            if let Some(others) = other.children.get(element) {
                both.insert(element.clone(), child.intersection(others));
            }
        }
        both
    }

    /// The paths of the set: `.spec.template.spec.containers[name="web"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.owned {
            paths.push(prefix.to_owned());
        }
        for (element, child) in &self.children {
            child.collect_paths(&format!("{prefix}{}", shown(element)), paths);
        }
    }

    /// As `fieldsV1`.
    pub fn encode(&self) -> Value {
        let mut out = Map::new();
        if self.owned && !self.children.is_empty() {
            out.insert(".".into(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            out.insert(element.clone(), child.encode());
        }
        Value::Object(out)
    }

    /// From `fieldsV1`; what is no such set is an empty one.
    pub fn decode(value: &Value) -> Set {
        let mut set = Self::decode_below(value);
        // The root itself can't be owned: an empty object is an empty set.
        set.owned &= !set.children.is_empty();
        set
    }

    fn decode_below(value: &Value) -> Set {
        let Some(map) = value.as_object() else { return Set::default() };
        let children: BTreeMap<String, Set> = map
            .iter()
            .filter(|(element, _)| *element != ".")
            .map(|(element, child)| (canonical(element), Self::decode_below(child)))
            .collect();
        Set { owned: children.is_empty() || map.contains_key("."), children }
    }
}

/// The element of a field or of a map's key.
pub fn field(name: &str) -> String {
    format!("f:{name}")
}

/// Keys and values of other writers may be spaced and ordered in other ways.
fn canonical(element: &str) -> String {
    let parsed = match element.split_at_checked(2) {
        Some((prefix @ ("k:" | "v:"), rest)) => {
            serde_json::from_str::<Value>(rest).ok().map(|v| format!("{prefix}{}", compact(&v)))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| element.to_owned())
}

/// JSON without spaces, the keys of its objects in order.
pub fn compact(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let parts: Vec<String> =
                sorted.iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), compact(v))).collect();
            format!("{{{}}}", parts.join(","))
        }
        other => other.to_string(),
    }
}

/// An element as a part of a path for people.
fn shown(element: &str) -> String {
    let (prefix, rest) = element.split_at_checked(2).unwrap_or(("", element));
    match prefix {
        "k:" => {
            let keys: BTreeMap<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("[{}]", keys.join(","))
        }
        "v:" => format!("[={rest}]"),
        "i:" => format!("[{rest}]"),
        _ => format!(".{rest}"),
    }
}
