//! Spans in Jaeger's words: what its pages and Grafana's data source read. Pure.
//!
//! An answer is written span by span: as a tree of JSON values it would take many times its text.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::traces::Span;

/// A list as Jaeger wraps it.
pub fn told(data: Vec<Value>) -> Vec<u8> {
    told_but(data, &[])
}

/// The same, and what it lacks.
pub fn told_but(data: Vec<Value>, errors: &[Value]) -> Vec<u8> {
    let (total, data) = (data.len(), Value::Array(data).to_string());
    wrapped(total, data.into_bytes(), errors)
}

/// Traces, each with what is to be said of it, and what there is none of.
pub fn traces(traces: &[(Vec<Span>, Vec<String>)], errors: &[Value]) -> Vec<u8> {
    let mut data = vec![b'['];
    for (place, (spans, warnings)) in traces.iter().enumerate() {
        if place > 0 {
            data.push(b',');
        }
        trace(&mut data, spans, warnings);
    }
    data.push(b']');
    wrapped(traces.len(), data, errors)
}

fn wrapped(total: usize, data: Vec<u8>, errors: &[Value]) -> Vec<u8> {
    let errors = if errors.is_empty() { Value::Null } else { json!(errors) };
    let mut whole =
        format!(r#"{{"total":{total},"limit":0,"offset":0,"errors":{errors},"data":"#).into_bytes();
    whole.extend(data);
    whole.push(b'}');
    whole
}

fn put(data: &mut Vec<u8>, value: &Value) {
    data.extend_from_slice(value.to_string().as_bytes());
}

fn trace(data: &mut Vec<u8>, spans: &[Span], warnings: &[String]) {
    let mut processes: BTreeMap<String, Value> = BTreeMap::new();
    let mut numbers: HashMap<(&str, &str), String> = HashMap::new();
    data.extend_from_slice(br#"{"traceID":"#);
    put(data, &json!(spans.first().map_or("", |span| &span.trace_id)));
    data.extend_from_slice(br#","spans":["#);
    for (place, span) in spans.iter().enumerate() {
        let next = format!("p{}", numbers.len() + 1);
        let process = numbers.entry((&span.service, &span.resource)).or_insert(next).clone();
        processes
            .entry(process.clone())
            .or_insert_with(|| json!({"serviceName": span.service, "tags": tags(&span.resource)}));
        if place > 0 {
            data.push(b',');
        }
        put(data, &as_span(span, &process));
    }
    data.extend_from_slice(br#"],"processes":"#);
    put(data, &json!(processes));
    data.extend_from_slice(br#","warnings":"#);
    put(data, &said(warnings));
    data.push(b'}');
}

/// Warnings as Jaeger has them: none is null.
fn said(warnings: &[String]) -> Value {
    if warnings.is_empty() { Value::Null } else { json!(warnings) }
}

fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn tag(key: &str, value: &Value) -> Value {
    let (kind, value) = match value {
        Value::Bool(_) => ("bool", value.clone()),
        Value::Number(number) if number.is_f64() => ("float64", value.clone()),
        Value::Number(_) => ("int64", value.clone()),
        Value::String(_) => ("string", value.clone()),
        other => ("string", Value::String(other.to_string())),
    };
    json!({"key": key, "type": kind, "value": value})
}

/// A JSON object's members.
pub fn tags(text: &str) -> Vec<Value> {
    object(text).iter().map(|(key, value)| tag(key, value)).collect()
}

/// Attributes, and what else OpenTelemetry says of a span, under the names that Jaeger gives it.
pub fn tags_of(span: &Span) -> Vec<Value> {
    let mut all = tags(&span.attributes);
    if span.kind != "unspecified" {
        all.push(tag("span.kind", &json!(span.kind)));
    }
    match span.status.as_str() {
        "error" => all.extend([tag("error", &json!(true)), tag("otel.status_code", &json!("ERROR"))]),
        "ok" => all.push(tag("otel.status_code", &json!("OK"))),
        _ => {}
    }
    let texts = [
        ("otel.status_description", &span.status_message),
        ("otel.scope.name", &span.scope),
        ("otel.scope.version", &span.scope_version),
        ("w3c.tracestate", &span.trace_state),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    all.extend(texts.map(|(key, text)| tag(key, &json!(text))));
    all
}

/// What a span is part of, and what it follows.
fn references(span: &Span) -> Vec<Value> {
    let reference =
        |kind: &str, trace: &Value, id: &Value| json!({"refType": kind, "traceID": trace, "spanID": id});
    let mut all = Vec::new();
    if !span.parent_span_id.is_empty() {
        all.push(reference("CHILD_OF", &json!(span.trace_id), &json!(span.parent_span_id)));
    }
    let links: Vec<Value> = serde_json::from_str(&span.links).unwrap_or_default();
    all.extend(links.iter().map(|link| reference("FOLLOWS_FROM", &link["trace_id"], &link["span_id"])));
    all
}

/// What its sender has left out.
fn left_out(span: &Span) -> Vec<String> {
    let counts = [
        (span.dropped_attributes, "attributes"),
        (span.dropped_events, "events"),
        (span.dropped_links, "links"),
    ];
    let some = counts.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!("{count} {what} were left out")).collect()
}

/// What happened within a span.
pub fn events(span: &Span) -> Vec<Value> {
    serde_json::from_str(&span.events).unwrap_or_default()
}

/// What the log says of an event.
pub fn fields(event: &Value) -> Vec<Value> {
    let attributes = event["attributes"].as_object().into_iter().flatten();
    let attributes = attributes.map(|(key, value)| tag(key, value));
    std::iter::once(tag("event", &event["name"])).chain(attributes).collect()
}

fn as_span(span: &Span, process: &str) -> Value {
    let log = |event: &Value| json!({"timestamp": event["time_us"], "fields": fields(event)});
    json!({
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": references(span),
        "startTime": span.time,
        "duration": span.duration_us,
        "tags": tags_of(span),
        "logs": events(span).iter().map(log).collect::<Vec<_>>(),
        "processID": process,
        "warnings": said(&left_out(span)),
    })
}
