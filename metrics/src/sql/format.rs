//! An answer as text: a table for people, JSON, JSON lines, CSV, or columns and
//! rows for the dashboard.

use datafusion::arrow::{
    array::RecordBatch,
    csv::WriterBuilder as CsvWriter,
    datatypes::SchemaRef,
    json::{LineDelimitedWriter, WriterBuilder as JsonWriter, writer::JsonArray},
    util::pretty::pretty_format_batches,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SqlError;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Table,
    #[default]
    Json,
    Jsonl,
    Csv,
    /// `{"columns": [{"name", "type"}], "rows": [[...]]}`
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
    pub fn write(self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, SqlError> {
        let failed = |error: datafusion::arrow::error::ArrowError| SqlError::Format(error.to_string());
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
                writer.write(&empty).map_err(failed)?;
                write_all(batches, |batch| writer.write(batch))?;
                text(writer.into_inner())
            }
            Self::Columns => columns(schema, batches),
        }
    }
}

fn write_all(
    batches: &[RecordBatch],
    mut write: impl FnMut(&RecordBatch) -> Result<(), datafusion::arrow::error::ArrowError>,
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

fn columns(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, SqlError> {
    let objects: Vec<Value> =
        serde_json::from_str(&json_array(batches)?).map_err(|error| SqlError::Format(error.to_string()))?;
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let rows: Vec<Vec<Value>> = objects
        .into_iter()
        .map(|mut object| names.iter().map(|name| object[*name].take()).collect())
        .collect();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect();
    Ok(json!({"columns": columns, "rows": rows}).to_string())
}
