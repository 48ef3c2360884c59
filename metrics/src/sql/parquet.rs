//! An answer as a Parquet file, written as it comes: one row group is held, no more.
//!
//! What the reader must know of the answer stands in the file's metadata, under
//! [`NOTES`]: it is the last thing written, and nothing can be said before.

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    parquet::{
        arrow::ArrowWriter,
        basic::{Compression, ZstdLevel},
        errors::ParquetError,
        file::{
            FOOTER_SIZE,
            metadata::{FooterTail, KeyValue, ParquetMetaDataReader},
            properties::WriterProperties,
        },
    },
};

/// The key of the notes in a file's metadata: a line each.
const NOTES: &str = "tiphys.notes";
/// A row group is closed when what it takes in memory reaches this.
const GROUP_BYTES: usize = 16 << 20;
/// ... or when it has so many rows.
const GROUP_ROWS: usize = 256 << 10;

/// Writes batches as one file, in pieces.
pub struct ParquetFile {
    writer: ArrowWriter<Vec<u8>>,
}

impl ParquetFile {
    /// # Errors
    /// A type that Parquet has no name for.
    pub fn new(schema: SchemaRef) -> Result<Self, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        Ok(Self { writer: ArrowWriter::try_new(Vec::new(), schema, Some(properties))? })
    }

    /// Takes rows in; gives the bytes of the file that are ready, often none.
    ///
    /// # Errors
    /// The batch has another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ParquetError> {
        self.writer.write(batch)?;
        if self.writer.memory_size() > GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// The rest of the file.
    ///
    /// # Errors
    /// None in practice: it is written to memory.
    pub fn finish(mut self, notes: &[String]) -> Result<Vec<u8>, ParquetError> {
        if !notes.is_empty() {
            self.writer.append_key_value_metadata(KeyValue::new(NOTES.to_owned(), notes.join("\n")));
        }
        self.writer.finish()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }
}

/// The notes of a file whose last bytes these are; none when the end is not among them.
pub fn notes_of(end: &[u8]) -> Vec<String> {
    let metadata = end.len().checked_sub(FOOTER_SIZE).and_then(|at| {
        let footer = end[at..].try_into().ok()?;
        let footer = FooterTail::try_new(footer).ok()?;
        at.checked_sub(footer.metadata_length()).map(|from| &end[from..at])
    });
    let metadata = metadata.and_then(|bytes| ParquetMetaDataReader::decode_metadata(bytes).ok());
    let pairs = metadata.as_ref().and_then(|metadata| metadata.file_metadata().key_value_metadata());
    let notes = pairs.into_iter().flatten().find(|pair| pair.key == NOTES);
    let text = notes.and_then(|pair| pair.value.as_deref()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
