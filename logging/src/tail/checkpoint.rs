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
    /// Compressed files are among them. Earlier versions left those unread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_compressed: bool,
    /// So are those that docker has compressed. Earlier versions left those unread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_linked_compressed: bool,
    /// So are those of logs of the node's parts. Earlier versions left those unread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_plain_compressed: bool,
}

/// Of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheckpoint {
    /// [`NO_INODE`] of a text that the file had before it was emptied, and that may be in a copy.
    pub inode: u64,
    pub name: String,
    /// All bytes before it are in records or in the joiner; of a compressed file, bytes of its text.
    pub offset: u64,
    pub fingerprint: Fingerprint,
    /// Of the last bytes before the offset, where a file may be copied and emptied. Earlier versions
    /// kept none.
    #[serde(default, skip_serializing_if = "Fingerprint::is_nothing")]
    pub end: Fingerprint,
    /// Reading stands inside a line that doesn't fit a chunk. Earlier versions skipped the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipping: Option<Skipping>,
}

/// No file has it.
pub const NO_INODE: u64 = 0;

impl FileCheckpoint {
    /// Whether a file has the text of which so much was read.
    pub fn is_of(&self, file: &File) -> bool {
        let is_long_enough = file.metadata().is_ok_and(|metadata| metadata.len() >= self.offset);
        let begins_so = !self.fingerprint.is_nothing() && self.fingerprint.fits(file);
        is_long_enough && begins_so && self.end.fits_before(file, self.offset)
    }
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
/// from itself after a truncation: lines begin with a time in nanoseconds. A compressed
/// file has that of its text, which is that of the file it was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fingerprint {
    length: u32,
    crc: u32,
}

/// Bytes that count.
pub const FINGERPRINT: u64 = 256;

impl Fingerprint {
    /// Of the first bytes, as far as they have been read.
    pub fn of(file: &File, read: u64) -> io::Result<Self> {
        let mut bytes = [0; FINGERPRINT as usize];
        let length = read.min(FINGERPRINT);
        let bytes = &mut bytes[..length as usize];
        file.read_exact_at(bytes, 0)?;
        Ok(Self::of_text(bytes))
    }

    /// Of a text, or of its begin.
    pub fn of_text(text: &[u8]) -> Self {
        let begin = &text[..text.len().min(FINGERPRINT as usize)];
        Self { length: begin.len() as u32, crc: crc32fast::hash(begin) }
    }

    /// Whether a text begins so. Nothing is the begin of none: it would be that of all.
    pub fn begins(self, text: &[u8]) -> bool {
        self.length > 0 && text.get(..self.length as usize).is_some_and(|begin| Self::of_text(begin) == self)
    }

    /// Whether the file still begins so.
    pub fn fits(self, file: &File) -> bool {
        Self::of(file, u64::from(self.length)).is_ok_and(|now| now == self)
    }

    /// Of the last bytes before a place.
    pub fn before(file: &File, place: u64) -> io::Result<Self> {
        let mut bytes = [0; FINGERPRINT as usize];
        let length = place.min(FINGERPRINT);
        let bytes = &mut bytes[..length as usize];
        file.read_exact_at(bytes, place - length)?;
        Ok(Self::of_text(bytes))
    }

    /// Whether the file still has these before a place. Where nothing is known all files have.
    pub fn fits_before(self, file: &File, place: u64) -> bool {
        self.is_nothing() || Self::before(file, place).is_ok_and(|now| now == self)
    }

    pub fn is_nothing(&self) -> bool {
        self.length == 0
    }

    /// Longer files say no more.
    pub fn is_complete(self) -> bool {
        u64::from(self.length) == FINGERPRINT
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text).expect("written");
        file
    }

    #[test]
    fn a_text_is_known_by_its_begin_and_by_what_is_before_the_place() {
        // The begin is that of each start of a program.
        let text = |end: &str| ["x".repeat(300), end.repeat(100)].concat().into_bytes();
        let (own, other) = (text("a line\n"), text("b line\n"));
        for read in [1, 255, 256, 300, 900] {
            let whole = file(&own);
            let fingerprint = Fingerprint::of(&whole, read).expect("read");
            let end = Fingerprint::before(&whole, read).expect("read");
            let known =
                FileCheckpoint { inode: 1, name: "n".into(), offset: read, fingerprint, end, skipping: None };
            assert!(known.is_of(&whole), "{read}");
            assert!(!known.is_of(&file(&own[..read as usize - 1])), "{read}: shorter");
            assert!(!known.is_of(&file(&own.to_ascii_uppercase())), "{read}: another begin");
            // Up to there they are the same.
            assert_eq!(known.is_of(&file(&other)), read <= 300, "{read}");
            // As earlier versions have it.
            let json = serde_json::to_value(&known).expect("JSON");
            let mut old = json.clone();
            assert!(old.as_object_mut().expect("a file").remove("end").is_some());
            let old: FileCheckpoint = serde_json::from_value(old).expect("a checkpoint");
            assert!(old.is_of(&file(&other)), "{read}: only the begin is known");
            assert!(serde_json::to_value(&old).expect("JSON").get("end").is_none());
            assert_eq!(serde_json::from_value::<FileCheckpoint>(json).expect("a checkpoint"), known);
        }
        let unread: FileCheckpoint = serde_json::from_value(serde_json::json!({
            "inode": 1, "name": "n", "offset": 0, "fingerprint": Fingerprint::default(),
        }))
        .expect("a checkpoint");
        assert!(!unread.is_of(&file(b"")), "nothing is the text of all");
    }
}
