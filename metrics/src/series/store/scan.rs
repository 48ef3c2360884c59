//! Walks over the series that match, one at a time, in order of their labels: what the blocks
//! have of each, then what the head has.
//!
//! The head's chunks are copied packed when the walk begins, so that what is written out
//! meanwhile is neither missed nor seen twice; nothing is unpacked before its series comes.
//! A block that is damaged or can't be reached is left out and told as missing.

use std::{io, iter::Peekable, ops::Range, path::PathBuf, sync::Arc, vec};

use super::{Store, keeping::Blocks};
use crate::series::{
    Labels, Matcher, Missing, SelectError, SeriesColumns,
    archive::{Archive, Entry},
    block::{Block, BlockError, KnownTimes, Row, Rows},
    head::{Kept, Packed},
};

/// The walk. Blocks the thread while files are read.
pub struct Scan {
    faults: Faults,
    range: Range<i64>,
    blocks: Vec<(From, Peekable<Rows>, KnownTimes)>,
    head: Peekable<vec::IntoIter<(Labels, Packed)>>,
    /// Whether blocks of several stores may have the same samples.
    mixed: bool,
}

/// Where a block is, and of which time it is.
#[derive(Clone)]
pub enum From {
    Here(Range<i64>),
    Archive(Entry),
}

/// What becomes of blocks that can't be read.
pub struct Faults {
    kept: Option<Arc<Blocks>>,
    archive: Option<Arc<Archive>>,
    missing: Missing,
}

impl Faults {
    /// Tells what is missing, and sees to it that a damaged block is asked no more.
    ///
    /// # Errors
    /// What is neither damage nor far away.
    pub fn take(&self, from: &From, error: BlockError) -> Result<(), SelectError> {
        let range = match from {
            From::Here(range) => range,
            From::Archive(entry) => &entry.range,
        };
        match (&error, from) {
            (BlockError::Unreachable { why, .. }, _) => self.missing.add(why, range),
            (BlockError::Damaged { path, why }, From::Here(_)) => {
                // Where files are is not told to who asks.
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                self.missing.add(&format!("{name} is damaged: {why}"), range);
                if let Some(blocks) = &self.kept {
                    blocks.give_up(path, why);
                }
            }
            (BlockError::Damaged { why, .. }, From::Archive(entry)) => {
                self.missing.add(&error.to_string(), range);
                if let Some(archive) = &self.archive {
                    archive.give_up(entry, why);
                }
            }
            (BlockError::Io { .. }, _) => return Err(SelectError::Unreadable(error.to_string())),
        }
        Ok(())
    }
}

/// A block that a question reads, and the range that it is asked for.
pub type Source = (From, Arc<Block>, Range<i64>);

/// What a question reads beside the head.
pub struct Behind {
    faults: Faults,
    here: Vec<Arc<Block>>,
    /// Blocks have all before.
    until: i64,
    /// Where what is here begins.
    since: Option<i64>,
    matchers: Vec<Matcher>,
    range: Range<i64>,
}

impl Behind {
    /// What blocks answer, and beside it what `take` finds in the series of the head that match,
    /// in the range that it gets.
    pub fn beside<T>(
        store: &Store,
        matchers: &[Matcher],
        range: &Range<i64>,
        missing: &Missing,
        take: impl Fn(&Kept, &Range<i64>) -> Option<T>,
    ) -> (Self, Vec<T>) {
        loop {
            let behind = Self::new(store, matchers, range, missing);
            let recent = behind.recent();
            let mut found = Vec::new();
            if !recent.is_empty() {
                store.head.visit(matchers, |kept| found.extend(take(kept, &recent)));
            }
            // What became a block meanwhile may have left the head before it was asked.
            if store.until() == behind.until {
                return (behind, found);
            }
        }
    }

    fn new(store: &Store, matchers: &[Matcher], range: &Range<i64>, missing: &Missing) -> Self {
        let (kept, archive) = (store.blocks.clone(), store.archive.clone());
        let since = archive.as_ref().and_then(|_| store.since());
        let (here, until) = kept.as_ref().map_or((Vec::new(), i64::MIN), |blocks| blocks.meeting(range));
        Self {
            faults: Faults { kept, archive, missing: missing.clone() },
            here,
            until,
            since,
            matchers: matchers.to_vec(),
            range: range.clone(),
        }
    }

    /// The part of the range that the head answers.
    fn recent(&self) -> Range<i64> {
        self.range.start.max(self.until)..self.range.end
    }

    /// Opens the blocks, and where that is said, those of the archive. Blocks the thread.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn open(self) -> Result<(Faults, Vec<Source>), SelectError> {
        let Self { faults, here, until, since, matchers, range } = self;
        let mut found = Vec::new();
        if let Some(archive) = &faults.archive {
            let ranges: Vec<_> = here.iter().map(|block| block.range.clone()).collect();
            let chosen = archive.chosen(&matchers, &range, &ranges, since, &faults.missing);
            archive.prepare(&chosen);
            for entry in chosen {
                match archive.open(&entry) {
                    Ok(block) => found.push((From::Archive(entry), block, range.clone())),
                    Err(error) => faults.take(&From::Archive(entry), error)?,
                }
            }
        }
        let older = range.start..range.end.min(until);
        let of_here = |block: Arc<Block>| (From::Here(block.range.clone()), block, older.clone());
        found.extend(here.into_iter().map(of_here));
        found.sort_by_key(|(_, block, _)| block.range.start);
        Ok((faults, found))
    }
}

/// A walk before files are opened.
pub struct Begun {
    behind: Behind,
    head: Vec<(Labels, Packed)>,
}

impl Begun {
    pub fn new(store: &Store, matchers: &[Matcher], range: &Range<i64>, missing: &Missing) -> Self {
        let (behind, head) = Behind::beside(store, matchers, range, missing, |kept, recent| {
            let packed = kept.packed(recent);
            (!packed.is_empty()).then(|| (kept.labels().clone(), packed))
        });
        Self { behind, head }
    }

    /// Opens the files. Blocks the thread.
    ///
    /// # Errors
    /// One can't be read.
    pub fn open(self) -> Result<Scan, SelectError> {
        let Self { behind, mut head } = self;
        let (matchers, range) = (behind.matchers.clone(), behind.range.clone());
        head.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let (faults, found) = behind.open()?;
        let mut blocks = Vec::new();
        for (from, block, asked) in found {
            match block.matching(&matchers, &asked) {
                Ok(rows) => blocks.push((from, rows.peekable(), KnownTimes::default())),
                Err(error) => faults.take(&from, error)?,
            }
        }
        let mixed = blocks.iter().any(|(from, ..)| matches!(from, From::Archive(_)));
        Ok(Scan { faults, range, blocks, head: head.into_iter().peekable(), mixed })
    }
}

impl Scan {
    /// The labels that come next.
    fn least(&mut self) -> Result<Option<Labels>, SelectError> {
        let mut least = self.head.peek().map(|(labels, _)| labels.clone());
        let mut at = 0;
        while let Some((from, rows, _)) = self.blocks.get_mut(at) {
            match rows.peek() {
                Some(Ok(row)) if least.as_ref().is_none_or(|least| row.labels < *least) => {
                    least = Some(row.labels.clone());
                }
                Some(Err(_)) => {
                    if let Some(Err(error)) = rows.next() {
                        self.faults.take(from, error)?;
                    }
                    // The others go on.
                    drop(self.blocks.remove(at));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(least)
    }

    fn take(&mut self, labels: Labels) -> Result<SeriesColumns, SelectError> {
        let mut columns = SeriesColumns { labels: labels.clone(), ..SeriesColumns::default() };
        for (from, rows, known) in &mut self.blocks {
            let same = |row: &Result<Row, BlockError>| row.as_ref().is_ok_and(|row| row.labels == labels);
            while let Some(row) = rows.next_if(same) {
                let added = row.and_then(|row| {
                    row.add_to(&mut columns, &self.range, known).map_err(|why| {
                        // Its checksum is right: it was written so, and no file is to blame.
                        let path = folder(&self.faults.kept);
                        BlockError::Io { path, doing: "read", source: io::Error::other(why) }
                    })
                });
                added.or_else(|error| self.faults.take(from, error))?;
            }
        }
        if let Some((_, packed)) = self.head.next_if(|(next, _)| *next == labels) {
            packed.add_to(&mut columns, &self.range);
        }
        if self.mixed {
            columns.settle();
        }
        Ok(columns)
    }
}

fn folder(kept: &Option<Arc<Blocks>>) -> PathBuf {
    kept.as_ref().map(|blocks| blocks.folder().to_owned()).unwrap_or_default()
}

impl Iterator for Scan {
    type Item = Result<SeriesColumns, SelectError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.least().and_then(|labels| labels.map(|labels| self.take(labels)).transpose());
            match next {
                // A gap where the range lies.
                Ok(Some(columns)) if columns.is_empty() => {}
                next => return next.transpose(),
            }
        }
    }
}
