//! Walks over the series that match, one at a time, in order of their labels: what the blocks
//! have of each, then what the head has.
//!
//! The head's chunks are copied packed when the walk begins, so that an hour that is written
//! out meanwhile is neither missed nor seen twice; nothing is unpacked before its series comes.

use std::{io, iter::Peekable, ops::Range, path::PathBuf, sync::Arc, vec};

use super::{Store, keeping::Blocks};
use crate::series::{
    Labels, Matcher, SelectError, SeriesColumns,
    block::{Block, BlockError, Row, Rows},
    head::Packed,
};

/// The walk. Blocks the thread while files are read.
pub struct Scan {
    kept: Option<Arc<Blocks>>,
    range: Range<i64>,
    blocks: Vec<Peekable<Rows>>,
    head: Peekable<vec::IntoIter<(Labels, Packed)>>,
}

impl Scan {
    pub fn begin(store: &Store, matchers: &[Matcher], range: Range<i64>) -> Result<Self, SelectError> {
        let (blocks, until) =
            store.blocks.as_ref().map_or((Vec::new(), i64::MIN), |blocks| blocks.meeting(&range));
        // The head first: what becomes a block from now on is in it still.
        let recent = range.start.max(until)..range.end;
        let mut head = Vec::new();
        if recent.start < recent.end {
            store.head.visit(matchers, |kept| {
                let packed = kept.packed(&recent);
                if !packed.is_empty() {
                    head.push((kept.labels().clone(), packed));
                }
            });
        }
        head.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let older = range.start..range.end.min(until);
        let begun: Result<Vec<_>, _> = blocks
            .into_iter()
            .map(|block: Arc<Block>| Ok(block.matching(matchers, &older)?.peekable()))
            .collect();
        let blocks = begun.map_err(|error: BlockError| unreadable(store.blocks.as_deref(), &error))?;
        Ok(Self { kept: store.blocks.clone(), range, blocks, head: head.into_iter().peekable() })
    }

    /// The labels that come next.
    fn least(&mut self) -> Result<Option<Labels>, BlockError> {
        let mut least = self.head.peek().map(|(labels, _)| labels.clone());
        for rows in &mut self.blocks {
            match rows.peek() {
                Some(Ok(row)) if least.as_ref().is_none_or(|least| row.labels < *least) => {
                    least = Some(row.labels.clone());
                }
                Some(Err(_)) => {
                    if let Some(Err(error)) = rows.next() {
                        return Err(error);
                    }
                }
                _ => {}
            }
        }
        Ok(least)
    }

    fn take(&mut self, labels: Labels) -> Result<SeriesColumns, BlockError> {
        let mut columns = SeriesColumns { labels: labels.clone(), ..SeriesColumns::default() };
        for rows in &mut self.blocks {
            let same = |row: &Result<Row, BlockError>| row.as_ref().is_ok_and(|row| row.labels == labels);
            while let Some(row) = rows.next_if(same) {
                row?.add_to(&mut columns, &self.range).map_err(|why| {
                    // Its checksum is right: it was written so, and no file is to blame.
                    BlockError::Io { path: folder(&self.kept), doing: "read", source: io::Error::other(why) }
                })?;
            }
        }
        if let Some((_, packed)) = self.head.next_if(|(next, _)| *next == labels) {
            packed.add_to(&mut columns, &self.range);
        }
        Ok(columns)
    }
}

fn folder(kept: &Option<Arc<Blocks>>) -> PathBuf {
    kept.as_ref().map(|blocks| blocks.folder().to_owned()).unwrap_or_default()
}

/// Names a damaged block, and asks it no more.
pub fn unreadable(kept: Option<&Blocks>, error: &BlockError) -> SelectError {
    if let (BlockError::Damaged { path, why }, Some(blocks)) = (error, kept) {
        blocks.give_up(path, why);
    }
    SelectError::Unreadable(error.to_string())
}

impl Iterator for Scan {
    type Item = Result<SeriesColumns, SelectError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.least().and_then(|labels| labels.map(|labels| self.take(labels)).transpose());
            match next {
                // A gap where the range lies.
                Ok(Some(columns)) if columns.is_empty() => {}
                Ok(columns) => return columns.map(Ok),
                Err(error) => return Some(Err(unreadable(self.kept.as_deref(), &error))),
            }
        }
    }
}
