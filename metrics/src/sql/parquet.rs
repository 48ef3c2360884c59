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
            properties::{WriterProperties, WriterPropertiesBuilder},
        },
        schema::types::ColumnPath,
    },
};

/// The key of the notes in a file's metadata: a line each.
const NOTES: &str = "tiphys.notes";
/// A row group is closed when what it takes in memory reaches this.
const GROUP_BYTES: usize = 16 << 20;
/// ... or when it has so many rows.
const GROUP_ROWS: usize = 256 << 10;

/// Of values that a filter says a group has, so many it hasn't.
const FALSE_POSITIVES: f64 = 0.01;

/// Writes batches as one file, in pieces.
pub struct ParquetFile {
    writer: ArrowWriter<Vec<u8>>,
}

impl ParquetFile {
    /// # Errors
    /// A type that Parquet has no name for.
    pub fn new(schema: SchemaRef) -> Result<Self, ParquetError> {
        Self::of(schema, properties(GROUP_ROWS))
    }

    /// A file that is searched: groups have so many rows at most, and each says by a Bloom filter
    /// which values of these columns it has not.
    ///
    /// # Errors
    /// As above.
    pub fn searched(schema: SchemaRef, rows: usize, columns: &[&str]) -> Result<Self, ParquetError> {
        let properties = columns.iter().fold(properties(rows), |properties, column| {
            let values = u64::try_from(rows).unwrap_or(u64::MAX);
            properties
                .set_column_bloom_filter_fpp(ColumnPath::from(*column), FALSE_POSITIVES)
                .set_column_bloom_filter_max_ndv(ColumnPath::from(*column), values)
        });
        Self::of(schema, properties)
    }

    fn of(schema: SchemaRef, properties: WriterPropertiesBuilder) -> Result<Self, ParquetError> {
        Ok(Self { writer: ArrowWriter::try_new(Vec::new(), schema, Some(properties.build()))? })
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

fn properties(rows: usize) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(rows))
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
