//! A quarter of an hour, an hour or a day of all series in one Parquet file.
//!
//! ```text
//! name  labels  first  last  count  form  times  values  crc     one row a series, in order of labels
//! ```
//!
//! Times and values are packed by [`row`] and then by zstd, a page of many series at a
//! time: series of one metric lie side by side and look alike, so that they share what the compressor
//! learns. A row a sample, as a table would have it, takes three times as many bytes. A file
//! is written aside, made durable and renamed; it never changes, and what copies it may read it
//! from elsewhere, by range. What it must not do: know the head.

mod read;
mod recent;
mod row;
mod shared;
mod source;
mod write;

#[cfg(test)]
pub use read::Readings;
pub use read::{Block, Rows};
pub use recent::Room;
pub use row::{KnownTimes, Row};
pub use shared::SharedLabels;
pub use source::{Ranges, Unread};
pub use write::Writer;

use std::{io, path::PathBuf};

/// Why a block could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    #[error("{path} can't be {doing}")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("{path} is damaged: {why}")]
    Damaged { path: PathBuf, why: String },
    #[error("{path} can't be read: {why}")]
    Unreachable { path: PathBuf, why: String },
}
