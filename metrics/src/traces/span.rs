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
    /// JSON, as the three that follow.
    pub attributes: String,
    pub resource: String,
    pub events: String,
    pub links: String,
    pub trace_state: String,
    pub scope_version: String,
    /// How many of them are not among those above.
    pub dropped_attributes: i64,
    pub dropped_events: i64,
    pub dropped_links: i64,
}

type Text = (&'static str, &'static str, fn(&Span) -> &str, fn(&mut Span) -> &mut String);

/// Texts that the files of all versions have; those behind them are newer.
const FORMER: usize = 13;

/// The columns that are texts.
const TEXTS: [Text; 16] = [
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
    (
        "links",
        "spans that it follows or belongs with, as a JSON array",
        |span| &span.links,
        |span| &mut span.links,
    ),
    (
        "trace_state",
        "what tracers passed on, as W3C's tracestate has it",
        |span| &span.trace_state,
        |span| &mut span.trace_state,
    ),
    (
        "scope_version",
        "the version of the library that measured",
        |span| &span.scope_version,
        |span| &mut span.scope_version,
    ),
];

type Count = (&'static str, &'static str, fn(&Span) -> i64, fn(&mut Span) -> &mut i64);

/// The columns that are counts; all of them are newer than the first files.
const COUNTS: [Count; 3] = [
    (
        "dropped_attributes",
        "attributes that were left out",
        |span| span.dropped_attributes,
        |span| &mut span.dropped_attributes,
    ),
    (
        "dropped_events",
        "events that were left out",
        |span| span.dropped_events,
        |span| &mut span.dropped_events,
    ),
    ("dropped_links", "links that were left out", |span| span.dropped_links, |span| &mut span.dropped_links),
];

pub fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        documented("time", time, false, "when it began"),
        documented("duration_us", DataType::Int64, false, "how long it took, microseconds"),
    ];
    fields.extend(TEXTS.iter().map(|(name, about, ..)| documented(name, DataType::Utf8, false, about)));
    fields.extend(COUNTS.iter().map(|(name, about, ..)| documented(name, DataType::Int64, false, about)));
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
    for (_, _, read, _) in COUNTS {
        columns.push(Arc::new(Int64Array::from_iter_values(spans.clone().map(read))));
    }
    RecordBatch::try_new(schema(), columns)
}

/// Rows as this schema has them: what files of former versions lack is empty.
///
/// # Errors
/// None in practice: what is there is of the schema's types.
pub fn complete(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (schema, rows) = (schema(), batch.num_rows());
    let column = |name: &str, kind: &DataType| -> ArrayRef {
        match (batch.column_by_name(name), kind) {
            (Some(there), _) => there.clone(),
            (None, DataType::Int64) => Arc::new(Int64Array::from_iter_values(std::iter::repeat_n(0, rows))),
            (None, _) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n("", rows))),
        }
    };
    let columns = schema.fields().iter().map(|field| column(field.name(), field.data_type())).collect();
    RecordBatch::try_new(schema, columns)
}

/// The spans of a batch with this schema, or that of a former version.
pub fn spans(batch: &RecordBatch) -> Option<Vec<Span>> {
    let times = batch.column_by_name("time")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let durations = batch.column_by_name("duration_us")?.as_primitive_opt::<Int64Type>()?;
    let mut spans: Vec<Span> = (0..batch.num_rows())
        .map(|at| Span { time: times.value(at), duration_us: durations.value(at), ..Span::default() })
        .collect();
    for (at, (name, _, _, write)) in TEXTS.into_iter().enumerate() {
        let Some(texts) = batch.column_by_name(name) else {
            if at < FORMER {
                return None;
            }
            continue;
        };
        let texts = texts.as_string_opt::<i32>()?;
        for (at, span) in spans.iter_mut().enumerate() {
            if texts.is_valid(at) {
                texts.value(at).clone_into(write(span));
            }
        }
    }
    for (name, _, _, write) in COUNTS {
        let Some(counts) = batch.column_by_name(name) else { continue };
        let counts = counts.as_primitive_opt::<Int64Type>()?;
        for (at, span) in spans.iter_mut().enumerate() {
            *write(span) = counts.value(at);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_former_version_are_read_and_completed() {
        let span = Span {
            name: "a".into(),
            links: "[1]".into(),
            trace_state: "x=1".into(),
            scope_version: "2".into(),
            dropped_attributes: 3,
            dropped_events: 4,
            dropped_links: 5,
            ..Span::default()
        };
        let now = batch([&span].into_iter()).expect("rows");
        assert_eq!(spans(&now), Some(vec![span.clone()]));
        assert_eq!(complete(&now).expect("rows"), now);
        // Time, duration, and the texts that there were.
        let kept: Vec<usize> = (0..2 + FORMER).collect();
        let before = now.project(&kept).expect("columns");
        let lesser = Span { name: "a".into(), ..Span::default() };
        assert_eq!(spans(&before), Some(vec![lesser.clone()]));
        let completed = complete(&before).expect("rows");
        assert_eq!((completed.schema(), spans(&completed)), (schema(), Some(vec![lesser])));
        let less = now.project(&kept[..kept.len() - 1]).expect("columns");
        assert_eq!(spans(&less), None, "what all versions have must be there");
    }
}
