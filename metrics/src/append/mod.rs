//! A file of lines that is appended to, for decisions, events and spans alike: it has whole
//! lines only, whatever a full disk or a kill leaves.
//!
//! Half a line spoils the one that is appended behind it, too. So it is cut off: after a write
//! that failed, and when the file is opened. What is appended outlives the process; it outlives
//! the machine's end once it is synced, which needs a handle of its own and not this file: a
//! disk may take its time for that, and what comes meanwhile is appended.

#[cfg(not(test))]
mod durable;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

// It does the same, and tells tests what was done.
#[cfg(test)]
use tests::durable;

/// Bytes that are looked through at once for the end of the last line.
const PIECE: usize = 16 << 10;

#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: File,
    /// Bytes that are whole lines.
    length: u64,
    /// Half a line stands behind them: it could not be cut off.
    is_torn: bool,
    is_unsynced: bool,
    /// So is its name.
    is_new: bool,
}

/// What is not durable yet.
#[derive(Debug)]
pub struct Unsynced {
    file: File,
    /// Of a file that is new: its name stands there.
    folder: Option<PathBuf>,
}

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
        let is_new = length == 0;
        Ok(Self { path: path.to_owned(), file, length, is_torn: false, is_unsynced: false, is_new })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of all lines.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends lines, all of them or none. They outlive the process when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        if let Err(error) = self.file.write_all(lines) {
            self.is_torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += lines.len() as u64;
        self.is_unsynced = true;
        Ok(())
    }

    /// A handle on what was appended since this was asked last.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn unsynced(&mut self) -> io::Result<Option<Unsynced>> {
        if !self.is_unsynced {
            return Ok(None);
        }
        let file = self.file.try_clone()?;
        self.is_unsynced = false;
        let folder = if self.is_new { self.path.parent().map(Path::to_owned) } else { None };
        self.is_new = false;
        Ok(Some(Unsynced { file, folder }))
    }
}

impl Unsynced {
    /// Makes it durable.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(self) -> io::Result<()> {
        durable::data(&self.file)?;
        self.folder.map_or(Ok(()), |folder| durable::names(&folder))
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
