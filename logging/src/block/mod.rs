//! A block: up to 4,096 records of one stream, sealed and compressed as one.
//!
//! ```text
//! records -> OpenBlock (plain, in memory) -> SealedBlock: columns, templates, variables (writer), words + id filter (terms, filter)
//! bytes   -> Reader: columns, then templates, then the bodies that are wanted
//! ```
//!
//! The block is the unit of the index, not the record: a search asks which
//! blocks may have its words and decodes those.

mod columns;
mod filter;
mod ints;
mod marks;
mod reader;
mod section;
pub mod template;
mod terms;
pub(crate) mod varint;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use columns::Columns;
pub use filter::{IdFilter, ids_may_have};
pub use marks::{Intervals, Marks};
pub use reader::{Front, Reader, Sieve, Templates, Texts};
pub use section::CorruptBlock;
pub use terms::{Terms, Words};
pub use writer::encode_plain;

use crate::{
    parse::MAX_BODY,
    query::text,
    record::{Level, Record, StreamInfo},
};

/// Records of a full block.
pub const MAX_RECORDS: usize = 4096;
/// Bytes of bodies of a full block; the record that crosses it is the last.
pub const MAX_BYTES: usize = 1 << 20;
/// Bytes of bodies that any block may have.
pub const MAX_BODIES: usize = MAX_BYTES + 2 * MAX_BODY;

/// All records of a block. Their bodies share one buffer.
pub fn records(block: &[u8]) -> Result<Vec<Record>, CorruptBlock> {
    Reader::open(block)?.records()
}

/// The newest version of a block's form.
pub const VERSION: u8 = writer::FRONT;

/// Whether the bytes of a block are those that were written, as far as checksums tell.
pub fn check(block: &[u8]) -> Result<(), CorruptBlock> {
    reader::check(block)
}

/// The version of a block's form.
pub fn version(block: &[u8]) -> Option<u8> {
    block.strip_prefix(&writer::MAGIC)?.first().copied()
}

/// What a block has, for skipping it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHead {
    pub count: u32,
    pub min_time: i64,
    pub max_time: i64,
    pub first_seq: u64,
    /// Records of each level, by [`Level`] number.
    pub levels: [u32; 7],
    /// Bytes of the bodies.
    pub raw_bytes: u64,
}

impl BlockHead {
    /// Of a block's records, of which there is at least one.
    pub fn of(records: &[Record]) -> Self {
        let mut levels = [0; 7];
        let (mut min_time, mut max_time, mut raw_bytes) = (i64::MAX, i64::MIN, 0);
        for record in records {
            levels[record.level as usize] += 1;
            min_time = min_time.min(record.time);
            max_time = max_time.max(record.time);
            raw_bytes += record.body.len() as u64;
        }
        let first_seq = records.first().map_or(0, |record| record.seq);
        Self { count: records.len() as u32, min_time, max_time, first_seq, levels, raw_bytes }
    }

    /// A bit for each level that occurs.
    pub fn level_mask(&self) -> u8 {
        let occurs = |level: &Level| self.levels[*level as usize] > 0;
        Level::ALL.into_iter().filter(occurs).fold(0, |mask, level| mask | 1 << level as u8)
    }
}

/// A compressed block and what finds it.
#[derive(Debug)]
pub struct SealedBlock {
    pub info: Arc<StreamInfo>,
    pub head: BlockHead,
    /// See [`records`].
    pub data: Bytes,
    pub words: Words,
    pub ids: IdFilter,
    pub marks: Marks,
}

impl SealedBlock {
    /// Compresses records of one stream, at least one, in the order of their numbers.
    pub fn seal(info: Arc<StreamInfo>, records: &[Record]) -> std::io::Result<Self> {
        let split = writer::Split::of(records);
        let (words, ids) = split.terms(records).finish();
        let data = writer::encode(records, &split)?.into();
        Ok(Self { info, head: BlockHead::of(records), data, words, ids, marks: Marks::of(records) })
    }

    /// Whether a record may have the token; a no is certain.
    pub fn may_have(&self, token: &[u8]) -> bool {
        if text::is_id(token) { self.ids.may_have(token) } else { self.words.has(token) }
    }

    /// Memory it takes, about.
    pub fn memory(&self) -> usize {
        self.data.len() + self.words.memory() + self.ids.memory() + self.marks.memory() + 200
    }
}

/// The newest records of a stream, not yet compressed.
#[derive(Debug)]
pub struct OpenBlock {
    pub info: Arc<StreamInfo>,
    pub records: Vec<Record>,
    /// Bytes of the bodies.
    pub bytes: usize,
}

impl OpenBlock {
    pub fn new(info: Arc<StreamInfo>) -> Self {
        Self { info, records: Vec::new(), bytes: 0 }
    }

    pub fn push(&mut self, record: Record) {
        self.bytes += record.body.len();
        self.records.push(record);
    }

    /// Whether a block can have this record beside those that it has.
    pub fn takes(&self, record: &Record) -> bool {
        self.records.is_empty() || self.bytes + record.body.len() <= MAX_BODIES
    }

    pub fn is_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS || self.bytes >= MAX_BYTES
    }
}

#[cfg(test)]
mod tests;
