//! An occurrence: out of an Event, as a line of a segment, and as a row.

use std::{collections::HashMap, io, sync::Arc};

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

use super::segments::{Hour, Segments};
use crate::{
    scope::Scope,
    sql::{Asker, Batches, Notes, Share, Wanted, counted},
    tables::documented,
};

/// Rows of a batch, and bytes of their lines.
const PIECE: usize = 4096;
const PIECE_BYTES: usize = 4 << 20;
/// Lines after which it is looked whether anybody asks still.
const LOOK: usize = 256;
/// What a row takes while it is made, for each byte of its line: itself and its columns.
const TIMES: usize = 3;

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

/// The table, for one user. It is read hour by hour, newest first, and a piece of an hour is held.
///
/// What is taken is counted against the statement's memory before it is.
pub fn events(segments: Arc<Segments>, asker: Asker) -> Arc<dyn TableProvider> {
    let rows = move |wanted: Wanted, share: Share| -> Result<Batches> {
        let hours = segments.hours(|since, until| wanted.overlaps(since, until));
        Ok(Box::new(Rows {
            segments: segments.clone(),
            hours,
            open: None,
            // Rights may change while a connection lasts: they are asked for at each scan.
            sight: Sight { scope: Scope::over("events", &asker), wanted, seen: HashMap::new() },
            notes: asker.notes.clone(),
            share,
            is_done: false,
        }))
    };
    counted(schema(), rows)
}

/// Which rows are wanted, and seen.
struct Sight {
    scope: Scope,
    wanted: Wanted,
    /// Whether a namespace is.
    seen: HashMap<String, bool>,
}

impl Sight {
    fn takes(&mut self, row: &Occurred) -> bool {
        let names = [("namespace", &row.namespace), ("kind", &row.kind), ("object", &row.object)];
        let is_wanted = self.wanted.takes_time(row.time)
            && names.iter().all(|(column, value)| self.wanted.takes(column, value));
        is_wanted
            && self.seen.get(&row.namespace).copied().unwrap_or_else(|| {
                let sees = self.scope.sees_namespace(&row.namespace);
                self.seen.insert(row.namespace.clone(), sees);
                sees
            })
    }
}

struct Rows {
    segments: Arc<Segments>,
    /// The next one last.
    hours: Vec<i64>,
    open: Option<(i64, Hour)>,
    sight: Sight,
    notes: Notes,
    share: Share,
    is_done: bool,
}

impl Rows {
    /// The next rows that are wanted; none when there are no more, or nobody asks any more.
    fn piece(&mut self) -> Result<Vec<Occurred>> {
        let (mut taken, mut bytes, mut looked) = (Vec::new(), 0, 0_usize);
        while taken.len() < PIECE && bytes < PIECE_BYTES {
            let Some((hour, lines)) = &mut self.open else {
                let Some(hour) = self.hours.pop() else { break };
                self.open = self.segments.hour(hour).map_err(external)?.map(|lines| (hour, lines));
                continue;
            };
            let Some((row, length)) = lines.next_line().map_err(external)? else {
                self.segments.missing(*hour, lines).into_iter().for_each(|what| self.notes.add(what));
                self.open = None;
                continue;
            };
            looked += 1;
            if looked.is_multiple_of(LOOK) && self.share.is_over() {
                return Ok(Vec::new());
            }
            if self.sight.takes(&row) {
                self.share.take(length * TIMES)?;
                bytes += length;
                taken.push(row);
            }
        }
        Ok(taken)
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        // The batch before is the plan's by now.
        self.share.give_back();
        if self.is_done {
            return None;
        }
        match self.piece() {
            Ok(taken) if taken.is_empty() => None,
            Ok(taken) => Some(rows(&taken)),
            Err(error) => {
                self.is_done = true;
                Some(Err(error))
            }
        }
    }
}

fn external(error: io::Error) -> DataFusionError {
    DataFusionError::External(error.into())
}
