//! One stream: the files of a container instance, read in the order they were
//! written, and the records that come out of them.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    checkpoint::StreamCheckpoint,
    dir::{Dir, Entry},
    file::{LogFile, Progress},
    links::Target,
    name, system,
};
use crate::{
    parse::{Grouped, Grouper, Joined, Joiner},
    record::{Record, Source, StreamInfo},
    time,
};

/// Records of one stream, in order.
#[derive(Debug)]
pub struct Batch {
    pub info: Arc<StreamInfo>,
    pub records: Vec<Record>,
}

/// A stream that is being read.
#[derive(Debug)]
pub struct StreamTail {
    pub info: Arc<StreamInfo>,
    /// Oldest first; the one that is written to is the last.
    pub files: Vec<LogFile>,
    joiner: Joiner,
    grouper: Grouper,
    next_seq: u64,
    last_time: Option<i64>,
    /// Files of the checkpoint that were not seen yet.
    known: StreamCheckpoint,
    /// The file that is written to, where the names are not the kubelet's.
    base: Option<String>,
    /// A part's own log.
    is_plain: bool,
    /// Where the files are, of a log that is a link.
    linked: Option<Target>,
}

impl StreamTail {
    /// Starts at the begin, or where the checkpoint says.
    pub fn new(info: StreamInfo, checkpoint: Option<StreamCheckpoint>) -> Self {
        let known = checkpoint.unwrap_or_else(|| StreamCheckpoint {
            info: info.clone(),
            next_seq: 0,
            last_time: None,
            joiner: Joiner::default(),
            grouper: Grouper::default(),
            files: Vec::new(),
        });
        Self {
            info: Arc::new(info),
            files: Vec::new(),
            joiner: known.joiner.clone(),
            grouper: known.grouper.clone(),
            next_seq: known.next_seq,
            last_time: known.last_time,
            known,
            base: None,
            is_plain: false,
            linked: None,
        }
    }

    /// The plain log of a part of the node, in files of this name.
    pub fn of_system(self, file: String) -> Self {
        Self { base: Some(file), is_plain: true, ..self }
    }

    /// The files are where a link leads to.
    pub fn link(&mut self, target: Target) {
        self.base = Some(target.file.clone());
        self.linked = Some(target);
    }

    /// Where the last link led to, if there was one.
    pub fn linked(&self) -> Option<&Target> {
        self.linked.as_ref()
    }

    pub fn checkpoint(&self) -> StreamCheckpoint {
        StreamCheckpoint {
            info: (*self.info).clone(),
            next_seq: self.next_seq,
            last_time: self.last_time,
            joiner: self.joiner.clone(),
            grouper: self.grouper.clone(),
            files: self.files.iter().filter(|file| !file.gone).map(LogFile::checkpoint).collect(),
        }
    }

    /// Takes in what the directory holds of this stream now. True when a file is gone.
    pub fn update(&mut self, directory: Option<&Dir>, entries: &[Entry]) -> bool {
        for entry in entries {
            match self.files.iter_mut().find(|file| file.inode == entry.inode) {
                Some(file) => {
                    if file.name != entry.name {
                        file.name.clone_from(&entry.name);
                    }
                    file.missing = 0;
                    // While it was closed, another file may have got its inode, even with the same
                    // size: opening compares the begin.
                    file.dirty |= !file.is_open() || file.offset != entry.size;
                }
                None => {
                    let known = self.known.files.iter().position(|file| file.inode == entry.inode);
                    let known = known.map(|at| self.known.files.swap_remove(at));
                    let mut file = LogFile::new(entry.name.clone(), entry.inode, known);
                    if self.is_plain {
                        file = file.plain();
                    }
                    // Held open from the first moment: it may be deleted in the next.
                    if let Some(directory) = directory {
                        open(&mut file, directory);
                    }
                    self.files.push(file);
                }
            }
        }
        let any_gone = self.mark_missing(directory.is_some(), entries);
        match &self.base {
            Some(base) => self.files.sort_by_cached_key(|file| system::order(base, &file.name)),
            None => self.files.sort_by_cached_key(|file| match name::log_file(&file.name) {
                Some((_, Some(suffix))) => (false, suffix.to_owned()),
                _ => (true, String::new()),
            }),
        }
        any_gone
    }

    /// A listing made during a rename may have missed the file under both names,
    /// so only a file without a link, or without its directory, is gone.
    fn mark_missing(&mut self, has_directory: bool, entries: &[Entry]) -> bool {
        let mut any_gone = false;
        for file in &mut self.files {
            if file.gone || entries.iter().any(|entry| entry.inode == file.inode) {
                continue;
            }
            file.missing = file.missing.max(1);
            if !has_directory || file.is_unlinked() {
                (file.gone, file.dirty, any_gone) = (true, true, true);
            }
        }
        any_gone
    }

    /// After a commit: gives descriptors back that are not needed, and forgets
    /// closed files that have been missing for two commits.
    pub fn release(&mut self, close_idle: bool) {
        let last = self.files.len().saturating_sub(1);
        for (at, file) in self.files.iter_mut().enumerate() {
            // The file that is written to stays open: it may be deleted right after its last line.
            if !file.dirty && !file.gone && (at < last || close_idle) {
                file.close();
            }
            if file.missing > 0 && !file.is_open() {
                file.missing += 1;
            }
        }
        self.files.retain(|file| file.missing <= 3);
    }

    /// Bytes that are still to be read; and of those the ones in deleted files.
    pub fn unread(&self) -> (u64, u64) {
        let sum = |all: bool| self.files.iter().filter(|file| all || file.gone).map(LogFile::unread).sum();
        (sum(true), sum(false))
    }

    /// Lets deleted files go unread, the oldest first, until so many bytes went. Gives how many did.
    pub fn drop_deleted(&mut self, bytes: u64) -> u64 {
        let mut dropped = 0;
        self.files.retain(|file| {
            let goes = file.gone && dropped < bytes;
            dropped += if goes { file.unread() } else { 0 };
            !goes
        });
        dropped
    }

    pub fn has_more(&self) -> bool {
        self.files.iter().any(|file| file.dirty)
    }

    /// Reads one chunk of the first file that has more.
    pub fn read(&mut self, directory: Option<&Dir>, buffer: &mut Vec<u8>) -> Option<Batch> {
        let at = self.files.iter().position(|file| file.dirty)?;
        let file = &mut self.files[at];
        if !file.gone && !file.is_open() {
            match directory {
                Some(directory) => open(file, directory),
                None => file.gone = true,
            }
        }
        let mut joined = Vec::new();
        let mut found = |line| joined.push(line);
        let progress = file.read(buffer, &mut self.joiner, &mut found);
        let result = match progress {
            Ok(Progress::More) => Ok(()),
            Ok(Progress::End) => {
                file.dirty = false;
                let ended = file.gone;
                if ended { file.read_torn_line(buffer, &mut self.joiner, &mut found) } else { Ok(()) }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::warn!(file = %file.name, pod = %self.info.pod, %error, "log file can't be read");
            file.dirty = false;
        }
        if self.files[at].gone && !self.files[at].dirty {
            self.files.remove(at);
        }
        let grouped = self.group(joined);
        self.records(grouped)
    }

    /// What is pending, when no file of the stream is left to end it.
    pub fn finish(&mut self) -> Option<Batch> {
        let mut grouped = Vec::new();
        let mut found = |record| grouped.push(record);
        for source in [Source::Stdout, Source::Stderr] {
            if let Some(line) = self.joiner.finish(source) {
                self.grouper.push(line, &mut found);
            }
            self.grouper.finish(source, &mut found);
        }
        self.records(grouped)
    }

    /// Lets records go whose traces don't go on; see [`Grouper::tick`].
    pub fn tick(&mut self) -> Option<Batch> {
        if self.has_more() {
            return None;
        }
        let mut grouped = Vec::new();
        self.grouper.tick(&mut |record| grouped.push(record));
        self.records(grouped)
    }

    /// Whether [`StreamTail::tick`] is wanted.
    pub fn is_holding(&self) -> bool {
        self.grouper.is_holding()
    }

    fn group(&mut self, lines: Vec<Joined>) -> Vec<Grouped> {
        let mut grouped = Vec::with_capacity(lines.len());
        for line in lines {
            self.grouper.push(line, &mut |record| grouped.push(record));
        }
        grouped
    }

    fn records(&mut self, grouped: Vec<Grouped>) -> Option<Batch> {
        if grouped.is_empty() {
            return None;
        }
        let records = grouped.into_iter().map(|Grouped { time, source, level, body }| {
            // Only a time that was written counts for later lines: a file without any has the present.
            self.last_time = time.or(self.last_time);
            let time = self.last_time.unwrap_or_else(time::now);
            let seq = self.next_seq;
            self.next_seq += 1;
            Record { time, seq, level, source, body: Bytes::from(body) }
        });
        let records = records.collect();
        Some(Batch { info: self.info.clone(), records })
    }
}

fn open(file: &mut LogFile, directory: &Dir) {
    let result: io::Result<()> = file.open(directory).map(|_| ());
    if let Err(error) = result {
        // Renamed or deleted meanwhile: the next scan says which.
        tracing::debug!(file = %file.name, %error, "log file can't be opened");
    }
}
