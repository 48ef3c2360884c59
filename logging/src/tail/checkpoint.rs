//! Where reading stands: everything that is needed to go on after a crash as if
//! nothing had happened, neither losing nor doubling a line.

use std::{fs::File, io, os::unix::fs::FileExt};

use serde::{Deserialize, Serialize};

use crate::{
    parse::{Grouper, Joiner, Tag},
    record::{Source, StreamInfo},
};

/// Of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCheckpoint {
    pub info: StreamInfo,
    /// The number of the next record.
    pub next_seq: u64,
    /// The time of the newest record; what a line without a time gets.
    pub last_time: Option<i64>,
    /// Begins of lines, whose ends come later, maybe in another file.
    pub joiner: Joiner,
    /// Records whose traces may go on.
    #[serde(default)]
    pub grouper: Grouper,
    pub files: Vec<FileCheckpoint>,
}

/// Of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheckpoint {
    pub inode: u64,
    pub name: String,
    /// All bytes before it are in records or in the joiner.
    pub offset: u64,
    pub fingerprint: Fingerprint,
    /// Reading stands inside a line that doesn't fit a chunk. Earlier versions skipped the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipping: Option<Skipping>,
}

/// Whose text such a line goes on with, and whether the record ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipping {
    pub stderr: bool,
    pub full: bool,
}

impl Skipping {
    pub fn new(source: Source, tag: Tag) -> Self {
        Self { stderr: source == Source::Stderr, full: tag == Tag::Full }
    }

    pub fn source(self) -> Source {
        if self.stderr { Source::Stderr } else { Source::Stdout }
    }
}

/// The begin of a file, which tells it from another that got the same inode, and
/// from itself after a truncation: lines begin with a time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fingerprint {
    length: u32,
    crc: u32,
}

/// Bytes that count.
const FINGERPRINT: u64 = 256;

impl Fingerprint {
    /// Of the first bytes, as far as they have been read.
    pub fn of(file: &File, read: u64) -> io::Result<Self> {
        let mut bytes = [0; FINGERPRINT as usize];
        let length = read.min(FINGERPRINT);
        let bytes = &mut bytes[..length as usize];
        file.read_exact_at(bytes, 0)?;
        Ok(Self { length: length as u32, crc: crc32fast::hash(bytes) })
    }

    /// Whether the file still begins so.
    pub fn fits(self, file: &File) -> bool {
        Self::of(file, u64::from(self.length)).is_ok_and(|now| now == self)
    }

    /// Longer files say no more.
    pub fn is_complete(self) -> bool {
        u64::from(self.length) == FINGERPRINT
    }
}
