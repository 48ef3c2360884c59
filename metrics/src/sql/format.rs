//! An answer as text: a table for people, JSON, JSON lines, CSV, or columns and
//! rows for the dashboard.

use std::sync::Arc;

use datafusion::arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray},
    csv::WriterBuilder as CsvWriter,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    json::{LineDelimitedWriter, WriterBuilder as JsonWriter, writer::JsonArray},
    util::pretty::pretty_format_batches,
};
use serde_json::{Value, json};

use super::SqlError;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Jsonl,
    Csv,
    /// `{"columns": [{"name", "type"}], "rows": [[...]], "notes": ["..."]}`; no value is
    /// more than a text or a number.
    Columns,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Json | Self::Columns => "application/json",
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// # Errors
    /// A type that the format can't show.
    pub fn write(
        self,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        notes: &[String],
    ) -> Result<String, SqlError> {
        let failed = |error: ArrowError| SqlError::Format(error.to_string());
        match self {
            Self::Table => {
                // Without a batch there would be no header.
                let empty = [RecordBatch::new_empty(schema.clone())];
                let batches = if batches.is_empty() { &empty[..] } else { batches };
                Ok(format!("{}\n", pretty_format_batches(batches).map_err(failed)?))
            }
            Self::Json => Ok(format!("{}\n", json_array(batches)?)),
            Self::Jsonl => {
                let mut writer = LineDelimitedWriter::new(Vec::new());
                write_all(batches, |batch| writer.write(batch))?;
                writer.finish().map_err(failed)?;
                text(writer.into_inner())
            }
            Self::Csv => {
                let mut writer = CsvWriter::new().with_header(true).build(Vec::new());
                let empty = RecordBatch::new_empty(schema.clone());
                flat(&empty).and_then(|empty| writer.write(&empty)).map_err(failed)?;
                write_all(batches, |batch| writer.write(&flat(batch)?))?;
                text(writer.into_inner())
            }
            Self::Columns => columns(schema, batches, notes),
        }
    }
}

fn write_all(
    batches: &[RecordBatch],
    mut write: impl FnMut(&RecordBatch) -> Result<(), ArrowError>,
) -> Result<(), SqlError> {
    batches.iter().try_for_each(|batch| write(batch).map_err(|error| SqlError::Format(error.to_string())))
}

fn text(bytes: Vec<u8>) -> Result<String, SqlError> {
    String::from_utf8(bytes).map_err(|error| SqlError::Format(error.to_string()))
}

/// Objects with a null where there is no value, so that every row has every key.
fn json_array(batches: &[RecordBatch]) -> Result<String, SqlError> {
    let mut writer = JsonWriter::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    write_all(batches, |batch| writer.write(batch))?;
    writer.finish().map_err(|error| SqlError::Format(error.to_string()))?;
    let text = text(writer.into_inner())?;
    Ok(if text.is_empty() { "[]".to_owned() } else { text })
}

/// The batch with maps and lists as texts, for formats that have no such values.
pub fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if !column.data_type().is_nested() {
            fields.push(field.clone());
            columns.push(column.clone());
            continue;
        }
        let alone = RecordBatch::try_from_iter([("value", column.clone())])?;
        let mut writer = JsonWriter::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
        writer.write(&alone)?;
        writer.finish()?;
        let rows: Vec<Value> = serde_json::from_slice(&writer.into_inner())
            .or_else(|error| if batch.num_rows() == 0 { Ok(Vec::new()) } else { Err(error) })
            .map_err(|error| ArrowError::ExternalError(error.into()))?;
        let texts = rows.iter().map(|row| (!row["value"].is_null()).then(|| row["value"].to_string()));
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        columns.push(Arc::new(texts.collect::<StringArray>()));
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &rows)
}

fn columns(schema: &SchemaRef, batches: &[RecordBatch], notes: &[String]) -> Result<String, SqlError> {
    let objects: Vec<Value> =
        serde_json::from_str(&json_array(batches)?).map_err(|error| SqlError::Format(error.to_string()))?;
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let simple = |value: Value| match value {
        Value::Object(_) | Value::Array(_) => Value::String(value.to_string()),
        other => other,
    };
    let rows: Vec<Vec<Value>> = objects
        .into_iter()
        .map(|mut object| names.iter().map(|name| simple(object[*name].take())).collect())
        .collect();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect();
    Ok(json!({"columns": columns, "rows": rows, "notes": notes}).to_string())
}
