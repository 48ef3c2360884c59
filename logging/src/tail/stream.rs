//! One stream: the files of a container instance, read in the order they were
//! written, and the records that come out of them.

mod compressed;
mod copied;

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    again::{self, Refusal},
    behind::PATIENCE,
    checkpoint::{FileCheckpoint, NO_INODE, StreamCheckpoint},
    dir::{Dir, Entry},
    file::{LogFile, Progress},
    links::Target,
    name,
    room::Room,
    system,
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
    /// Texts that a file had before it was emptied, and that a copy may have.
    formers: Vec<FileCheckpoint>,
    /// The file that is written to, where the names are not the kubelet's.
    base: Option<String>,
    /// A part's own log.
    is_plain: bool,
    /// Where the files are, of a log that is a link.
    linked: Option<Target>,
    /// A file of the last listing had another name or was gone when it was opened.
    has_missed: bool,
    /// Something of the folder couldn't be looked at: what seems to be missing may be that.
    is_unsure: bool,
    /// Nothing can be opened now, so nothing is read before the next look at the folder.
    waits: bool,
    /// What couldn't be opened, by file, since it was asked for.
    refused: Vec<(String, io::Error)>,
    room: Room,
    /// In which turn of all it was read.
    last_read: u64,
    /// Compressed files that couldn't be read to their end, since they were asked for.
    damaged: u64,
}

impl StreamTail {
    /// Starts at the begin, or where the checkpoint says.
    pub fn new(info: StreamInfo, checkpoint: Option<StreamCheckpoint>, room: &Room) -> Self {
        let mut known = checkpoint.unwrap_or_else(|| StreamCheckpoint {
            info: info.clone(),
            next_seq: 0,
            last_time: None,
            joiner: Joiner::default(),
            grouper: Grouper::default(),
            files: Vec::new(),
            has_compressed: true,
            has_linked_compressed: true,
            has_plain_compressed: true,
        });
        let (formers, files) =
            std::mem::take(&mut known.files).into_iter().partition(|file| file.inode == NO_INODE);
        known.files = files;
        Self {
            info: Arc::new(info),
            files: Vec::new(),
            joiner: known.joiner.clone(),
            grouper: known.grouper.clone(),
            next_seq: known.next_seq,
            last_time: known.last_time,
            known,
            formers,
            base: None,
            is_plain: false,
            linked: None,
            has_missed: false,
            is_unsure: false,
            waits: false,
            refused: Vec::new(),
            room: room.clone(),
            last_read: 0,
            damaged: 0,
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
            files: self.known_files(),
            has_compressed: self.known.has_compressed,
            has_linked_compressed: self.known.has_linked_compressed,
            has_plain_compressed: self.is_plain && self.known.has_plain_compressed,
        }
    }

    fn known_files(&self) -> Vec<FileCheckpoint> {
        let files = self.files.iter().filter(|file| !file.gone).map(|file| match file.copy_of() {
            Some(inode) => file.checkpoint_of_copy(self.original(inode)),
            None => file.checkpoint(),
        });
        let unseen = self.known.files.iter().filter(|_| self.is_unsure);
        let gone = self.files.iter().filter(|file| file.gone && self.may_be_compressed(file));
        files.chain(self.formers.iter().chain(unseen).cloned()).chain(gone.map(LogFile::former)).collect()
    }

    /// Takes in what the directory holds of this stream now. True when a file is gone.
    pub fn update(&mut self, directory: Option<&Dir>, entries: &[Entry]) -> bool {
        (self.has_missed, self.is_unsure, self.waits) = (false, false, false);
        self.files.iter_mut().for_each(|file| file.waits = false);
        if let Some(directory) = directory {
            // First: the inode of what a compressed file was made of may be another file's by now.
            self.update_compressed(directory, entries);
            if !self.is_unsure {
                *self.knows_compressed() = true;
            }
            if !self.is_unsure && self.base.is_none() {
                self.formers.clear();
            }
        }
        if let Some(base) = &self.base {
            // A closed file of which nothing was read may be another one by now, and nothing shows it.
            let is_known =
                |file: &LogFile| file.is_open() || file.offset > 0 || file.is_copy() || file.is_compressed();
            self.files.retain(|file| is_known(file) || file.gone || file.name == *base);
        }
        let (mut set_aside, mut is_new) = (Vec::new(), false);
        let is_text = |entry: &&Entry| name::original(&entry.name).is_none();
        for entry in entries.iter().filter(is_text) {
            match self.files.iter_mut().find(|file| !file.is_compressed() && file.inode == entry.inode) {
                Some(file) => {
                    if file.name != entry.name {
                        file.name.clone_from(&entry.name);
                    }
                    file.missing = 0;
                    // While it was closed, another file may have got its inode, even with the same
                    // size: opening compares the begin.
                    file.dirty |= !file.is_copy() && (!file.is_open() || file.offset != entry.size);
                }
                None => {
                    if self.base.as_ref().is_some_and(|base| *base != entry.name) {
                        set_aside.push(entry);
                    } else {
                        is_new = !self.add(directory, entry);
                    }
                }
            }
        }
        self.take_set_aside(directory, set_aside, is_new);
        let any_gone = self.mark_missing(directory.is_some(), entries);
        self.check_copies(directory);
        // All that a copy has is in the other file, unless that couldn't be looked at.
        let waits = self.waits;
        self.files.retain(|file| !file.is_copy() || !file.gone || waits);
        match &self.base {
            Some(base) => self.files.sort_by_cached_key(|file| system::order(base, &file.name)),
            None => self.files.sort_by_cached_key(|file| match name::log_file(&file.name) {
                Some((_, Some(suffix))) => (false, suffix.to_owned()),
                _ => (true, String::new()),
            }),
        }
        any_gone
    }

    /// Takes in a file that wasn't here before. Whether the checkpoint knew it.
    fn add(&mut self, directory: Option<&Dir>, entry: &Entry) -> bool {
        // A compressed file had its inode before, if the name says so.
        let is_it = |file: &FileCheckpoint| file.inode == entry.inode && name::original(&file.name).is_none();
        let known = self.known.files.iter().position(is_it);
        let known = known.map(|at| self.known.files.remove(at));
        let is_known = known.is_some();
        let mut file = LogFile::new(entry.name.clone(), entry.inode, known);
        if self.is_plain {
            file = file.plain();
        }
        if self.base.is_some() {
            file = file.keeping_end();
        }
        self.files.push(file);
        // Held open from the first moment: it may be deleted in the next.
        if let Some(directory) = directory
            && !self.room.is_full()
        {
            self.has_missed |= self.open(self.files.len() - 1, directory) == Some(Refusal::Gone);
        }
        is_known
    }

    /// Whether the directory is to be listed again: it was another one than was listed.
    pub fn has_missed(&self) -> bool {
        self.has_missed
    }

    /// A listing made during a rename may have missed the file under both names,
    /// so only a file without a link, or without its directory, is gone.
    fn mark_missing(&mut self, has_directory: bool, entries: &[Entry]) -> bool {
        let mut any_gone = false;
        for file in &mut self.files {
            if file.gone || entries.iter().any(|entry| file.is(entry)) {
                continue;
            }
            file.missing = file.missing.max(1);
            if !has_directory || file.is_unlinked() {
                (file.gone, file.dirty, any_gone) = (true, !file.is_copy(), true);
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
            let may_grow = at == last && !file.is_compressed();
            if !file.dirty && !file.gone && !file.is_copy() && (!may_grow || close_idle) {
                file.close();
            }
            if file.missing > 0 && !file.is_open() && !self.is_unsure {
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
        self.next().is_some()
    }

    /// Up to when all that was written has been read, if it has more: times in files ascend. Lines without
    /// one have that of their reading, which is not before `now`. `None`: it can't be said yet.
    pub fn reached(&self, now: i64) -> Option<i64> {
        match self.has_more() {
            true => self.last_time.or((self.next_seq > 0).then_some(now)),
            false => Some(now),
        }
    }

    /// The time of the oldest line that was read and is in no record yet. The rest of a line that is in
    /// pieces may never come, so it is waited for a while only. Times in files ascend: a held line that
    /// says an earlier one than the last record had, be it by decades, holds up no more than that.
    pub fn waits_since(&self, now: i64) -> Option<i64> {
        let line = self.joiner.since().filter(|since| now.saturating_sub(*since) < PATIENCE);
        let held = self.grouper.since().map(|since| since.max(self.last_time.unwrap_or(since)));
        line.into_iter().chain(held).min()
    }

    /// Whether it has more that can't be opened now.
    pub fn is_waiting(&self) -> bool {
        self.files.iter().any(|file| file.dirty && (self.waits || file.waits))
    }

    /// The folder couldn't be looked at.
    pub fn doubt(&mut self) {
        self.is_unsure = true;
    }

    /// What couldn't be opened since the last call, by file.
    pub fn take_refused(&mut self) -> Vec<(String, io::Error)> {
        std::mem::take(&mut self.refused)
    }

    /// In which turn of all it was read.
    pub fn last_read(&self) -> u64 {
        self.last_read
    }

    /// Whether files are open that were read to their end.
    pub fn is_idle(&self) -> bool {
        self.files.iter().any(LogFile::is_idle)
    }

    /// Lets those go.
    pub fn close_idle(&mut self) {
        self.files.iter_mut().filter(|file| file.is_idle()).for_each(LogFile::close);
    }

    /// The first file that has more and can be opened.
    fn next(&self) -> Option<usize> {
        if self.waits { None } else { self.files.iter().position(|file| file.dirty && !file.waits) }
    }

    /// Whether a file of it is being unpacked.
    pub fn is_unpacking(&self) -> bool {
        self.files.iter().any(LogFile::is_unpacking)
    }

    /// Whether the next read begins to unpack a file.
    pub fn is_to_unpack(&self) -> bool {
        self.next().is_some_and(|at| self.files[at].is_to_unpack())
    }

    /// Whether the next read opens a file.
    pub fn is_to_open(&self) -> bool {
        self.next().is_some_and(|at| !self.files[at].is_open())
    }

    /// Compressed files that couldn't be read to their end, since the last call.
    pub fn take_damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }

    /// Reads one chunk of the first file that has more.
    pub fn read(
        &mut self,
        directory: Result<&Dir, &io::Error>,
        buffer: &mut Vec<u8>,
        turn: u64,
    ) -> Option<Batch> {
        let at = self.next()?;
        self.last_read = turn;
        let was_open = self.files[at].is_open();
        if !was_open && !self.files[at].gone && !self.reopen(at, directory) {
            return None;
        }
        if self.begins_anew(at, directory.ok()) {
            // Another file may come first now.
            return None;
        }
        let file = &mut self.files[at];
        let mut joined = Vec::new();
        let mut found = |line| joined.push(line);
        let progress = file.read(buffer, &mut self.joiner, &mut found);
        let result = match progress {
            Ok(Progress::More) => Ok(()),
            Ok(Progress::End) => {
                file.dirty = false;
                let ended = file.gone || file.is_compressed();
                if ended { file.read_torn_line(buffer, &mut self.joiner, &mut found) } else { Ok(()) }
            }
            Err(error) => Err(error),
        };
        let is_passed = result.is_err_and(|error| self.fail(at, error));
        let file = &mut self.files[at];
        if let Some(error) = file.take_damage() {
            self.damaged += 1;
            let (namespace, pod, container) = (&self.info.namespace, &self.info.pod, &self.info.container);
            tracing::warn!(namespace, pod, container, file = %file.name, read = file.offset, %error, "compressed log file is damaged: it was read up to there, the rest of its lines is missing; look after the node's disk");
        }
        if !was_open && !file.gone && !file.is_unpacking() && self.room.is_over() {
            file.close();
        }
        if file.gone && !file.dirty {
            self.let_go(at);
        }
        let mut grouped = self.group(joined);
        if is_passed {
            grouped.extend(self.end());
        }
        self.records(grouped)
    }

    /// Whether the next file, which is closed, can be read now.
    fn reopen(&mut self, at: usize, directory: Result<&Dir, &io::Error>) -> bool {
        match directory {
            // Renamed, compressed or deleted meanwhile: the next scan says which.
            Ok(directory) => self.open(at, directory).is_none_or(|refusal| refusal == Refusal::Gone),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.files[at].gone = true;
                true
            }
            Err(error) => {
                self.refuse(at, again::copy(error));
                false
            }
        }
    }

    /// A file couldn't be read. Where that may be only for now it is tried again; but a deleted one that a
    /// disk doesn't give would be held open for ever. Whether other files are read before it goes on: then
    /// the order between files can't be kept, and what is pending is to be ended, or what the next file
    /// begins with would become one record with it.
    fn fail(&mut self, at: usize, error: io::Error) -> bool {
        let file = &mut self.files[at];
        file.dirty = match Refusal::of(&error) {
            Refusal::Exhausted => true,
            Refusal::Denied => !file.gone,
            Refusal::Gone => false,
        };
        if file.dirty {
            self.refuse(at, error);
        } else {
            tracing::warn!(file = %file.name, pod = %self.info.pod, %error, "log file can't be read");
        }
        !self.waits
    }

    /// Opens a file. Gives what became of it, if it isn't open.
    fn open(&mut self, at: usize, directory: &Dir) -> Option<Refusal> {
        let file = &mut self.files[at];
        let result: io::Result<()> = file.open(directory, &self.room).map(|_| ());
        let error = result.err()?;
        let refusal = Refusal::of(&error);
        if refusal == Refusal::Gone {
            tracing::debug!(file = %file.name, %error, "log file can't be opened");
        } else {
            self.refuse(at, error);
        }
        Some(refusal)
    }

    /// A file is there and can't be opened: it waits, and all others do if it isn't for its own sake.
    fn refuse(&mut self, at: usize, error: io::Error) {
        let file = &mut self.files[at];
        match Refusal::of(&error) {
            Refusal::Exhausted => self.waits = true,
            Refusal::Denied | Refusal::Gone => file.waits = true,
        }
        self.refused.push((file.name.clone(), error));
    }

    /// What is pending, when no file of the stream is left to end it.
    pub fn finish(&mut self) -> Option<Batch> {
        let grouped = self.end();
        self.records(grouped)
    }

    /// Ends what is pending as it is.
    fn end(&mut self) -> Vec<Grouped> {
        let mut grouped = Vec::new();
        let mut found = |record| grouped.push(record);
        for source in [Source::Stdout, Source::Stderr] {
            if let Some(line) = self.joiner.finish(source) {
                self.grouper.push(line, &mut found);
            }
            self.grouper.finish(source, &mut found);
        }
        grouped
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

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt, path::Path};

    use nix::libc;

    use super::*;

    #[test]
    fn what_a_file_began_that_can_not_be_read_does_not_go_on_in_the_next() {
        // There is nothing at the address 0: reading fails with EIO.
        let file = fs::File::open("/proc/self/mem").expect("a file");
        let directory = Dir::open(Path::new("/proc/self")).expect("a folder");
        let inode = file.metadata().expect("there").ino();
        let info = (*crate::index::tests::info("web")).clone();
        let mut stream = StreamTail::new(info, None, &Room::new(9));
        stream.files.push(LogFile::new("mem".into(), inode, None));
        assert_eq!(stream.joiner.extend(Source::Stdout, Some(1), b"begin"), []);
        let line = |time: i64, body: &str| Joined {
            time: Some(time),
            source: Source::Stderr,
            body: body.into(),
            continues: false,
            goes_on: false,
        };
        assert_eq!(stream.group(vec![line(2, "a.BException: x"), line(3, "text")]), []);
        let batch = stream.read(Ok(&directory), &mut Vec::new(), 1).expect("records");
        assert!(stream.is_waiting() && !stream.has_more(), "it is tried again");
        let bodies: Vec<&[u8]> = batch.records.iter().map(|record| &*record.body).collect();
        assert_eq!(bodies, [b"begin".as_slice(), b"a.BException: x", b"text"]);
        assert_eq!((stream.joiner.pending_bytes(), stream.is_holding()), (0, false));
    }

    #[test]
    fn what_a_disk_does_not_give_is_tried_again_unless_it_is_deleted() {
        let check = |code: i32, gone: bool, is_again: bool| {
            let info = (*crate::index::tests::info("web")).clone();
            let mut stream = StreamTail::new(info, None, &Room::new(9));
            let mut file = LogFile::new("0.log".into(), 1, None);
            file.gone = gone;
            stream.files.push(file);
            let is_passed = stream.fail(0, io::Error::from_raw_os_error(code));
            assert_eq!(is_passed, code != libc::ENOMEM, "{code}: for want of memory no other is read");
            assert!(!stream.has_more(), "{code}: others have their turn");
            assert_eq!((stream.is_waiting(), stream.take_refused().len()), (is_again, usize::from(is_again)));
        };
        for code in [libc::EIO, libc::ESTALE, libc::ENOMEM] {
            check(code, false, true);
        }
        check(libc::EIO, true, false);
        check(libc::ENOMEM, true, true);
        check(libc::ENXIO, false, false);
    }
}
