//! Writes a block: aside, durable, then under its name.

use std::{
    fs::{self, File},
    iter,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{
            ArrayRef, BinaryBuilder, Int64Builder, RecordBatch, StringBuilder, UInt8Builder, UInt32Builder,
        },
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    parquet::{
        arrow::ArrowWriter,
        basic::{Compression, Encoding, ZstdLevel},
        errors::ParquetError,
        file::{
            metadata::KeyValue,
            properties::{EnabledStatistics, WriterProperties},
        },
        schema::types::ColumnPath,
    },
};

use super::{BlockError, Row};
use crate::series::{Labels, head::SharedHistogram};

/// Rows that are handed to the file at once, or fewer that have so many bytes: a column of them must stay
/// below the 2 GiB that Arrow counts.
const BATCH: usize = 1024;
const TOGETHER: usize = 32 << 20;
/// Numbers of a row, more than a day has at one a second, and bytes of its histograms: who reads a row
/// reads all of it, with as many others as the reader takes at once.
const NUMBERS: usize = 250_000;
const LONGEST: usize = 4 << 20;
/// Rows of a row group, or fewer that have so many bytes: what is in memory while it is written, and what
/// a query of one metric looks through.
const GROUP: usize = 16 * 1024;
const GROUP_BYTES: usize = 256 << 20;
/// Bytes of a page before zstd: what a query of one series unpacks.
const PAGE: usize = 128 << 10;
/// Rows of a page of small columns, likewise.
const PAGE_ROWS: usize = 4096;
const LEVEL: i32 = 3;
/// Where the footer has how coarse the samples are, milliseconds; absent, they are as they came.
pub const RESOLUTION: &str = "tiphys.resolution";

pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("labels", DataType::Binary, false),
        Field::new("first", DataType::Int64, false),
        Field::new("last", DataType::Int64, false),
        Field::new("count", DataType::UInt32, false),
        Field::new("form", DataType::UInt8, false),
        Field::new("times", DataType::Binary, false),
        Field::new("values", DataType::Binary, false),
        Field::new("crc", DataType::UInt32, false),
    ]))
}

fn properties() -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL).unwrap_or_default()))
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled(column("name"), true)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(column("name"), EnabledStatistics::Page)
        .set_column_encoding(column("labels"), Encoding::DELTA_BYTE_ARRAY)
        .set_column_encoding(column("first"), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(column("last"), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(column("times"), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_encoding(column("values"), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_max_row_group_row_count(Some(GROUP))
        // Nothing makes it smaller.
        .set_column_compression(column("crc"), Compression::UNCOMPRESSED)
        .set_data_page_size_limit(PAGE)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(64)
        .build()
}

/// A block while it is written. Dropped unfinished, it leaves nothing.
pub struct Writer {
    path: PathBuf,
    aside: PathBuf,
    file: Option<ArrowWriter<File>>,
    rows: Vec<Row>,
    /// Of the rows.
    bytes: usize,
    count: u64,
    resolution: i64,
}

/// The name of the block of a range.
pub fn name_of(range: &Range<i64>) -> String {
    format!("{}-{}.parquet", range.start, range.end)
}

impl Writer {
    /// # Errors
    /// The file can't be made.
    pub fn begin(folder: &Path, range: &Range<i64>) -> Result<Self, BlockError> {
        let path = folder.join(name_of(range));
        let aside = path.with_extension("new");
        let failed = |source| BlockError::Io { path: aside.clone(), doing: "made", source };
        let file = File::create(&aside).map_err(failed)?;
        let file = ArrowWriter::try_new(file, schema(), Some(properties())).map_err(|error| {
            BlockError::Io { path: aside.clone(), doing: "begun", source: std::io::Error::other(error) }
        })?;
        Ok(Self { path, aside, file: Some(file), rows: Vec::new(), bytes: 0, count: 0, resolution: 0 })
    }

    /// The block will say that one sample was kept in so many milliseconds; 0: all were.
    pub fn coarse(mut self, resolution: i64) -> Self {
        self.resolution = resolution;
        self
    }

    /// Adds a series; they come in order of their labels.
    ///
    /// # Errors
    /// The disk takes nothing.
    pub fn add(
        &mut self,
        labels: &Labels,
        numbers: &[(i64, f64)],
        histograms: &[(i64, SharedHistogram)],
    ) -> Result<(), BlockError> {
        for numbers in numbers.chunks(NUMBERS) {
            self.put(Row::of_numbers(labels, numbers))?;
        }
        for histograms in runs(histograms) {
            self.put(Row::of_histograms(labels, histograms))?;
        }
        Ok(())
    }

    fn put(&mut self, row: Option<Row>) -> Result<(), BlockError> {
        self.bytes += row.as_ref().map_or(0, |row| row.times.len() + row.values.len());
        self.rows.extend(row);
        if self.rows.len() >= BATCH || self.bytes >= TOGETHER { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), BlockError> {
        let rows = std::mem::take(&mut self.rows);
        self.count += rows.len() as u64;
        self.bytes = 0;
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut write = || -> Result<(), ParquetError> {
            file.write(&batch(&rows)?)?;
            // A group is in memory until it is ended.
            if file.in_progress_size() > GROUP_BYTES { file.flush() } else { Ok(()) }
        };
        write().map_err(|source| BlockError::Io {
            path: self.aside.clone(),
            doing: "written",
            source: std::io::Error::other(source),
        })
    }

    /// Makes it durable and gives it its name.
    ///
    /// # Errors
    /// The disk takes nothing.
    pub fn finish(mut self) -> Result<PathBuf, BlockError> {
        self.write()?;
        let io = |doing| {
            let path = self.aside.clone();
            move |source| BlockError::Io { path, doing, source }
        };
        if let Some(mut file) = self.file.take() {
            if self.resolution > 0 {
                let told = KeyValue::new(RESOLUTION.to_owned(), self.resolution.to_string());
                file.append_key_value_metadata(told);
            }
            let inner = file.into_inner().map_err(std::io::Error::other).map_err(io("ended"))?;
            inner.sync_all().map_err(io("made durable"))?;
        }
        fs::rename(&self.aside, &self.path).map_err(io("renamed"))?;
        if let Some(folder) = self.path.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("made durable"))?;
        }
        Ok(self.path.clone())
    }
}

#[cfg(test)]
impl Writer {
    /// Adds a row as it is.
    pub fn add_row(&mut self, row: Row) -> Result<(), BlockError> {
        self.put(Some(row))
    }
}

/// Histograms in runs that are no longer than a row may be, or of one.
fn runs(mut rest: &[(i64, SharedHistogram)]) -> impl Iterator<Item = &[(i64, SharedHistogram)]> {
    iter::from_fn(move || {
        let mut bytes = 0;
        let full = rest.iter().position(|(_, one)| {
            // A number takes nine at most, a span ten, and what each has beside them some more.
            bytes += 10 * one.size() + 64;
            bytes > LONGEST
        });
        let (run, left) = rest.split_at(full.map_or(rest.len(), |full| full.max(1)));
        rest = left;
        (!run.is_empty()).then_some(run)
    })
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Finished, it has another name by now.
        let _ = fs::remove_file(&self.aside);
    }
}

fn batch(rows: &[Row]) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let mut name = StringBuilder::new();
    let (mut labels, mut times, mut values) =
        (BinaryBuilder::new(), BinaryBuilder::new(), BinaryBuilder::new());
    let (mut first, mut last) = (Int64Builder::new(), Int64Builder::new());
    let (mut count, mut crc, mut form) = (UInt32Builder::new(), UInt32Builder::new(), UInt8Builder::new());
    for row in rows {
        name.append_value(row.labels.name());
        labels.append_value(row.labels.as_bytes());
        first.append_value(row.first);
        last.append_value(row.last);
        count.append_value(row.count);
        form.append_value(row.form);
        times.append_value(&row.times);
        values.append_value(&row.values);
        crc.append_value(row.sum());
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(name.finish()),
        Arc::new(labels.finish()),
        Arc::new(first.finish()),
        Arc::new(last.finish()),
        Arc::new(count.finish()),
        Arc::new(form.finish()),
        Arc::new(times.finish()),
        Arc::new(values.finish()),
        Arc::new(crc.finish()),
    ];
    RecordBatch::try_new(schema(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Buckets, Histogram, NAME};

    /// One of so many buckets that nothing packs.
    fn wide(buckets: usize) -> SharedHistogram {
        let counts = (0..buckets).map(|n| (n as f64).sqrt() + 0.1).collect();
        let positive = Buckets { spans: vec![(0, buckets as u32)], counts };
        Histogram { positive, ..Histogram::default() }.into()
    }

    #[test]
    fn histograms_are_cut_into_rows_of_some_bytes() {
        let run = |sizes: &[usize]| {
            let all: Vec<_> =
                sizes.iter().enumerate().map(|(time, size)| (time as i64, wide(*size))).collect();
            runs(&all).map(<[_]>::len).collect::<Vec<_>>()
        };
        assert!(run(&[]).is_empty());
        assert_eq!(run(&[10; 300]), [300]);
        // One that is longer than a row stands alone.
        assert_eq!(run(&[LONGEST / 10, 1, 1, LONGEST / 10]), [1, 2, 1]);
        let half = LONGEST / 20 - 100;
        assert_eq!(run(&[half; 5]), [2, 2, 1]);
    }

    #[test]
    fn abuse_34_long_rows_do_not_wait_for_others_until_they_are_too_long_for_a_column() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = Writer::begin(folder.path(), &(0..1000)).expect("begun");
        let one = wide(9_000);
        let all: Vec<_> = (0..100).map(|time| (time, one.clone())).collect();
        let mut most = 0;
        for n in 0..6 {
            let labels = Labels::new([(NAME, format!("m{n}"))]);
            writer.add(&labels, &[], &all).expect("added");
            most = most.max(writer.rows.iter().map(|row| row.values.len()).sum::<usize>());
        }
        assert!(most > TOGETHER / 2 && most < TOGETHER, "{most}");
        assert_eq!(writer.count, 13, "four series of three rows, and the first of the fifth");
        writer.finish().expect("finished");
    }
}
