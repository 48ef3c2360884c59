//! A span as a row: its columns, and the way to them and back. Pure.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
    error::ArrowError,
};
use serde::{Deserialize, Serialize};

use crate::tables::documented;

/// Ids are in hexadecimal; absent texts are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Span {
    /// When it began, microseconds since the Unix epoch.
    pub time: i64,
    pub duration_us: i64,
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: String,
    pub name: String,
    pub service: String,
    pub namespace: String,
    pub kind: String,
    pub status: String,
    pub status_message: String,
    pub scope: String,
    /// JSON, as the two that follow.
    pub attributes: String,
    pub resource: String,
    pub events: String,
}

type Text = (&'static str, &'static str, fn(&Span) -> &str, fn(&mut Span) -> &mut String);

/// The columns that are texts.
const TEXTS: [Text; 13] = [
    ("trace_id", "the trace, in hexadecimal", |span| &span.trace_id, |span| &mut span.trace_id),
    ("span_id", "the span, in hexadecimal", |span| &span.span_id, |span| &mut span.span_id),
    (
        "parent_span_id",
        "the span it is part of; empty for the first",
        |span| &span.parent_span_id,
        |span| &mut span.parent_span_id,
    ),
    ("name", "what was done", |span| &span.name, |span| &mut span.name),
    ("service", "who did it, the resource's service.name", |span| &span.service, |span| &mut span.service),
    ("namespace", "the namespace of its sender", |span| &span.namespace, |span| &mut span.namespace),
    ("kind", "internal, server, client, producer or consumer", |span| &span.kind, |span| &mut span.kind),
    ("status", "unset, ok or error", |span| &span.status, |span| &mut span.status),
    ("status_message", "what went wrong", |span| &span.status_message, |span| &mut span.status_message),
    ("scope", "the library that measured", |span| &span.scope, |span| &mut span.scope),
    ("attributes", "attributes, as a JSON object", |span| &span.attributes, |span| &mut span.attributes),
    (
        "resource",
        "attributes of its resource, as a JSON object",
        |span| &span.resource,
        |span| &mut span.resource,
    ),
    ("events", "events within it, as a JSON array", |span| &span.events, |span| &mut span.events),
];

pub fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        documented("time", time, false, "when it began"),
        documented("duration_us", DataType::Int64, false, "how long it took, microseconds"),
    ];
    fields.extend(TEXTS.iter().map(|(name, about, ..)| documented(name, DataType::Utf8, false, about)));
    Arc::new(Schema::new(fields))
}

/// # Errors
/// None in practice: the columns are made from the same list as the schema.
pub fn batch<'a>(spans: impl Iterator<Item = &'a Span> + Clone) -> Result<RecordBatch, ArrowError> {
    let times = TimestampMicrosecondArray::from_iter_values(spans.clone().map(|span| span.time));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(times.with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values(spans.clone().map(|span| span.duration_us))),
    ];
    for (_, _, read, _) in TEXTS {
        columns.push(Arc::new(StringArray::from_iter_values(spans.clone().map(read))));
    }
    RecordBatch::try_new(schema(), columns)
}

/// The spans of a batch with this schema.
pub fn spans(batch: &RecordBatch) -> Option<Vec<Span>> {
    let times = batch.column_by_name("time")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let durations = batch.column_by_name("duration_us")?.as_primitive_opt::<Int64Type>()?;
    let mut spans: Vec<Span> = (0..batch.num_rows())
        .map(|at| Span { time: times.value(at), duration_us: durations.value(at), ..Span::default() })
        .collect();
    for (name, _, _, write) in TEXTS {
        let texts = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        for (at, span) in spans.iter_mut().enumerate() {
            if texts.is_valid(at) {
                texts.value(at).clone_into(write(span));
            }
        }
    }
    Some(spans)
}

impl Span {
    /// About the bytes that it takes in memory.
    pub fn size(&self) -> usize {
        size_of::<Self>() + TEXTS.iter().map(|(_, _, read, _)| read(self).len()).sum::<usize>()
    }
}
