//! All journal files of the node: which there are, which have more, and whose turn it is.
//!
//! It does no waiting: the caller tells it what changed, then takes turns.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Instant,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    entry::{self, NAMELESS},
    file::{Entry, Fault, Header, JournalFile},
    span::{self, Spans},
    units::Units,
};
use crate::{
    parse,
    record::{Level, Record, Source},
    tail::{Batch, Change, Place, SystemLog, Watch, dir::Dir},
};

/// Entries and bytes of a turn.
const ENTRIES: usize = 256;
const BYTES: usize = 1 << 20;

/// Files that are remembered though they are not there.
const MAX_RESUMED: usize = 4096;

/// Where reading stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalCheckpoint {
    /// No record of a journal has this number or a greater one.
    pub next_seq: u64,
    /// How many entries of each file were read, by the file's id.
    pub files: BTreeMap<String, u64>,
    /// Of which entries copies are no news.
    #[serde(default)]
    pub spans: Spans,
}

/// Follows the journal files in some folders.
#[derive(Default)]
pub struct Journal {
    roots: Vec<PathBuf>,
    /// Parts of the node that have files of their own.
    others: Vec<SystemLog>,
    files: Vec<Reading>,
    /// Of files that were not seen yet.
    resumed: BTreeMap<String, u64>,
    spans: Spans,
    next_seq: u64,
    units: Units,
}

struct Reading {
    path: PathBuf,
    file: JournalFile,
    /// It may have more.
    dirty: bool,
    /// It has no name any more.
    gone: bool,
    /// The way to its next entry is broken: it is left alone.
    is_stuck: bool,
    /// Its entries are copied into another folder in the end.
    is_copied: bool,
    /// The number of its entries when its last turn ended.
    ended: u64,
    /// The time of the last entry that was read, nanoseconds.
    last_time: Option<i64>,
}

impl Journal {
    /// Reads nothing yet: call [`Journal::apply`] with [`Change::Everything`]. A unit of the name
    /// of one of the `others` is left out as long as that one's file is there.
    pub fn new(roots: Vec<PathBuf>, node: &str, others: &[SystemLog], stands: JournalCheckpoint) -> Self {
        Self {
            roots,
            others: others.to_vec(),
            files: Vec::new(),
            resumed: stands.files,
            spans: stands.spans,
            next_seq: stands.next_seq,
            units: Units::new(node),
        }
    }

    /// Looks at what changed.
    pub fn apply(&mut self, change: &Change, watch: &mut dyn Watch) {
        match change {
            Change::Everything => self.scan(watch),
            Change::In(Place::Folder(folder)) if self.is_ours(folder) => self.scan(watch),
            Change::WroteIn(folder, name) if self.is_ours(folder) && is_journal(name) => {
                let path = folder.join(name);
                match self.files.iter_mut().find(|reading| !reading.gone && reading.path == path) {
                    Some(reading) => reading.dirty = true,
                    None => self.scan(watch),
                }
            }
            _ => {}
        }
    }

    pub fn has_more(&self) -> bool {
        self.files.iter().any(|reading| reading.dirty)
    }

    /// Up to when all that was written has been read, as [`Tailer::reached`](crate::tail::Tailer::reached).
    pub fn reached(&self, now: i64) -> Option<i64> {
        let behind = self.files.iter().filter(|reading| reading.dirty);
        behind.map(|reading| reading.last_time).try_fold(now, |least, reached| Some(least.min(reached?)))
    }

    /// Reads some entries of one file; records by stream.
    pub fn turn(&mut self) -> Vec<Batch> {
        // What was set aside is older than what is written to, whatever the clock said. Copies
        // are known by what they are copies of.
        let key =
            |reading: &Reading| (!reading.is_copied, !is_set_aside(&reading.path), reading.file.header.head);
        let dirty = self.files.iter().enumerate().filter(|(_, reading)| reading.dirty);
        let Some(at) = dirty.min_by_key(|(_, reading)| key(reading)).map(|(at, _)| at) else {
            return Vec::new();
        };
        let others = self.others.iter().filter(|log| log.path.exists());
        let others: HashSet<String> = others.map(|log| log.name.clone()).collect();
        let now = Instant::now();
        let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
        let mut bytes = 0;
        for _ in 0..ENTRIES {
            if !self.files[at].is_copied && self.lacks_originals() {
                break;
            }
            let before = self.files[at].file.read;
            let record = match self.files[at].file.next() {
                Ok(Some(entry)) => {
                    self.files[at].is_stuck = false;
                    self.files[at].last_time = Some(entry::time(&entry));
                    if self.is_copy(at, &entry) {
                        continue;
                    }
                    let line = entry::line(&entry, |unit| self.units.name(unit, now));
                    if others.contains(&line.unit) {
                        continue;
                    }
                    (line.unit, line.time, line.level, line.body)
                }
                Ok(None) => {
                    self.files[at].dirty = false;
                    break;
                }
                Err(fault) => {
                    let reading = &mut self.files[at];
                    // Tried again when the file is written to, and told once.
                    let is_told = std::mem::replace(&mut reading.is_stuck, reading.file.read == before);
                    reading.dirty = !reading.is_stuck;
                    if is_told && reading.is_stuck {
                        break;
                    }
                    self.missing(at, &fault)
                }
            };
            let (unit, time, level, body) = record;
            bytes += body.len();
            let info = self.units.stream(&unit, now);
            let batch = batches.entry(unit).or_insert_with(|| Batch { info, records: Vec::new() });
            for body in parse::parts(body) {
                let (seq, source) = (self.next_seq, Source::Stdout);
                self.next_seq += 1;
                batch.records.push(Record { time, seq, level, source, body: Bytes::from(body) });
            }
            if bytes > BYTES || !self.files[at].dirty {
                break;
            }
        }
        self.files[at].ended = self.files[at].file.header.entries();
        if self.files[at].gone && !self.files[at].dirty {
            let gone = self.files.remove(at);
            // Vacuumed, as there is no folder that its entries could have been copied to.
            if gone.is_copied && self.files.iter().all(|reading| reading.is_copied) {
                self.spans.remove(&gone.file.header.id);
            }
        }
        batches.into_values().collect()
    }

    /// Whether the entry was read already, where it was first.
    fn is_copy(&mut self, at: usize, entry: &Entry) -> bool {
        let reading = &self.files[at];
        if reading.is_copied {
            span::read(&mut self.spans, &reading.file.header.id, entry);
            return false;
        }
        span::is_copy(&mut self.spans, entry)
    }

    /// Whether there is something unread that copies could be of: what was written there is not
    /// always told before they are.
    fn lacks_originals(&mut self) -> bool {
        for reading in self.files.iter_mut().filter(|reading| reading.is_copied) {
            let has_more = reading.file.has_more().is_ok_and(|more| more);
            reading.dirty |= has_more && reading.file.header.entries() > reading.ended;
        }
        self.files.iter().any(|reading| reading.is_copied && reading.dirty)
    }

    /// How far the records go that were given so far.
    pub fn checkpoint(&self) -> JournalCheckpoint {
        let here = self.files.iter().map(|reading| (reading.file.header.id.clone(), reading.file.read));
        let files = self.resumed.clone().into_iter().chain(here).collect();
        JournalCheckpoint { next_seq: self.next_seq, files, spans: self.spans.clone() }
    }

    /// What says that something can't be read, in the place where it would be.
    fn missing(&self, at: usize, fault: &Fault) -> (String, i64, Level, Vec<u8>) {
        let reading = &self.files[at];
        let fault = told(fault);
        tracing::warn!(file = %reading.path.display(), entry = reading.file.read, %fault, "an entry of the journal can't be read");
        let (path, number) = (reading.path.display(), reading.file.read);
        let body = format!("entry {number} of {path} can't be read: {fault}");
        (NAMELESS.to_owned(), crate::time::now(), Level::Warn, body.into_bytes())
    }

    fn is_ours(&self, folder: &Path) -> bool {
        self.roots.iter().any(|root| folder.starts_with(root) || root.starts_with(folder))
    }

    fn scan(&mut self, watch: &mut dyn Watch) {
        let mut seen = HashSet::new();
        for root in self.roots.clone() {
            // One that isn't there yet comes into the nearest folder that is.
            let there = root.ancestors().find(|folder| folder.is_dir()).unwrap_or(&root).to_owned();
            watch.watch(&Place::Folder(there.clone()));
            if there == root
                && let Err(error) = self.scan_folder(&root, true, &mut seen, watch)
            {
                tracing::warn!(folder = %root.display(), %error, "folder of the journal can't be listed");
            }
        }
        for reading in self.files.iter_mut().filter(|reading| !seen.contains(&reading.file.header.id)) {
            let unlinked = reading.file.file().metadata().is_ok_and(|metadata| metadata.nlink() == 0);
            (reading.gone, reading.dirty) = (unlinked, reading.dirty || unlinked);
        }
        // Vacuumed while nobody looked, or in a folder that can't be had just now.
        if self.resumed.len() > MAX_RESUMED {
            self.resumed.clear();
        }
    }

    /// Below a root there is a folder for each machine.
    fn scan_folder(
        &mut self,
        folder: &Path,
        is_root: bool,
        seen: &mut HashSet<String>,
        watch: &mut dyn Watch,
    ) -> io::Result<()> {
        let directory = Dir::open(folder)?;
        for entry in directory.settled_entries()? {
            let path = folder.join(&entry.name);
            if entry.is_dir && is_root {
                watch.watch(&Place::Folder(path.clone()));
                // Gone again.
                let _ = self.scan_folder(&path, false, seen, watch);
            } else if !entry.is_dir && is_journal(&entry.name) {
                match directory.file(&entry.name).map_err(Fault::from).and_then(read_header) {
                    Ok((file, header)) => {
                        let is_copied = folder.ancestors().any(span::is_copied);
                        self.found(path, is_copied, file, header, seen);
                    }
                    // Just begun, or none: the next write tells.
                    Err(error) => {
                        tracing::debug!(file = %path.display(), %error, "journal file can't be opened")
                    }
                }
            }
        }
        Ok(())
    }

    fn found(
        &mut self,
        path: PathBuf,
        is_copied: bool,
        file: File,
        header: Header,
        seen: &mut HashSet<String>,
    ) {
        if !seen.insert(header.id.clone()) {
            return;
        }
        match self.files.iter_mut().find(|reading| reading.file.header.id == header.id) {
            Some(reading) => (reading.path, reading.dirty) = (path, true),
            None => {
                let read = self.resumed.remove(&header.id).unwrap_or(0);
                let file = JournalFile::new(file, header, read);
                let reading = Reading {
                    path,
                    file,
                    dirty: true,
                    gone: false,
                    is_stuck: false,
                    is_copied,
                    ended: 0,
                    last_time: None,
                };
                self.files.push(reading);
            }
        }
    }
}

/// What is wrong, and why.
fn told(fault: &Fault) -> String {
    match std::error::Error::source(fault) {
        Some(cause) => format!("{fault}: {cause}"),
        None => fault.to_string(),
    }
}

fn read_header(file: File) -> Result<(File, Header), Fault> {
    let header = Header::read(&file)?;
    Ok((file, header))
}

/// Also those that were not closed in order.
fn is_journal(name: &str) -> bool {
    name.ends_with(".journal") || name.ends_with(".journal~")
}

fn is_set_aside(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b'@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_its_cause() {
        let fault = Fault::Io(io::Error::other("the disk is gone"));
        assert_eq!(told(&fault), "it can't be read: the disk is gone");
        assert_eq!(told(&Fault::Form("it is too short")), "it is too short");
    }
}
