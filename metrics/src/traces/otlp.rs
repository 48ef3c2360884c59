//! `ExportTraceServiceRequest`, protobuf or JSON, as rows. Pure.

use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue},
    resource::v1::Resource,
    trace::v1::{
        Span as WireSpan, Status,
        span::{Event, Link},
    },
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
/// Spans of one request, and their bytes as rows: each has its resource's attributes.
pub const MOST_SPANS: usize = 50_000;
const MAX_ROWS: usize = 64 << 20;
/// Events of one span that are kept, and links.
const MOST_EVENTS: usize = 128;
const MOST_LINKS: usize = 128;

/// What a request says, and what of it can't be taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Export {
    pub spans: Vec<Span>,
    pub rejected: u64,
    /// Why the first of them was.
    pub why: Option<String>,
    bytes: usize,
}

/// The spans of a request. What is wrong with one of them rejects no other.
///
/// # Errors
/// It is no such message, or too large.
pub fn decode(form: Form, bytes: &[u8], namespace: &str) -> Result<Export, Refusal> {
    let mut export = Export::default();
    match form {
        Form::Protobuf => protobuf(bytes, namespace, &mut export)?,
        Form::Json => json_form(bytes, namespace, &mut export)?,
    }
    Ok(export)
}

impl Export {
    fn reject(&mut self, why: impl FnOnce() -> String) {
        self.rejected += 1;
        if self.why.is_none() {
            self.why = Some(why());
        }
    }

    fn push(&mut self, about: &About<'_>, span: Result<WireSpan, String>) {
        let full = || {
            let most = MAX_ROWS >> 20;
            format!("the request has more than {MOST_SPANS} spans or {most} MiB of them: send less at once")
        };
        let has_room = self.spans.len() < MOST_SPANS;
        // Before the row has its resource's attributes, which may be much.
        if !has_room || self.bytes + about.attributes.len() > MAX_ROWS {
            return self.reject(full);
        }
        match span.and_then(|span| about.row(span)) {
            Err(why) => self.reject(|| why),
            Ok(row) if self.bytes + row.size() > MAX_ROWS => self.reject(full),
            Ok(row) => {
                self.bytes += row.size();
                self.spans.push(row);
            }
        }
    }
}

fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M, Refusal> {
    if bytes.len() > MAX_SPAN {
        return Err(Refusal::too_large(format!("a resource or scope has more than {} KiB", MAX_SPAN >> 10)));
    }
    M::decode(bytes)
        .map_err(|error| Refusal::malformed(format!("the request is no message of OTLP: {error}")))
}

fn protobuf(bytes: &[u8], namespace: &str, export: &mut Export) -> Result<(), Refusal> {
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
        let mut about = About::new(&resource, namespace);
        for of_scope in scopes {
            about.scope = InstrumentationScope::default();
            let mut spans = Vec::new();
            for field in fields(of_scope) {
                match field? {
                    (1, bytes) => about.scope = decoded(bytes)?,
                    (2, span) => spans.push(span),
                    _ => {}
                }
            }
            for span in spans {
                export.push(&about, protobuf_span(span));
            }
        }
    }
    Ok(())
}

fn protobuf_span(bytes: &[u8]) -> Result<WireSpan, String> {
    if bytes.len() > MAX_SPAN {
        return Err(format!("a span has more than {} KiB", MAX_SPAN >> 10));
    }
    WireSpan::decode(bytes).map_err(|error| format!("a span is no message of OTLP: {error}"))
}

/// What is the same for all spans of a resource, or of a scope.
struct About<'a> {
    service: String,
    attributes: String,
    namespace: &'a str,
    scope: InstrumentationScope,
}

impl<'a> About<'a> {
    fn new(resource: &Resource, namespace: &'a str) -> Self {
        Self {
            service: attribute::find(&resource.attributes, "service.name").unwrap_or_default(),
            attributes: attribute::map(&resource.attributes, 0).to_string(),
            namespace,
            scope: InstrumentationScope::default(),
        }
    }

    fn row(&self, span: WireSpan) -> Result<Span, String> {
        let is_id = |id: &[u8], length| id.len() == length && id.iter().any(|byte| *byte != 0);
        if !is_id(&span.trace_id, 16) || !is_id(&span.span_id, 8) {
            return Err(format!("span {:?} has no valid trace_id and span_id", shown(&span.name)));
        }
        let micros = |nanos: u64| (nanos / 1000) as i64;
        let status = span.status.unwrap_or_default();
        let duration = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
        Ok(Span {
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
            scope: self.scope.name.clone(),
            attributes: attribute::map(&span.attributes, 0).to_string(),
            resource: self.attributes.clone(),
            events: events(&span.events),
            links: links(&span.links),
            trace_state: span.trace_state,
            scope_version: self.scope.version.clone(),
            dropped_attributes: span.dropped_attributes_count.into(),
            dropped_events: left_out(span.dropped_events_count, span.events.len(), MOST_EVENTS),
            dropped_links: left_out(span.dropped_links_count, span.links.len(), MOST_LINKS),
            name: span.name,
        })
    }
}

/// How many were left out, by the sender and here.
fn left_out(by_sender: u32, sent: usize, kept: usize) -> i64 {
    i64::from(by_sender) + i64::try_from(sent.saturating_sub(kept)).unwrap_or(i64::MAX / 2)
}

fn events(events: &[Event]) -> String {
    let event = |event: &Event| {
        let told = json!({
            "time_us": event.time_unix_nano / 1000,
            "name": event.name,
            "attributes": attribute::map(&event.attributes, 0),
        });
        with_dropped(told, event.dropped_attributes_count)
    };
    Value::Array(events.iter().take(MOST_EVENTS).map(event).collect()).to_string()
}

fn links(links: &[Link]) -> String {
    let link = |link: &Link| {
        let told = json!({
            "trace_id": spelt(&link.trace_id),
            "span_id": spelt(&link.span_id),
            "trace_state": link.trace_state,
            "attributes": attribute::map(&link.attributes, 0),
        });
        with_dropped(told, link.dropped_attributes_count)
    };
    Value::Array(links.iter().take(MOST_LINKS).map(link).collect()).to_string()
}

/// With the count of attributes that the sender left out, if there are such.
fn with_dropped(mut told: Value, count: u32) -> Value {
    if count > 0 {
        told["dropped_attributes"] = json!(count);
    }
    told
}

/// As much of a name as a sentence has.
fn shown(name: &str) -> String {
    name.chars().take(100).collect()
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

fn json_form(bytes: &[u8], namespace: &str, export: &mut Export) -> Result<(), Refusal> {
    if bytes.len() > MAX_JSON {
        return Err(Refusal::too_large(format!("a request in JSON has at most {} MiB", MAX_JSON >> 20)));
    }
    let request: Value = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::malformed(format!("the request is no JSON: {error}")))?;
    for of_resource in list(&request, "resourceSpans") {
        let attributes = pairs(&of_resource["resource"], "attributes").map_err(Refusal::malformed)?;
        let resource = Resource { attributes, ..Resource::default() };
        let mut about = About::new(&resource, namespace);
        for of_scope in list(of_resource, "scopeSpans") {
            let scope = &of_scope["scope"];
            let (name, version) = (text(scope, "name"), text(scope, "version"));
            about.scope = InstrumentationScope { name, version, ..InstrumentationScope::default() };
            for span in list(of_scope, "spans") {
                let read =
                    json_span(span).map_err(|why| format!("span {:?}: {why}", shown(&text(span, "name"))));
                export.push(&about, read);
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
            dropped_attributes_count: count(value, "droppedAttributesCount")?,
        })
    };
    let link = |value: &Value| -> Result<Link, String> {
        Ok(Link {
            trace_id: hex(&value["traceId"])?,
            span_id: hex(&value["spanId"])?,
            trace_state: text(value, "traceState"),
            attributes: attributes(value)?,
            dropped_attributes_count: count(value, "droppedAttributesCount")?,
            ..Link::default()
        })
    };
    let status = |value: &Value| -> Result<Status, String> {
        Ok(Status { message: text(value, "message"), code: small(&value["code"])? })
    };
    Ok(WireSpan {
        trace_id: hex(&value["traceId"])?,
        span_id: hex(&value["spanId"])?,
        parent_span_id: hex(&value["parentSpanId"])?,
        trace_state: text(value, "traceState"),
        name: text(value, "name"),
        kind: small(&value["kind"])?,
        start_time_unix_nano: unsigned(&value["startTimeUnixNano"])?,
        end_time_unix_nano: unsigned(&value["endTimeUnixNano"])?,
        attributes: attributes(value)?,
        events: all(value, "events", event)?,
        links: all(value, "links", link)?,
        dropped_attributes_count: count(value, "droppedAttributesCount")?,
        dropped_events_count: count(value, "droppedEventsCount")?,
        dropped_links_count: count(value, "droppedLinksCount")?,
        status: some(&value["status"], status)?,
        ..WireSpan::default()
    })
}

fn count(object: &Value, name: &str) -> Result<u32, String> {
    let found = unsigned(&object[name])?;
    u32::try_from(found).map_err(|_| format!("{name} is too large"))
}
