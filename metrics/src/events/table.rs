//! An occurrence: out of an Event, as a line of a segment, and as a row.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
        datatypes::{DataType, Schema, SchemaRef, TimeUnit},
    },
    catalog::TableProvider,
    common::{DataFusionError, Result},
};
use k8s_openapi::api::core::v1::Event;
use serde::{Deserialize, Serialize};

use super::Segments;
use crate::{
    scope::Scope,
    sql::{Asker, Batches, Wanted, table},
    tables::documented,
};

/// One occurrence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Occurred {
    /// Microseconds since the Unix epoch.
    pub time: i64,
    pub first_time: i64,
    pub namespace: String,
    pub kind: String,
    pub object: String,
    pub object_uid: String,
    pub r#type: String,
    pub reason: String,
    pub message: String,
    pub count: i64,
    pub source: String,
    pub node: String,
    pub name: String,
    /// The Event's resourceVersion.
    pub version: u64,
}

impl Occurred {
    /// Absent: an Event that the API server hasn't versioned; it versions all.
    pub fn of(event: Event) -> Option<Self> {
        let version = event.metadata.resource_version.as_deref()?.parse().ok()?;
        let created = event.metadata.creation_timestamp.map(|time| time.0);
        let series = event.series.as_ref();
        let observed = series.and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
        let (first, last) =
            (event.first_timestamp.map(|time| time.0), event.last_timestamp.map(|time| time.0));
        let one = event.event_time.map(|time| time.0);
        let time = observed.or(last).or(one).or(first).or(created)?;
        let count = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
        let source = event.source.unwrap_or_default();
        let reporter = event.reporting_component.filter(|reporter| !reporter.is_empty());
        Some(Self {
            time: time.as_microsecond(),
            first_time: first.or(one).unwrap_or(time).as_microsecond(),
            namespace: event.metadata.namespace.unwrap_or_default(),
            kind: event.involved_object.kind.unwrap_or_default(),
            object: event.involved_object.name.unwrap_or_default(),
            object_uid: event.involved_object.uid.unwrap_or_default(),
            r#type: event.type_.unwrap_or_default(),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            count: i64::from(count),
            source: source.component.or(reporter).unwrap_or_default(),
            node: source.host.unwrap_or_default(),
            name: event.metadata.name.unwrap_or_default(),
            version,
        })
    }
}

struct Column {
    name: &'static str,
    about: &'static str,
    value: Value,
}

enum Value {
    Time(fn(&Occurred) -> i64),
    Text(fn(&Occurred) -> &str),
    Number(fn(&Occurred) -> i64),
}

const fn text(name: &'static str, about: &'static str, value: fn(&Occurred) -> &str) -> Column {
    Column { name, about, value: Value::Text(value) }
}

/// All columns, in their order.
static COLUMNS: &[Column] = &[
    Column {
        name: "time",
        about: "when it happened; the last time, if it happened often",
        value: Value::Time(|row| row.time),
    },
    text("namespace", "the namespace of the object; of cluster-scoped ones default", |row| &row.namespace),
    text("kind", "the kind of the object that it is about", |row| &row.kind),
    text("object", "the name of that object", |row| &row.object),
    text("type", "Normal or Warning", |row| &row.r#type),
    text("reason", "why, in a word", |row| &row.reason),
    text("message", "what happened, in a sentence", |row| &row.message),
    Column { name: "count", about: "how often so far", value: Value::Number(|row| row.count) },
    text("source", "the component that tells it", |row| &row.source),
    text("node", "the node that it tells it from", |row| &row.node),
    Column { name: "first_time", about: "when it happened first", value: Value::Time(|row| row.first_time) },
    text("object_uid", "the UID of the object", |row| &row.object_uid),
    text("name", "the name of the Event", |row| &row.name),
];

fn schema() -> SchemaRef {
    let fields = COLUMNS.iter().map(|column| {
        let kind = match column.value {
            Value::Time(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Value::Text(_) => DataType::Utf8,
            Value::Number(_) => DataType::Int64,
        };
        documented(column.name, kind, false, column.about)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn rows(all: &[Occurred]) -> Result<RecordBatch> {
    let columns = COLUMNS.iter().map(|column| -> ArrayRef {
        match column.value {
            Value::Time(value) => Arc::new(
                TimestampMicrosecondArray::from_iter_values(all.iter().map(value)).with_timezone("UTC"),
            ),
            Value::Text(value) => Arc::new(StringArray::from_iter_values(all.iter().map(value))),
            Value::Number(value) => Arc::new(Int64Array::from_iter_values(all.iter().map(value))),
        }
    });
    Ok(RecordBatch::try_new(schema(), columns.collect())?)
}

/// The table, for one user. It is read hour by hour, newest first; one hour is held.
pub fn events(segments: Arc<Segments>, asker: Asker) -> Arc<dyn TableProvider> {
    let rows = move |wanted: Wanted| -> Result<Batches> {
        let mut hours = segments.hours(|since, until| wanted.overlaps(since, until));
        let (segments, scope) = (segments.clone(), Scope::over("events", &asker));
        let next = std::iter::from_fn(move || hours.pop());
        Ok(Box::new(next.map(move |at| hour(&segments, &scope, &wanted, at))))
    };
    table(schema(), rows)
}

/// What is wanted of an hour.
fn hour(segments: &Segments, scope: &Scope, wanted: &Wanted, hour: i64) -> Result<RecordBatch> {
    let mut all = Vec::new();
    let takes = |row: &Occurred| {
        let names = [("namespace", &row.namespace), ("kind", &row.kind), ("object", &row.object)];
        wanted.takes_time(row.time)
            && names.iter().all(|(column, value)| wanted.takes(column, value))
            && scope.sees_namespace(&row.namespace)
    };
    let mut add = |row: Occurred| {
        if takes(&row) {
            all.push(row);
        }
    };
    segments.read(hour, &mut add).map_err(|error| DataFusionError::External(error.into()))?;
    rows(&all)
}
