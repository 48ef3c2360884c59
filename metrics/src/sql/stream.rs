//! An answer in pieces, as its rows come: JSON lines, CSV, Arrow or Parquet. One batch is
//! held (of Parquet one row group), however long the answer is.

use bytes::Bytes;
use datafusion::arrow::{
    array::RecordBatch, csv::WriterBuilder as CsvWriter, datatypes::SchemaRef, error::ArrowError,
    ipc::writer::StreamWriter, json::LineDelimitedWriter,
};
use futures::{Stream, StreamExt, stream};

use super::{Notes, ParquetFile, Rows, SqlError, format::flat};

/// The forms that need not be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streamed {
    Jsonl,
    Csv,
    /// Arrow's streaming format of interprocess communication.
    Arrow,
    Parquet,
}

impl Streamed {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

enum Writer {
    Jsonl,
    Csv { head: bool },
    Arrow(StreamWriter<Vec<u8>>),
    Parquet(ParquetFile),
}

/// The rows, written.
pub fn pieces(
    rows: Rows,
    form: Streamed,
    notes: Notes,
) -> Result<impl Stream<Item = Result<Bytes, SqlError>> + Send + use<>, SqlError> {
    let schema = rows.schema();
    let writer = Writer::new(form, &schema)?;
    Ok(stream::try_unfold(Some((rows, writer)), move |state| {
        let (notes, schema) = (notes.clone(), schema.clone());
        async move {
            let Some((mut rows, mut writer)) = state else { return Ok(None) };
            match rows.next().await {
                Some(batch) => {
                    let piece = writer.piece(&batch?)?;
                    Ok(Some((Bytes::from(piece), Some((rows, writer)))))
                }
                None => Ok(Some((Bytes::from(writer.end(&schema, &notes)?), None))),
            }
        }
    }))
}

impl Writer {
    fn new(form: Streamed, schema: &SchemaRef) -> Result<Self, SqlError> {
        Ok(match form {
            Streamed::Jsonl => Self::Jsonl,
            Streamed::Csv => Self::Csv { head: true },
            Streamed::Arrow => Self::Arrow(StreamWriter::try_new(Vec::new(), schema).map_err(failed)?),
            Streamed::Parquet => Self::Parquet(
                ParquetFile::new(schema.clone()).map_err(|error| SqlError::Format(error.to_string()))?,
            ),
        })
    }

    fn piece(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, SqlError> {
        match self {
            Self::Jsonl => {
                let mut writer = LineDelimitedWriter::new(Vec::new());
                writer.write(batch).and_then(|()| writer.finish()).map_err(failed)?;
                Ok(writer.into_inner())
            }
            Self::Csv { head } => {
                let mut writer = CsvWriter::new().with_header(std::mem::take(head)).build(Vec::new());
                flat(batch).and_then(|batch| writer.write(&batch)).map_err(failed)?;
                Ok(writer.into_inner())
            }
            Self::Arrow(writer) => {
                writer.write(batch).map_err(failed)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Self::Parquet(file) => file.write(batch).map_err(|error| SqlError::Format(error.to_string())),
        }
    }

    fn end(mut self, schema: &SchemaRef, notes: &Notes) -> Result<Vec<u8>, SqlError> {
        if let Self::Csv { head: true } = self {
            // Without a row there is still a header.
            return self.piece(&RecordBatch::new_empty(schema.clone()));
        }
        match self {
            Self::Jsonl | Self::Csv { .. } => Ok(Vec::new()),
            Self::Arrow(mut writer) => {
                writer.finish().map_err(failed)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Self::Parquet(file) => {
                file.finish(&notes.list()).map_err(|error| SqlError::Format(error.to_string()))
            }
        }
    }
}

fn failed(error: ArrowError) -> SqlError {
    SqlError::Format(error.to_string())
}
