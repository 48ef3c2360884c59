//! An applied configuration into an object: what it says is so, the rest stays.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tiphys_api::schema::{ListType, Schema};

use super::{shape, shape::Shape};
use crate::patch::order::{self, Taken};

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
    let names = |list: &[Value]| -> Vec<String> {
        list.iter().enumerate().map(|(index, value)| shape::element_at(value, index, schema)).collect()
    };
    let (live_names, config_names) = (names(live), names(config));
    let old = |name: &String| live_names.iter().position(|other| other == name).map(|at| &live[at]);
    let value = |taken| match taken {
        Taken::Live(at) => live[at].clone(),
        Taken::Config(at) => match (old(&config_names[at]), &schema.list) {
            (Some(old), ListType::Map(_)) => merge(old, &config[at], shape::item(schema)),
            _ => config[at].clone(),
        },
    };
    order::applied(&live_names, &config_names).into_iter().map(value).collect()
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
