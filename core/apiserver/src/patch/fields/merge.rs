//! An applied configuration into an object: what it says is so, the rest stays.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tiphys_api::schema::{ListType, Schema};

use super::{shape, shape::Shape};
use crate::patch::order::interleave;

pub fn merge(live: &Value, config: &Value, schema: &Schema) -> Value {
    match (shape::of(live, schema), shape::of(config, schema)) {
        (Shape::Object(live), Shape::Object(config)) => {
            let mut merged: Map<String, Value> = live.clone();
            for (name, value) in config {
                let value = match live.get(name) {
                    Some(old) => merge(old, value, shape::field(schema, name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Shape::List(live), Shape::List(config)) => Value::Array(merge_list(live, config, schema)),
        _ => config.clone(),
    }
}

fn merge_list(live: &[Value], config: &[Value], schema: &Schema) -> Vec<Value> {
    let elements: Vec<String> =
        live.iter().enumerate().map(|(i, v)| shape::element_at(v, i, schema)).collect();
    let places: BTreeMap<&String, usize> = elements.iter().enumerate().rev().map(|(i, e)| (e, i)).collect();
    let place = |element: &String| places.get(element).copied();
    let mut wanted = BTreeSet::new();
    let mut ordered = Vec::with_capacity(config.len());
    for (index, value) in config.iter().enumerate() {
        let element = shape::element_at(value, index, schema);
        let value = match (place(&element), &schema.list) {
            (Some(at), ListType::Map(_)) => merge(&live[at], value, shape::item(schema)),
            _ => value.clone(),
        };
        wanted.insert(element);
        ordered.push(value);
    }
    let others: Vec<Value> = live
        .iter()
        .zip(&elements)
        .filter(|(_, element)| !wanted.contains(*element))
        .map(|(v, _)| v.clone())
        .collect();
    interleave(ordered, others, |value| {
        shape::element(value, schema).ok().and_then(|element| place(&element))
    })
}

/// Whether every element of every list can be told apart; else what is wrong and where.
pub fn check_keys(value: &Value, schema: &Schema, path: &str) -> Result<(), String> {
    match shape::of(value, schema) {
        Shape::Leaf => Ok(()),
        Shape::Object(map) => map
            .iter()
            .try_for_each(|(name, v)| check_keys(v, shape::field(schema, name), &format!("{path}.{name}"))),
        Shape::List(items) => {
            let mut seen = BTreeSet::new();
            for (index, value) in items.iter().enumerate() {
                let element = shape::element(value, schema).map_err(|key| {
                    format!(
                        "{path}: element {index}: associative list with keys has an element that omits key field \
                         {key:?} (and doesn't have default value)"
                    )
                })?;
                let shown = super::shown(&element);
                if !seen.insert(element) {
                    return Err(format!("{path}: duplicate entries for key {shown}"));
                }
                if matches!(schema.list, ListType::Map(_)) {
                    check_keys(value, shape::item(schema), &format!("{path}{shown}"))?;
                }
            }
            Ok(())
        }
    }
}
