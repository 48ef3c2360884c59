//! The log of spans: a line for each span in memory, in files that have numbers.
//!
//! A file of spans has the number of the last file of the log that it was made of. So names
//! alone tell what of the log is needed no more, at whatever moment the process died: no span
//! is lost between the two, and none is doubled.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use super::span::Span;
use crate::append::{Lines, Unsynced};

const BEGIN: &str = "recent-";
const END: &str = ".jsonl";

pub struct Log {
    folder: PathBuf,
    number: u64,
    lines: Lines,
    /// Of the files before, what is not durable yet.
    unsynced: Vec<Unsynced>,
}

impl Log {
    /// Goes on in the file with this number.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: &Path, number: u64) -> io::Result<Self> {
        let lines = Lines::open(&path_of(folder, number))?;
        Ok(Self { folder: folder.to_owned(), number, lines, unsynced: Vec::new() })
    }

    /// Appends lines, all of them or none.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.lines.append(lines)
    }

    /// What comes from now on stands in another file. Gives the number of the last file before it.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin_next(&mut self) -> io::Result<u64> {
        if self.lines.length() > 0 {
            let next = Lines::open(&path_of(&self.folder, self.number + 1))?;
            self.unsynced.extend(self.lines.unsynced()?);
            self.lines = next;
            self.number += 1;
        }
        Ok(self.number - 1)
    }

    /// Handles on what was appended since this was asked last.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn unsynced(&mut self) -> io::Result<Vec<Unsynced>> {
        let newest = self.lines.unsynced()?;
        let mut all = std::mem::take(&mut self.unsynced);
        all.extend(newest);
        Ok(all)
    }
}

/// The file of a folder's log with this number.
pub fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{BEGIN}{number}{END}"))
}

/// The files of a folder's log by their numbers, in order.
///
/// # Errors
/// The folder can't be read.
pub fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)?.parse::<u64>().ok());
        files.extend(number.map(|number| (number, path)));
    }
    files.sort_unstable();
    Ok(files)
}

/// The number of a folder's last file; 0 where there is none.
///
/// # Errors
/// The folder can't be read.
pub fn last(folder: &Path) -> io::Result<u64> {
    Ok(list(folder)?.last().map_or(0, |(number, _)| *number))
}

/// The spans of a file. Lines that are none are told of and left out.
///
/// # Errors
/// The file can't be read.
pub fn read(path: &Path) -> io::Result<Vec<Span>> {
    let (mut spans, mut lost) = (Vec::new(), 0);
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(span) => spans.push(span),
            Err(_) => lost += 1,
        }
    }
    if lost > 0 {
        tracing::warn!(path = %path.display(), lines = lost, "lines of spans that can't be read were left out");
    }
    Ok(spans)
}

/// Removes the files up to this number: a file of spans has all of them.
///
/// # Errors
/// The disk's.
pub fn forget(folder: &Path, last: u64) -> io::Result<()> {
    let files = list(folder)?.into_iter();
    files.filter(|(number, _)| *number <= last).try_for_each(|(_, path)| fs::remove_file(path))
}
