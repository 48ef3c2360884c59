//! The columns of `logs`: one list, with their documentation, and records as rows.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, Int32Array, Int64Array, MapBuilder, RecordBatch, RecordBatchOptions,
            StringArray, StringBuilder, TimestampNanosecondArray,
        },
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    },
    common::{DataFusionError, Result},
};
use tiphys_logging::{query::compile, record::Level, time, wire::LogRecord};

/// A column: its name, what it says, and its value in a record.
struct Column {
    name: &'static str,
    about: &'static str,
    value: Value,
}

enum Value {
    Time,
    Text(fn(&LogRecord) -> &str),
    Restart,
    Severity,
    Labels,
    App,
}

const fn text(name: &'static str, about: &'static str, value: fn(&LogRecord) -> &str) -> Column {
    Column { name, about, value: Value::Text(value) }
}

/// All columns, in their order.
static COLUMNS: &[Column] = &[
    Column { name: "time", about: "when the container wrote it, to the nanosecond", value: Value::Time },
    text("namespace", "the Pod's namespace", |record| &record.namespace),
    text("pod", "the Pod", |record| &record.pod),
    text("container", "the container", |record| &record.container),
    text("node", "where it ran", |record| &record.node),
    Column {
        name: "restart",
        about: "which instance of the container: how often it had been restarted before, 0 of the first",
        value: Value::Restart,
    },
    text("stream", "stdout or stderr", |record| &record.stream),
    text("level", "trace, debug, info, warn, error, fatal or unknown", |record| &record.level),
    Column {
        name: "severity",
        about: "the level as a number that can be compared: 0 unknown, 1 trace, 2 debug, 3 info, 4 warn, 5 error, 6 fatal",
        value: Value::Severity,
    },
    text("body", "the line, and the trace below it; search it with match(body, '...')", |record| {
        &record.body
    }),
    Column { name: "labels", about: "the Pod's labels: labels['app']", value: Value::Labels },
    Column {
        name: "app",
        about: "the label app.kubernetes.io/name, app or k8s-app, the first there is",
        value: Value::App,
    },
    text("id", "names the record for good", |record| &record.id),
];

/// The columns as the engine knows them.
pub fn schema() -> SchemaRef {
    let fields = COLUMNS.iter().map(|column| {
        let (kind, nullable) = match column.value {
            Value::Time => (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), false),
            Value::Text(_) => (DataType::Utf8, false),
            Value::Restart => (DataType::Int64, false),
            Value::Severity => (DataType::Int32, false),
            Value::Labels => (map_builder().finish().data_type().clone(), true),
            Value::App => (DataType::Utf8, true),
        };
        let about = HashMap::from([("description".to_owned(), column.about.to_owned())]);
        Field::new(column.name, kind, nullable).with_metadata(about)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The place of a column.
pub fn at(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

/// The text that a column has in a record; empty for columns of another kind.
pub fn text_of<'a>(name: &str, record: &'a LogRecord) -> &'a str {
    match COLUMNS.iter().find(|column| column.name == name).map(|column| &column.value) {
        Some(Value::Text(value)) => value(record),
        _ => "",
    }
}

/// Records as rows, with the columns at these places only.
///
/// # Errors
/// A record has no time; collectors give none such.
pub fn rows(schema: &SchemaRef, places: &[usize], records: &[LogRecord]) -> Result<RecordBatch> {
    let columns: Result<Vec<ArrayRef>> =
        places.iter().map(|at| array(&COLUMNS[*at].value, records)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema.project(places)?), columns?, &options)?)
}

fn array(value: &Value, records: &[LogRecord]) -> Result<ArrayRef> {
    Ok(match value {
        Value::Time => {
            let no_time =
                |record: &LogRecord| DataFusionError::Execution(format!("`{}` is no time", record.time));
            let times: Result<Vec<i64>> = records
                .iter()
                .map(|record| time::parse(&record.time).ok_or_else(|| no_time(record)))
                .collect();
            Arc::new(TimestampNanosecondArray::from(times?).with_timezone("UTC"))
        }
        Value::Text(value) => Arc::new(StringArray::from_iter_values(records.iter().map(value))),
        Value::Restart => {
            Arc::new(Int64Array::from_iter_values(records.iter().map(|record| i64::from(record.restart))))
        }
        Value::Severity => {
            let severity = |record: &LogRecord| Level::from_word(&record.level).unwrap_or_default() as i32;
            Arc::new(Int32Array::from_iter_values(records.iter().map(severity)))
        }
        Value::Labels => {
            let mut maps = map_builder();
            for record in records {
                for (key, value) in record.labels.iter().flatten() {
                    maps.keys().append_value(key);
                    maps.values().append_value(value);
                }
                maps.append(record.labels.is_some())?;
            }
            Arc::new(maps.finish())
        }
        Value::App => {
            let app = |record: &LogRecord| record.labels.as_ref().and_then(compile::app).map(str::to_owned);
            Arc::new(records.iter().map(app).collect::<StringArray>())
        }
    })
}

fn map_builder() -> MapBuilder<StringBuilder, StringBuilder> {
    MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())
}
