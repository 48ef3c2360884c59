//! An occurrence: out of an Event, as a line of a segment, and as a row.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
        datatypes::{DataType, Schema, SchemaRef, TimeUnit},
    },
    catalog::{Session, TableProvider},
    common::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{
        ExecutionPlan,
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use futures::stream;
use k8s_openapi::api::core::v1::Event;
use serde::{Deserialize, Serialize};

use super::Segments;
use crate::{
    scope::Scope,
    sql::{Asker, Wanted},
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

/// The table, for one user.
pub struct EventTable {
    segments: Arc<Segments>,
    asker: Asker,
    schema: SchemaRef,
}

impl EventTable {
    pub fn new(segments: Arc<Segments>, asker: Asker) -> Self {
        Self { segments, asker, schema: schema() }
    }
}

impl fmt::Debug for EventTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTable").finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for EventTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = EventScan {
            segments: self.segments.clone(),
            scope: Scope::over("events", &self.asker),
            wanted: Wanted::of(filters),
            schema: self.schema.clone(),
        };
        let schema = self.schema.clone();
        Ok(Arc::new(StreamingTableExec::try_new(
            schema,
            vec![Arc::new(scan)],
            projection,
            None,
            false,
            None,
        )?))
    }
}

/// Reads hour by hour, newest first. One hour is held.
#[derive(Clone)]
struct EventScan {
    segments: Arc<Segments>,
    scope: Scope,
    wanted: Wanted,
    schema: SchemaRef,
}

impl fmt::Debug for EventScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventScan").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl EventScan {
    fn hour(&self, hour: i64) -> Result<RecordBatch> {
        let mut all = Vec::new();
        let wanted = |row: &Occurred| {
            let names = [("namespace", &row.namespace), ("kind", &row.kind), ("object", &row.object)];
            self.wanted.takes_time(row.time)
                && names.iter().all(|(column, value)| self.wanted.takes(column, value))
                && self.scope.sees_namespace(&row.namespace)
        };
        let mut add = |row: Occurred| {
            if wanted(&row) {
                all.push(row);
            }
        };
        self.segments.read(hour, &mut add).map_err(|error| DataFusionError::External(error.into()))?;
        rows(&all)
    }
}

impl PartitionStream for EventScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut hours = self.segments.hours(|since, until| self.wanted.overlaps(since, until));
        let scan = self.clone();
        // The thread of a statement may wait for the disk.
        let batches = stream::iter(std::iter::from_fn(move || hours.pop()).map(move |hour| scan.hour(hour)));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}
