//! Attributes as labels. Pure.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use serde_json::json;

use super::names;
use crate::{doors::intake::MOST_LABELS, series::LabelsBuilder};

/// How deep values in values are told.
const DEPTH: usize = 8;

/// A value as a text.
pub fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        _ => as_json(value, 0).to_string(),
    }
}

/// A value as JSON.
pub fn as_json(value: &AnyValue, depth: usize) -> serde_json::Value {
    if depth > DEPTH {
        return serde_json::Value::Null;
    }
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => serde_json::Value::Null,
        Some(Value::StringValue(text)) => json!(text),
        Some(Value::BoolValue(value)) => json!(value),
        Some(Value::IntValue(number)) => json!(number),
        Some(Value::DoubleValue(number)) => json!(number),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|value| as_json(value, depth + 1)).collect::<Vec<_>>().into()
        }
        Some(Value::KvlistValue(list)) => map(&list.values, depth + 1),
        Some(Value::BytesValue(bytes)) => {
            use base64::{Engine, engine::general_purpose::STANDARD};
            json!(STANDARD.encode(bytes))
        }
    }
}

/// Attributes as a JSON object.
pub fn map(pairs: &[KeyValue], depth: usize) -> serde_json::Value {
    let pair = |pair: &KeyValue| {
        let value = pair.value.as_ref().map_or(serde_json::Value::Null, |value| as_json(value, depth));
        (pair.key.clone(), value)
    };
    serde_json::Value::Object(pairs.iter().map(pair).collect())
}

/// One attribute's text.
pub fn find(pairs: &[KeyValue], key: &str) -> Option<String> {
    let found = pairs.iter().find(|pair| pair.key == key)?.value.as_ref()?;
    Some(text(found)).filter(|text| !text.is_empty())
}

/// Sets attributes as labels. Those whose names become the same are joined by `;`, in the order of
/// the names that they had.
pub fn set(labels: &mut LabelsBuilder, pairs: &[KeyValue]) {
    let mut sorted: Vec<_> = pairs.iter().take(MOST_LABELS).collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for pair in sorted {
        let Some(value) = &pair.value else { continue };
        if pair.key.is_empty() {
            continue;
        }
        let value = text(value);
        joined
            .entry(names::label(&pair.key))
            .and_modify(|before| *before = format!("{before};{value}"))
            .or_insert(value);
    }
    joined.iter().for_each(|(name, value)| labels.set(name, value));
}
