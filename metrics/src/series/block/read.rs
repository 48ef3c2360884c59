//! Reads a block: which series match, then their samples and no others.

mod matching;

use std::{
    fs::File,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use datafusion::{
    arrow::{
        array::{AsArray, BinaryArray, RecordBatch},
        buffer::Buffer,
        datatypes::{Int64Type, SchemaRef, UInt8Type, UInt32Type},
    },
    parquet::{
        arrow::{
            ProjectionMask,
            arrow_reader::{
                ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions,
                ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
            },
        },
        file::{metadata::PageIndexPolicy, reader::Length, statistics::Statistics},
    },
};

use matching::{Conditions, names_that_match};

use super::{
    BlockError, Row,
    recent::{Learning, Recent, Room},
    shared::{Known, SharedLabels},
    source::{Fault, Ranges, Source},
    write::RESOLUTION,
};
use crate::series::{Labels, MatchOp, Matcher, NAME};

/// Rows that are unpacked at once: others work on the first of them while the next are read.
const BATCH: usize = 128;
/// A block of so many milliseconds has few series that came or went.
const SHORT: i64 = 3_600_000;
/// What a row is made of: the last columns of a block. Its name stands among its labels.
const ROW: [&str; 8] = ["labels", "first", "last", "count", "form", "times", "values", "crc"];

/// A block that is open. Clones of it are cheap through an [`Arc`].
pub struct Block {
    path: PathBuf,
    /// Milliseconds, the end excluded.
    pub range: Range<i64>,
    /// Bytes of the file.
    pub size: u64,
    /// One sample was kept in so many milliseconds; 0: all were.
    pub resolution: i64,
    source: Source,
    metadata: ArrowReaderMetadata,
    recent: Recent,
    /// Readings that have begun, those that have ended, and the rows that they gave.
    begun: AtomicUsize,
    ended: AtomicUsize,
    given: AtomicUsize,
}

/// How a block was read so far.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Readings {
    pub begun: usize,
    pub ended: usize,
    pub rows: usize,
}

#[cfg(test)]
impl Readings {
    pub fn open(self) -> usize {
        self.begun - self.ended
    }

    pub fn plus(self, other: Self) -> Self {
        let rows = self.rows + other.rows;
        Self { begun: self.begun + other.begun, ended: self.ended + other.ended, rows }
    }
}

impl Block {
    /// # Errors
    /// It can't be read, or is no block.
    pub fn open(path: &Path) -> Result<Self, BlockError> {
        let io = |doing| move |source| BlockError::Io { path: path.to_owned(), doing, source };
        let unnamed = || BlockError::Damaged {
            path: path.to_owned(),
            why: "its name says no range of time".to_owned(),
        };
        let range = range_of(path).ok_or_else(unnamed)?;
        let file = File::open(path).map_err(io("opened"))?;
        let size = file.metadata().map_err(io("looked at"))?.len();
        Self::load(path, range, Source::new(Arc::new(file), size))
    }

    /// A block whose bytes are elsewhere; `path` is its name there.
    ///
    /// # Errors
    /// It can't be reached, or is no block.
    pub fn open_elsewhere(
        path: &Path,
        range: Range<i64>,
        size: u64,
        bytes: Arc<dyn Ranges>,
    ) -> Result<Self, BlockError> {
        Self::load(path, range, Source::new(bytes, size))
    }

    fn load(path: &Path, range: Range<i64>, source: Source) -> Result<Self, BlockError> {
        let (reading, fault) = source.again();
        // The types of columns are Parquet's own; arrow's copy of them says the same.
        let options = ArrowReaderOptions::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_skip_arrow_metadata(true);
        let metadata = caught(|| ArrowReaderMetadata::load(&reading, options))
            .map_err(|why| failed(path, &fault, why))?;
        let (found, expected) = (metadata.schema(), super::write::schema());
        let types = |schema: &SchemaRef| -> Vec<_> {
            schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        if types(found) != types(&expected) {
            return Err(failed(path, &fault, "its columns are not those of a block".to_owned()));
        }
        let resolution = resolution_of(&metadata)
            .ok_or_else(|| failed(path, &fault, "its resolution is no number".to_owned()))?;
        let [begun, ended, given] = [const { AtomicUsize::new(0) }; 3];
        let (path, recent) = (path.to_owned(), Recent::default());
        let size = source.len();
        Ok(Self { path, range, size, resolution, source, metadata, recent, begun, ended, given })
    }

    /// Keeps rows of many series, too, while there is room for them.
    pub fn within(self, room: &Arc<Room>) -> Self {
        Self { recent: Recent::within(room.clone()), ..self }
    }

    /// Lets go what it keeps of many series and nobody asked for lately.
    pub fn forget_idle(&self, now: Instant) {
        self.recent.forget_idle(now);
    }

    /// Bytes that it takes in memory while it is open.
    pub fn memory(&self) -> usize {
        self.metadata.metadata().memory_size()
    }

    /// The names of all metrics in it, in order.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn names(&self) -> Result<Vec<String>, BlockError> {
        let (reader, fault) = self.reader(&[], self.mask(&["name"]), None)?;
        let mut found: Vec<String> = Vec::new();
        for batch in sound(reader) {
            let batch = batch.map_err(|why| failed(&self.path, &fault, why))?;
            for name in batch.column(0).as_string::<i32>().iter().flatten() {
                if found.last().is_none_or(|last| last != name) {
                    found.push(name.to_owned());
                }
            }
        }
        // Rows are in order of their labels, and a name need not be the first of them.
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    #[cfg(test)]
    pub fn readings(&self) -> Readings {
        // In this order, so that what begins meanwhile has not ended before.
        let ended = self.ended.load(Ordering::Relaxed);
        Readings {
            begun: self.begun.load(Ordering::Relaxed),
            ended,
            rows: self.given.load(Ordering::Relaxed),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The part of a range that it may have something of.
    fn asked(&self, range: &Range<i64>) -> Range<i64> {
        self.range.start.max(range.start)..self.range.end.min(range.end)
    }

    /// Whether it can answer without its file.
    pub fn knows(&self, matchers: &[Matcher], range: &Range<i64>) -> bool {
        self.recent.find(matchers, &self.asked(range)).is_some()
    }

    /// The rows of the series that match and meet the range, in order, as they are asked for.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn matching(self: Arc<Self>, matchers: &[Matcher], range: &Range<i64>) -> Result<Rows, BlockError> {
        let asked = self.asked(range);
        if let Some(rows) = self.recent.find(matchers, &asked) {
            return Ok(Rows::begin(self, None, Ready::kept(rows, range), None));
        }
        let conditions = Conditions::of_labels(matchers);
        // Few rows have a pair: that they meet the range costs less to see of them than of all before,
        // but where many series of a long time came and went.
        let is_short = self.range.end - self.range.start <= SHORT;
        let has_pair = conditions.as_ref().is_some_and(Conditions::has_pair);
        let by_row = (is_short && has_pair).then(|| range.clone());
        let before = by_row.is_none().then(|| range.clone());
        let filter = self.filter(matchers, conditions, before);
        let columns = if by_row.is_some() { self.mask(&ROW) } else { ProjectionMask::all() };
        let (reader, fault) = self.reader(matchers, columns, Some(filter))?;
        let learning = Some(self.recent.learn(matchers, asked));
        let mut rows = Rows::begin(self, Some((sound(reader), fault)), Ready::default(), learning);
        rows.meeting = by_row;
        Ok(rows)
    }

    /// The series that match and meet the range, in order.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn series(&self, matchers: &[Matcher], range: &Range<i64>) -> Result<Vec<Labels>, BlockError> {
        let filter = self.filter(matchers, Conditions::of_labels(matchers), Some(range.clone()));
        let (reader, fault) = self.reader(matchers, self.mask(&["labels"]), Some(filter))?;
        let mut found = Vec::new();
        for batch in sound(reader) {
            let batch = batch.map_err(|why| failed(&self.path, &fault, why))?;
            let labels = batch.column(0).as_binary::<i32>();
            for at in 0..batch.num_rows() {
                let labels = Labels::from_bytes(labels.value(at));
                found.push(labels.map_err(|why| failed(&self.path, &fault, why.to_string()))?);
            }
        }
        Ok(found)
    }

    /// All rows, in order, as they are asked for.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn rows(self: Arc<Self>) -> Result<Rows, BlockError> {
        // Names, too, so that damage to them is seen.
        let (reader, fault) = self.reader(&[], ProjectionMask::all(), None)?;
        Ok(Rows::begin(self, Some((sound(reader), fault)), Ready::default(), None))
    }

    fn mask(&self, names: &[&str]) -> ProjectionMask {
        ProjectionMask::columns(self.metadata.parquet_schema(), names.iter().copied())
    }

    fn reader(
        &self,
        matchers: &[Matcher],
        columns: ProjectionMask,
        filter: Option<RowFilter>,
    ) -> Result<(ParquetRecordBatchReader, Fault), BlockError> {
        let (source, fault) = self.source.again();
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source, self.metadata.clone())
            .with_projection(columns)
            .with_batch_size(BATCH)
            .with_row_groups(self.groups(matchers));
        if let Some(filter) = filter {
            builder = builder.with_row_filter(filter);
        }
        match caught(|| builder.build()) {
            Ok(reader) => Ok((reader, fault)),
            Err(why) => Err(failed(&self.path, &fault, why)),
        }
    }

    /// The row groups that may have a metric of the name that is asked for.
    fn groups(&self, matchers: &[Matcher]) -> Vec<usize> {
        let name = matchers.iter().find(|one| one.name == NAME && one.op == MatchOp::Equal);
        let groups = self.metadata.metadata().row_groups().iter().enumerate();
        let chosen = groups.filter(|(_, group)| {
            let Some(name) = name else { return true };
            let Some(Statistics::ByteArray(bounds)) = group.column(0).statistics() else { return true };
            let at_least = bounds.min_opt().is_none_or(|least| least.data() <= name.value.as_bytes());
            at_least && bounds.max_opt().is_none_or(|most| most.data() >= name.value.as_bytes())
        });
        chosen.map(|(at, _)| at).collect()
    }

    /// Rows whose name and labels are as asked; those that meet a range, if there is one.
    fn filter(
        &self,
        matchers: &[Matcher],
        conditions: Option<Conditions>,
        meeting: Option<Range<i64>>,
    ) -> RowFilter {
        let of_name: Vec<_> = matchers.iter().filter(|matcher| matcher.name == NAME).cloned().collect();
        let mut filters: Vec<Box<dyn ArrowPredicate>> = Vec::new();
        if !of_name.is_empty() {
            filters.push(Box::new(ArrowPredicateFn::new(self.mask(&["name"]), move |batch| {
                Ok(names_that_match(batch.column(0).as_string::<i32>(), &of_name))
            })));
        }
        if let Some(conditions) = conditions {
            filters.push(Box::new(ArrowPredicateFn::new(self.mask(&["labels"]), move |batch| {
                conditions.rows_that_match(batch.column(0).as_binary::<i32>())
            })));
        }
        if let Some(range) = meeting {
            filters.push(Box::new(ArrowPredicateFn::new(self.mask(&["first", "last"]), move |batch| {
                let times = |at| batch.column(at).as_primitive::<Int64Type>();
                let (first, last) = (times(0), times(1));
                let meets = |at| meets(first.value(at), last.value(at), &range);
                Ok((0..batch.num_rows()).map(|at| Some(meets(at))).collect())
            })));
        }
        RowFilter::new(filters)
    }
}

fn meets(first: i64, last: i64, range: &Range<i64>) -> bool {
    first < range.end && last >= range.start
}

/// What could not be reached is not damaged.
fn failed(path: &Path, fault: &Fault, why: String) -> BlockError {
    let path = path.to_owned();
    match fault.get() {
        Some(why) => BlockError::Unreachable { path, why: why.clone() },
        None => BlockError::Damaged { path, why },
    }
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, String>> + Send>;

/// The batches up to the first fault.
fn sound(mut reader: ParquetRecordBatchReader) -> Batches {
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let next = caught(|| reader.next().transpose()).transpose();
        ended = !matches!(next, Some(Ok(_)));
        next
    }))
}

/// What Parquet's reader makes of bytes. On some that can't be it panics; what it leaves behind then
/// is not looked at again.
fn caught<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("it can't be decoded".to_owned()),
    }
}

/// Rows that need no reading.
enum Ready {
    /// Those of a batch.
    Read(std::vec::IntoIter<Row>),
    /// Those that were kept, from a place on; who asks wants those that meet a range.
    Kept { rows: Arc<[Row]>, next: usize, meeting: Range<i64> },
}

impl Default for Ready {
    fn default() -> Self {
        Self::Read(Vec::new().into_iter())
    }
}

impl Ready {
    fn kept(rows: Arc<[Row]>, range: &Range<i64>) -> Self {
        Self::Kept { rows, next: 0, meeting: range.clone() }
    }
}

impl Iterator for Ready {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        match self {
            Self::Read(rows) => rows.next(),
            Self::Kept { rows, next, meeting } => {
                let mut left = rows[*next..].iter();
                let at = *next + left.position(|row| meets(row.first, row.last, meeting))?;
                *next = at + 1;
                Some(rows[at].clone())
            }
        }
    }
}

/// Walks over rows of a block.
pub struct Rows {
    block: Arc<Block>,
    /// Absent when all is ready.
    reader: Option<(Batches, Fault)>,
    ready: Ready,
    learning: Option<Learning>,
    labels: SharedLabels,
    /// What is left to see of rows that were read: that they meet a range.
    meeting: Option<Range<i64>>,
}

impl Rows {
    fn begin(
        block: Arc<Block>,
        reader: Option<(Batches, Fault)>,
        ready: Ready,
        learning: Option<Learning>,
    ) -> Self {
        block.begun.fetch_add(1, Ordering::Relaxed);
        Self { block, reader, ready, learning, labels: SharedLabels::default(), meeting: None }
    }

    /// The same rows, whose labels other walks may have.
    pub fn sharing(mut self, labels: &SharedLabels) -> Self {
        self.labels = labels.clone();
        self
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.block.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Iterator for Rows {
    type Item = Result<Row, BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ready.next() {
                self.block.given.fetch_add(1, Ordering::Relaxed);
                return Some(Ok(row));
            }
            let (reader, fault) = self.reader.as_mut()?;
            let Some(batch) = reader.next() else {
                self.learning.take().into_iter().for_each(|learnt| self.block.recent.keep(learnt));
                return None;
            };
            let mut ready = Vec::new();
            let read = batch.and_then(|batch| {
                rows(&batch, &mut self.labels.lock(), |row| {
                    ready.push(row?);
                    Ok(())
                })
                .map_err(str::to_owned)
            });
            if let Err(why) = read {
                self.learning = None;
                return Some(Err(failed(&self.block.path, fault, why)));
            }
            self.learning = self.learning.take().and_then(|learning| learning.add(&ready));
            if let Some(range) = &self.meeting {
                ready.retain(|row| meets(row.first, row.last, range));
            }
            self.ready = Ready::Read(ready.into_iter());
        }
    }
}

/// A column of bytes whose cells are had without a copy.
struct Cells<'a> {
    ends: &'a [i32],
    bytes: Bytes,
}

/// What a column's cells lie in.
struct Lying(Buffer);

impl AsRef<[u8]> for Lying {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Cells<'a> {
    fn of(column: &'a BinaryArray) -> Self {
        Self { ends: column.value_offsets(), bytes: Bytes::from_owner(Lying(column.values().clone())) }
    }

    fn at(&self, place: usize) -> Bytes {
        // Arrow has seen that they ascend from 0.
        self.bytes.slice(self.ends[place] as usize..self.ends[place + 1] as usize)
    }
}

/// Rows of a batch whose last columns are [`ROW`].
fn rows(
    batch: &RecordBatch,
    known: &mut Known,
    mut take: impl FnMut(Result<Row, &'static str>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let column = |at: usize| batch.column(batch.num_columns() - ROW.len() + at);
    let labels = column(0).as_binary::<i32>();
    let (first, last) = (column(1).as_primitive::<Int64Type>(), column(2).as_primitive::<Int64Type>());
    let (count, form) = (column(3).as_primitive::<UInt32Type>(), column(4).as_primitive::<UInt8Type>());
    let (times, values) = (Cells::of(column(5).as_binary()), Cells::of(column(6).as_binary()));
    let crc = column(7).as_primitive::<UInt32Type>();
    for at in 0..batch.num_rows() {
        let mut read = || {
            let row = Row {
                labels: known.labels(labels.value(at)).map_err(|_| "the labels of a row are wrong")?,
                first: first.value(at),
                last: last.value(at),
                count: count.value(at),
                form: form.value(at),
                times: times.at(at),
                values: values.at(at),
            };
            if row.sum() == crc.value(at) { Ok(row) } else { Err("the checksum of a row is wrong") }
        };
        take(read())?;
    }
    Ok(())
}

/// What the footer says of how coarse the samples are.
fn resolution_of(metadata: &ArrowReaderMetadata) -> Option<i64> {
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    match pairs.into_iter().flatten().find(|pair| pair.key == RESOLUTION) {
        Some(told) => told.value.as_deref()?.parse().ok(),
        None => Some(0),
    }
}

/// The range that a block's name tells.
fn range_of(path: &Path) -> Option<Range<i64>> {
    let name = path.file_name()?.to_str()?.strip_suffix(".parquet")?;
    // A time before 1970 has a minus of its own.
    let at = name.get(1..)?.find('-')? + 1;
    let range = name[..at].parse().ok()?..name[at + 1..].parse().ok()?;
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests;
