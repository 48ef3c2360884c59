//! A resource and a record of OpenTelemetry as a stream's labels and a line. Pure.
//!
//! <https://opentelemetry.io/docs/specs/otel/logs/data-model/>

use base64::{Engine, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any},
    logs::v1::LogRecord,
};
use serde_json::{Map, Value};

use crate::{
    doors::{
        draft::{Capped, Group, Line},
        fields::Fields,
    },
    record::Level,
};

/// The names that a resource's attributes give.
pub fn describe(group: &mut Group, attributes: &[KeyValue]) {
    let text = |name: &str| {
        let found = attributes.iter().find(|attribute| attribute.key == name)?;
        Some(text(found.value.as_ref()?)).filter(|text| !text.is_empty())
    };
    let first = |names: &[&str]| names.iter().find_map(|name| text(name));
    group.namespace = text("k8s.namespace.name");
    group.origin.pod = first(&["k8s.pod.name", "service.name", "host.name"]);
    group.origin.container = first(&["k8s.container.name", "service.name"]);
    group.origin.node = first(&["k8s.node.name", "host.name"]);
    for attribute in attributes {
        if let Some(value) = &attribute.value {
            group.label(&attribute.key, &self::text(value));
        }
    }
}

/// A record as a line.
pub fn line(record: LogRecord, scope: &InstrumentationScope, item: u32, capped: &mut Capped) -> Line {
    let mut level = level(record.severity_number);
    if level == Level::Unknown {
        level = Level::from_word(&record.severity_text).unwrap_or_default();
    }
    let mut fields = Fields::default();
    if level == Level::Unknown {
        fields.add("severity_text", record.severity_text.into());
    }
    fields.add("event_name", record.event_name.into());
    for attribute in record.attributes {
        fields.add(&attribute.key, attribute.value.map_or(Value::Null, json));
    }
    fields.add("trace_id", hex(&record.trace_id).into());
    fields.add("span_id", hex(&record.span_id).into());
    fields.add("otel.scope.name", scope.name.as_str().into());
    let body = match record.body.and_then(|body| body.value) {
        None => Vec::new(),
        Some(Any::StringValue(text)) => text.into_bytes(),
        Some(Any::BytesValue(bytes)) => bytes,
        Some(other) => plain(json(AnyValue { value: Some(other) })).into_bytes(),
    };
    let time = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|time| *time > 0);
    let time = time.map(|time| i64::try_from(time).unwrap_or(i64::MAX));
    Line { item, time, level, body: fields.join(&body, capped) }
}

/// Of a severity number: four for each level.
fn level(number: i32) -> Level {
    match number {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17..=20 => Level::Error,
        21..=24 => Level::Fatal,
        _ => Level::Unknown,
    }
}

fn text(value: &AnyValue) -> String {
    plain(json(value.clone()))
}

fn plain(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A value as JSON has it; its depth is bounded by the decoder's.
fn json(value: AnyValue) -> Value {
    match value.value {
        None | Some(Any::StringValueStrindex(_)) => Value::Null,
        Some(Any::StringValue(text)) => text.into(),
        Some(Any::BoolValue(value)) => value.into(),
        Some(Any::IntValue(number)) => number.into(),
        Some(Any::DoubleValue(number)) => match serde_json::Number::from_f64(number) {
            Some(number) => number.into(),
            // JSON has no number for it.
            None => number.to_string().into(),
        },
        Some(Any::BytesValue(bytes)) => STANDARD.encode(bytes).into(),
        Some(Any::ArrayValue(array)) => array.values.into_iter().map(json).collect::<Vec<_>>().into(),
        Some(Any::KvlistValue(list)) => {
            let members =
                list.values.into_iter().map(|pair| (pair.key, pair.value.map_or(Value::Null, json)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// An id; one of zeros is none.
fn hex(id: &[u8]) -> String {
    if id.len() > 32 || id.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
