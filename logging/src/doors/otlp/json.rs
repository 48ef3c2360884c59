//! An export request in JSON. Pure.
//!
//! OTLP's JSON is protobuf's, with ids in hexadecimal; numbers of 64 bits come as
//! texts, which some senders forget. Arrays are bounded, records are read one at a
//! time.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::{
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
    },
    logs::v1::LogRecord,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{MAX_RECORD, record, too_large};
use crate::doors::{
    Kind, Refusal,
    deliver::{check_count, check_groups},
    draft::{Draft, Group, MAX_VALUES, Rejected},
    sequence::Bounded,
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default, alias = "resource_logs", rename = "resourceLogs")]
    resource_logs: Bounded<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResourceLogs<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "scope_logs", rename = "scopeLogs")]
    scope_logs: Bounded<&'a RawValue>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    attributes: Bounded<Pair>,
}

#[derive(Deserialize)]
struct ScopeLogs<'a> {
    #[serde(default)]
    scope: Option<Scope>,
    #[serde(borrow, default, alias = "log_records", rename = "logRecords")]
    log_records: Bounded<&'a RawValue>,
}

#[derive(Deserialize)]
struct Scope {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Pair {
    key: Option<String>,
    #[serde(default)]
    value: Option<JsonAny>,
}

/// One of its members is there. What is null isn't, here and elsewhere.
#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonAny {
    #[serde(alias = "string_value", rename = "stringValue")]
    string: Option<String>,
    #[serde(alias = "bool_value", rename = "boolValue")]
    bool: Option<bool>,
    #[serde(alias = "int_value", rename = "intValue")]
    int: Option<Number>,
    #[serde(alias = "double_value", rename = "doubleValue")]
    double: Option<Double>,
    #[serde(alias = "bytes_value", rename = "bytesValue")]
    bytes: Option<String>,
    #[serde(alias = "array_value", rename = "arrayValue")]
    array: Option<JsonArray>,
    #[serde(alias = "kvlist_value", rename = "kvlistValue")]
    list: Option<JsonList>,
}

#[derive(Deserialize)]
struct JsonArray {
    #[serde(default)]
    values: Bounded<JsonAny>,
}

#[derive(Deserialize)]
struct JsonList {
    #[serde(default)]
    values: Bounded<Pair>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Unsigned(u64),
    Signed(i64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Double {
    Number(f64),
    Text(String),
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonRecord {
    #[serde(alias = "time_unix_nano")]
    time_unix_nano: Option<Number>,
    #[serde(alias = "observed_time_unix_nano")]
    observed_time_unix_nano: Option<Number>,
    #[serde(alias = "severity_number")]
    severity_number: Option<Severity>,
    #[serde(alias = "severity_text")]
    severity_text: Option<String>,
    body: Option<JsonAny>,
    attributes: Bounded<Pair>,
    #[serde(alias = "trace_id")]
    trace_id: Option<String>,
    #[serde(alias = "span_id")]
    span_id: Option<String>,
    #[serde(alias = "event_name")]
    event_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Severity {
    Number(i32),
    Name(String),
}

/// All records of a request.
pub fn decode(request: &[u8]) -> Result<Draft, Refusal> {
    let request: Request<'_> = parse(request)?;
    let mut draft = Draft::default();
    let mut records = 0;
    for raw in request.resource_logs.0 {
        let resource_logs: ResourceLogs<'_> = parse(raw.get().as_bytes())?;
        let mut group = Group::default();
        if let Some(raw) = resource_logs.resource {
            if raw.get().len() > MAX_RECORD || too_many(raw.get()) {
                return Err(Refusal::too_large(too_large("a resource")));
            }
            let resource: Option<Resource> = parse(raw.get().as_bytes())?;
            let attributes = resource.map(|resource| pairs(resource.attributes)).unwrap_or_default();
            record::describe(&mut group, &attributes);
        }
        for raw in resource_logs.scope_logs.0 {
            let scope_logs: ScopeLogs<'_> = parse(raw.get().as_bytes())?;
            let name = scope_logs.scope.and_then(|scope| scope.name).unwrap_or_default();
            let scope = InstrumentationScope { name, ..InstrumentationScope::default() };
            for raw in scope_logs.log_records.0 {
                take(raw.get(), &scope, records, &mut group, &mut draft);
                records += 1;
                check_count(records as usize)?;
            }
        }
        if !group.lines.is_empty() {
            draft.groups.push(group);
            check_groups(draft.groups.len())?;
        }
    }
    Ok(draft)
}

fn take(raw: &str, scope: &InstrumentationScope, item: u32, group: &mut Group, draft: &mut Draft) {
    let mut reject = |kind, message| {
        draft.rejected.push(Rejected { items: vec![item], why: Refusal::new(kind, message) });
    };
    if raw.len() > MAX_RECORD || too_many(raw) {
        return reject(Kind::TooLarge, too_large("a record"));
    }
    match serde_json::from_str::<JsonRecord>(raw) {
        Ok(record) => group.lines.push(record::line(record.into(), scope, item, &mut group.capped)),
        Err(error) => reject(Kind::Malformed, format!("a record can't be read: {error}")),
    }
}

/// Whether it has more values than a record may; an attribute and a value are objects.
fn too_many(json: &str) -> bool {
    let (mut quoted, mut escaped, mut objects) = (false, false, 0);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' if !quoted => objects += 1,
            _ => {}
        }
    }
    objects > 2 * MAX_VALUES
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(json).map_err(|error| {
        Refusal::malformed(format!("the request is no ExportLogsServiceRequest in JSON: {error}"))
    })
}

fn pairs(pairs: Bounded<Pair>) -> Vec<KeyValue> {
    let pair = |pair: Pair| KeyValue {
        key: pair.key.unwrap_or_default(),
        value: pair.value.map(AnyValue::from),
        ..KeyValue::default()
    };
    pairs.0.into_iter().map(pair).collect()
}

impl From<JsonAny> for AnyValue {
    fn from(any: JsonAny) -> Self {
        let value = if let Some(text) = any.string {
            Some(Any::StringValue(text))
        } else if let Some(value) = any.bool {
            Some(Any::BoolValue(value))
        } else if let Some(number) = any.int {
            Some(number.signed().map_or_else(Any::StringValue, Any::IntValue))
        } else if let Some(number) = any.double {
            Some(number.into())
        } else if let Some(text) = any.bytes {
            // What is no base64 stays what was sent.
            Some(STANDARD.decode(&text).map_or(Any::StringValue(text), Any::BytesValue))
        } else if let Some(array) = any.array {
            let values = array.values.0.into_iter().map(AnyValue::from).collect();
            Some(Any::ArrayValue(ArrayValue { values }))
        } else {
            any.list.map(|list| Any::KvlistValue(KeyValueList { values: pairs(list.values) }))
        };
        AnyValue { value }
    }
}

impl Number {
    fn signed(self) -> Result<i64, String> {
        match self {
            Number::Signed(number) => Ok(number),
            Number::Unsigned(number) => i64::try_from(number).map_err(|_| number.to_string()),
            Number::Text(text) => text.parse().map_err(|_| text),
        }
    }

    /// A time; none is 0.
    fn unsigned(self) -> u64 {
        match self {
            Number::Unsigned(number) => number,
            Number::Signed(_) => 0,
            Number::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

impl From<Double> for Any {
    fn from(number: Double) -> Self {
        match number {
            Double::Number(number) => Any::DoubleValue(number),
            Double::Text(text) => match text.parse() {
                Ok(number) => Any::DoubleValue(number),
                Err(_) => Any::StringValue(text),
            },
        }
    }
}

impl From<JsonRecord> for LogRecord {
    fn from(record: JsonRecord) -> Self {
        let severity_number = match record.severity_number {
            Some(Severity::Number(number)) => number,
            Some(Severity::Name(name)) => severity(&name),
            None => 0,
        };
        LogRecord {
            time_unix_nano: record.time_unix_nano.map_or(0, Number::unsigned),
            observed_time_unix_nano: record.observed_time_unix_nano.map_or(0, Number::unsigned),
            severity_number,
            severity_text: record.severity_text.unwrap_or_default(),
            body: record.body.map(AnyValue::from),
            attributes: pairs(record.attributes),
            trace_id: id(&record.trace_id.unwrap_or_default()),
            span_id: id(&record.span_id.unwrap_or_default()),
            event_name: record.event_name.unwrap_or_default(),
            ..LogRecord::default()
        }
    }
}

/// `SEVERITY_NUMBER_WARN2` as its number.
fn severity(name: &str) -> i32 {
    let name = name.strip_prefix("SEVERITY_NUMBER_").unwrap_or(name);
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let step = name[word.len()..].parse::<i32>().unwrap_or(1).clamp(1, 4);
    let first =
        HashMap::from([("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17), ("FATAL", 21)]);
    first.get(word).map_or(0, |first| first + step - 1)
}

/// Hexadecimal, in any case; what is none is no id.
fn id(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { text.as_bytes().chunks(2).filter_map(byte).collect() } else { Vec::new() }
}
