//! `ExportTraceServiceRequest`, protobuf or JSON, as rows. Pure.

use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue},
    resource::v1::Resource,
    trace::v1::{Span as WireSpan, Status, span::Event},
};
use prost::Message;
use serde_json::{Value, json};

use super::Span;
use crate::doors::{
    Form, Refusal, attributes as attribute,
    json::{MAX_JSON, all, hex, list, pairs, small, some, text, unsigned},
    walk::fields,
};

/// Bytes of one span, resource or scope.
const MAX_SPAN: usize = 1 << 20;
/// Spans of one request.
pub const MOST_SPANS: usize = 50_000;
/// Events of one span that are kept.
const MOST_EVENTS: usize = 128;

/// The spans of a request.
///
/// # Errors
/// It is no such message, or too large.
pub fn decode(form: Form, bytes: &[u8], namespace: &str) -> Result<Vec<Span>, Refusal> {
    let mut rows = Vec::new();
    match form {
        Form::Protobuf => protobuf(bytes, namespace, &mut rows)?,
        Form::Json => json_form(bytes, namespace, &mut rows)?,
    }
    Ok(rows)
}

fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M, Refusal> {
    if bytes.len() > MAX_SPAN {
        return Err(Refusal::too_large(format!("a span or resource has more than {} KiB", MAX_SPAN >> 10)));
    }
    M::decode(bytes)
        .map_err(|error| Refusal::malformed(format!("the request is no message of OTLP: {error}")))
}

fn protobuf(bytes: &[u8], namespace: &str, rows: &mut Vec<Span>) -> Result<(), Refusal> {
    for field in fields(bytes) {
        let (1, of_resource) = field? else { continue };
        let mut resource = Resource::default();
        let mut scopes = Vec::new();
        for field in fields(of_resource) {
            match field? {
                (1, bytes) => resource = decoded(bytes)?,
                (2, of_scope) => scopes.push(of_scope),
                _ => {}
            }
        }
        let resource = About::new(&resource, namespace);
        for of_scope in scopes {
            let mut scope = InstrumentationScope::default();
            let mut spans = Vec::new();
            for field in fields(of_scope) {
                match field? {
                    (1, bytes) => scope = decoded(bytes)?,
                    (2, span) => spans.push(span),
                    _ => {}
                }
            }
            for span in spans {
                resource.push(&scope.name, decoded(span)?, rows)?;
            }
        }
    }
    Ok(())
}

/// What is the same for all spans of a resource.
struct About<'a> {
    service: String,
    attributes: String,
    namespace: &'a str,
}

impl<'a> About<'a> {
    fn new(resource: &Resource, namespace: &'a str) -> Self {
        Self {
            service: attribute::find(&resource.attributes, "service.name").unwrap_or_default(),
            attributes: attribute::map(&resource.attributes, 0).to_string(),
            namespace,
        }
    }

    fn push(&self, scope: &str, span: WireSpan, rows: &mut Vec<Span>) -> Result<(), Refusal> {
        if rows.len() >= MOST_SPANS {
            return Err(Refusal::too_large(format!(
                "the request has more than {MOST_SPANS} spans: send fewer at once"
            )));
        }
        if span.trace_id.len() != 16 || span.span_id.len() != 8 {
            return Err(Refusal::malformed(format!(
                "span {:?} has no valid trace_id and span_id",
                span.name
            )));
        }
        let micros = |nanos: u64| (nanos / 1000) as i64;
        let status = span.status.unwrap_or_default();
        let duration = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
        rows.push(Span {
            time: micros(span.start_time_unix_nano),
            duration_us: micros(duration),
            trace_id: spelt(&span.trace_id),
            span_id: spelt(&span.span_id),
            parent_span_id: spelt(&span.parent_span_id),
            service: self.service.clone(),
            namespace: self.namespace.to_owned(),
            kind: kind(span.kind).to_owned(),
            status: ["unset", "ok", "error"].get(status.code as usize).copied().unwrap_or("unset").to_owned(),
            status_message: status.message,
            scope: scope.to_owned(),
            attributes: attribute::map(&span.attributes, 0).to_string(),
            resource: self.attributes.clone(),
            events: events(&span.events),
            name: span.name,
        });
        Ok(())
    }
}

fn events(events: &[Event]) -> String {
    let event = |event: &Event| {
        json!({
            "time_us": event.time_unix_nano / 1000,
            "name": event.name,
            "attributes": attribute::map(&event.attributes, 0),
        })
    };
    Value::Array(events.iter().take(MOST_EVENTS).map(event).collect()).to_string()
}

fn spelt(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kind(number: i32) -> &'static str {
    match number {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

fn json_form(bytes: &[u8], namespace: &str, rows: &mut Vec<Span>) -> Result<(), Refusal> {
    if bytes.len() > MAX_JSON {
        return Err(Refusal::too_large(format!("a request in JSON has at most {} MiB", MAX_JSON >> 20)));
    }
    let request: Value = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::malformed(format!("the request is no JSON: {error}")))?;
    for of_resource in list(&request, "resourceSpans") {
        let attributes = pairs(&of_resource["resource"], "attributes").map_err(Refusal::malformed)?;
        let resource = Resource { attributes, ..Resource::default() };
        let about = About::new(&resource, namespace);
        for of_scope in list(of_resource, "scopeSpans") {
            let scope = text(&of_scope["scope"], "name");
            for span in list(of_scope, "spans") {
                let read = json_span(span)
                    .map_err(|why| Refusal::malformed(format!("span {:?}: {why}", text(span, "name"))))?;
                about.push(&scope, read, rows)?;
            }
        }
    }
    Ok(())
}

fn json_span(value: &Value) -> Result<WireSpan, String> {
    let attributes = |value: &Value| -> Result<Vec<KeyValue>, String> { pairs(value, "attributes") };
    let event = |value: &Value| -> Result<Event, String> {
        Ok(Event {
            time_unix_nano: unsigned(&value["timeUnixNano"])?,
            name: text(value, "name"),
            attributes: attributes(value)?,
            ..Event::default()
        })
    };
    let status = |value: &Value| -> Result<Status, String> {
        Ok(Status { message: text(value, "message"), code: small(&value["code"])? })
    };
    Ok(WireSpan {
        trace_id: hex(&value["traceId"])?,
        span_id: hex(&value["spanId"])?,
        parent_span_id: hex(&value["parentSpanId"])?,
        name: text(value, "name"),
        kind: small(&value["kind"])?,
        start_time_unix_nano: unsigned(&value["startTimeUnixNano"])?,
        end_time_unix_nano: unsigned(&value["endTimeUnixNano"])?,
        attributes: attributes(value)?,
        events: all(value, "events", event)?,
        status: some(&value["status"], status)?,
        ..WireSpan::default()
    })
}
