//! The write-ahead log of what comes in by a door.
//!
//! ```text
//! streams of a request -> entry (its bytes) -> segment file, many entries, one fsync -> acknowledged
//! start: segments -> entries beyond the manifest's mark -> the store, before anything new
//! commit: the mark moves on, segments that it covers are deleted
//! ```
//!
//! A log file of a container can be read again after a crash; what a sender was
//! told is taken exists nowhere else, so it is here before it is acknowledged. A
//! file is never appended to by another process than the one that began it: a
//! tail that a crash tore just ends that file. Damage between two entries loses
//! those that it hit, and so do bytes that the disk doesn't give and entries of a
//! later version; the file is set aside, named, and the rest of it counts. What a
//! sender was told is not taken doesn't count, though it may be on disk.

mod entry;
mod log;
mod segment;

pub use entry::{BadEntry, Contents, Pushed, read_entry, write_entry};
pub use log::{Entry, Left, Wal};

/// Bytes after which a segment is closed.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// Bytes of all segments; beyond it nothing is taken until a commit.
pub const MAX_BYTES: u64 = 256 << 20;

/// How far the splits of the manifest cover the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// Entries up to this one, by number, are in splits.
    pub number: u64,
    /// No record that came by a door has this sequence number or a greater one.
    pub next_seq: u64,
}

/// Why an entry is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    #[error("{what} `{path}`")]
    Io {
        what: &'static str,
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "write-ahead log `{path}` is full ({bytes} bytes wait for a commit): free space on the collector's disk"
    )]
    Full { path: std::path::PathBuf, bytes: u64 },
    #[error("a write to the log broke off")]
    BrokeOff(#[source] tokio::task::JoinError),
}

#[cfg(test)]
mod tests;
