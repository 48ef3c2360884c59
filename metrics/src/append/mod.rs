//! Files that are appended to, for decisions, events, spans and the log of series alike: they have whole
//! appends only, and those of lines whole lines, whatever a full disk or a kill leaves.
//!
//! Half a line spoils the one that is appended behind it, too. So it is cut off: after a write
//! that failed, and when the file is opened.

#[cfg(not(test))]
mod durable;
mod file;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

pub use file::{Appending, Unsynced};
// It does the same, and tells tests what was done.
#[cfg(test)]
use tests::durable;

/// Bytes that are looked through at once for the end of the last line.
const PIECE: usize = 16 << 10;

/// A file of lines.
#[derive(Debug)]
pub struct Lines(Appending);

impl Lines {
    /// Opens a file, which is made if there is none, and cuts off what is no whole line.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        let length = whole(&file, size)?;
        if length < size {
            file.set_len(length)?;
        }
        Ok(Self(Appending::of(path, file, length)))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Bytes of all lines.
    pub fn length(&self) -> u64 {
        self.0.length()
    }

    /// Appends lines, all of them or none. They outlive the process when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.append(lines)
    }

    /// A handle on what is not durable.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn unsynced(&self) -> io::Result<Option<Unsynced>> {
        self.0.unsynced()
    }
}

/// Where the last whole line of a file ends.
fn whole(file: &File, size: u64) -> io::Result<u64> {
    let mut buffer = vec![0; PIECE];
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(PIECE as u64);
        let piece = &mut buffer[..(end - start) as usize];
        file.read_exact_at(piece, start)?;
        if let Some(at) = memchr::memrchr(b'\n', piece) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
pub mod tests;
