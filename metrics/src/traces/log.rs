//! The log of spans: a line for each span in memory, in files that have numbers.
//!
//! A file of spans has the number of the last file of the log that it was made of. So names
//! alone tell what of the log is needed no more, at whatever moment the process died: no span
//! is lost between the two, and none is doubled. A file is held until it is durable or needed no
//! more: what a disk could not sync is asked for again.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    mem,
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
    /// Files before it by their numbers, until they are durable.
    ended: Vec<(u64, Lines)>,
}

impl Log {
    /// Goes on in the file with this number.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: &Path, number: u64) -> io::Result<Self> {
        let lines = Lines::open(&path_of(folder, number))?;
        Ok(Self { folder: folder.to_owned(), number, lines, ended: Vec::new() })
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
            self.ended.push((self.number, mem::replace(&mut self.lines, next)));
            self.number += 1;
        }
        Ok(self.number - 1)
    }

    /// Handles on what is not durable, the oldest first.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn unsynced(&mut self) -> io::Result<Vec<Unsynced>> {
        let (mut all, mut at) = (Vec::new(), 0);
        while let Some((_, lines)) = self.ended.get(at) {
            match lines.unsynced()? {
                Some(unsynced) => {
                    all.push(unsynced);
                    at += 1;
                }
                None => drop(self.ended.remove(at)),
            }
        }
        all.extend(self.lines.unsynced()?);
        Ok(all)
    }

    /// Lets go of the files up to this number, which need not become durable any more.
    pub fn let_go(&mut self, last: u64) {
        self.ended.retain(|(number, _)| *number > last);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::tests::durable;

    #[test]
    fn a_file_is_asked_for_until_it_is_durable_or_needed_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::open(folder.path(), 1).expect("opened");
        for lines in ["one\n", "two\n", "three\n"] {
            log.append(lines.as_bytes()).expect("appended");
            log.begin_next().expect("the next");
        }
        log.append(b"four\n").expect("appended");
        // The disk fails.
        assert_eq!(log.unsynced().expect("asked").len(), 4);
        log.let_go(1);
        forget(folder.path(), 1).expect("removed");
        let unsynced = log.unsynced().expect("asked");
        assert_eq!(unsynced.len(), 3, "what is a file of spans need not be");
        unsynced.into_iter().for_each(|one| one.sync().expect("synced"));
        assert_eq!(durable::lossy(folder.path()), Vec::<PathBuf>::new());
        assert!(log.unsynced().expect("asked").is_empty() && log.ended.is_empty(), "nobody needs them");
    }
}
