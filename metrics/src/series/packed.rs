//! Series as they lie in blocks and in memory: found, but not unpacked yet, so that who walks
//! over files and who wants the samples can be different threads.

use std::{ops::Range, vec};

use super::{
    Labels, SelectError, SeriesColumns,
    block::{KnownTimes, Row},
    head::Packed,
};

/// One series.
pub struct PackedSeries {
    labels: Labels,
    /// Of blocks, oldest first.
    rows: Vec<Row>,
    head: Option<Packed>,
}

impl PackedSeries {
    pub fn new(labels: Labels, rows: Vec<Row>, head: Option<Packed>) -> Self {
        Self { labels, rows, head }
    }

    /// How many samples it has at most.
    pub fn samples(&self) -> usize {
        let rows: usize = self.rows.iter().map(|row| row.count as usize).sum();
        rows + self.head.as_ref().map_or(0, Packed::samples)
    }
}

/// Unpacks series, one after the other.
pub struct Unpacker {
    range: Range<i64>,
    /// Whether blocks of several stores may have the same samples.
    mixed: bool,
    /// By the place of a row in its series, which mostly means one block.
    known: Vec<KnownTimes>,
}

impl Unpacker {
    pub fn new(range: Range<i64>, mixed: bool) -> Self {
        Self { range, mixed, known: Vec::new() }
    }

    /// Another one that does the same.
    pub fn again(&self) -> Self {
        Self::new(self.range.clone(), self.mixed)
    }

    /// What the series has in the range; absent where that is nothing.
    ///
    /// # Errors
    /// A row is wrong though its checksum is right: it was written so, and no file is to blame.
    pub fn unpack(&mut self, series: PackedSeries) -> Result<Option<SeriesColumns>, SelectError> {
        let numbers = series.samples();
        let mut columns = SeriesColumns { labels: series.labels, ..SeriesColumns::default() };
        columns.times.reserve_exact(numbers);
        columns.values.reserve_exact(numbers);
        if self.known.len() < series.rows.len() {
            self.known.resize_with(series.rows.len(), KnownTimes::default);
        }
        for (row, known) in series.rows.iter().zip(&mut self.known) {
            row.add_to(&mut columns, &self.range, known).map_err(|why| {
                SelectError::Unreadable(format!("a row of {} can't be read: {why}", columns.labels))
            })?;
        }
        if let Some(head) = &series.head {
            head.add_to(&mut columns, &self.range);
        }
        if self.mixed {
            columns.settle();
        }
        Ok((!columns.is_empty()).then_some(columns))
    }
}

/// Some series of a stream, in order of their labels. Iterating unpacks them.
pub struct Batch {
    series: vec::IntoIter<PackedSeries>,
    samples: usize,
    unpacker: Unpacker,
}

impl Batch {
    pub fn new(series: Vec<PackedSeries>, unpacker: Unpacker) -> Self {
        let samples = series.iter().map(PackedSeries::samples).sum();
        Self { series: series.into_iter(), samples, unpacker }
    }

    /// The same without the series that are not wanted.
    #[must_use]
    pub fn keeping(self, mut wants: impl FnMut(&Labels) -> bool) -> Self {
        let series = self.series.filter(|series| wants(&series.labels)).collect();
        Self::new(series, self.unpacker)
    }

    pub fn is_empty(&self) -> bool {
        self.series.as_slice().is_empty()
    }

    /// How many samples it has at most.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

impl Iterator for Batch {
    type Item = Result<SeriesColumns, SelectError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.unpacker.unpack(self.series.next()?) {
                // A gap where the range lies.
                Ok(None) => {}
                found => return found.transpose(),
            }
        }
    }
}
