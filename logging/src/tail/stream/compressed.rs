//! Which of a stream's texts a compressed file has: one that was read in part or whole before it was
//! compressed, or one of its own. See [`packed`] for what tells them apart.
//!
//! As long as that can't be told of one, nothing is forgotten that was read of others, also where it
//! was deleted: the text may be that.

use std::{io, os::unix::fs::MetadataExt};

use super::{Dir, Entry, FileCheckpoint, LogFile, NO_INODE, Refusal, StreamTail, name, system};
use crate::{
    parse::Format,
    tail::{
        packed::{self, Begin},
        room::{OpenFile, Room},
    },
    time,
};

impl StreamTail {
    /// The compressed files of a listing that are whole: until what one was made of is removed, that
    /// is read as before. Where the names say so, the oldest is the first.
    fn compressed<'a>(&self, entries: &'a [Entry]) -> Vec<&'a Entry> {
        let is_whole = |entry: &&Entry| {
            name::original(&entry.name)
                .is_some_and(|original| !entries.iter().any(|other| other.name == original))
        };
        let mut compressed: Vec<&Entry> = entries.iter().filter(is_whole).collect();
        if let Some(base) = &self.base {
            compressed.sort_by_cached_key(|entry| system::order(base, &entry.name));
        }
        compressed
    }

    /// Whether a version that read the compressed files of such a log has looked at all of this one.
    pub(super) fn knows_compressed(&mut self) -> &mut bool {
        match (self.linked.is_some(), self.is_plain) {
            (true, _) => &mut self.known.has_linked_compressed,
            (false, true) => &mut self.known.has_plain_compressed,
            (false, false) => &mut self.known.has_compressed,
        }
    }

    /// Whether a file's text may be in a compressed one that couldn't be looked at.
    pub(super) fn may_be_compressed(&self, file: &LogFile) -> bool {
        self.is_unsure && !file.is_compressed() && !file.is_copy()
    }

    /// A deleted file was read to its end.
    pub(super) fn let_go(&mut self, at: usize) {
        let file = self.files.remove(at);
        if self.may_be_compressed(&file) {
            self.add_former(file.former());
        }
    }

    /// Takes in files that were compressed.
    pub(super) fn update_compressed(&mut self, directory: &Dir, entries: &[Entry]) {
        let compressed = self.compressed(entries);
        let is_new = |entry: &&Entry| !self.files.iter().any(|file| file.is(entry));
        if self.base.is_some()
            && compressed.iter().any(is_new)
            && let Some(current) = self.current()
        {
            // What was copied, emptied away and compressed is known by what was read of it before.
            self.look_at(current, Some(directory));
        }
        for entry in compressed {
            if let Some(at) = self.files.iter().position(|file| file.is(entry))
                && !self.is_replaced(at, directory, entry)
            {
                let file = &mut self.files[at];
                file.missing = 0;
                // It gets no more, but may not have been opened.
                file.dirty |= !file.is_done();
                continue;
            }
            match open_compressed(directory, entry, &self.room) {
                Ok((file, begin)) => {
                    if let Some(known) = self.files.iter_mut().find(|known| known.was_renamed(entry, &begin))
                    {
                        known.name.clone_from(&entry.name);
                        (known.missing, known.dirty) = (0, known.dirty || !known.is_done());
                        continue;
                    }
                    let file = (!self.room.is_over()).then_some(file);
                    self.take_compressed(entry, entries, file, &begin);
                }
                Err(error) => match Refusal::of(&error) {
                    Refusal::Gone if error.kind() != io::ErrorKind::UnexpectedEof => self.has_missed = true,
                    refusal => {
                        // What was read of it, and where in the order it comes, isn't known.
                        (self.is_unsure, self.waits) = (true, self.waits || refusal == Refusal::Exhausted);
                        self.refused.push((entry.name.clone(), error));
                    }
                },
            }
        }
    }

    /// Whether docker has another file where this one was: of two files (`max-file`) it deletes the
    /// compressed one, and the next may get its inode. What is left of an open one is read.
    fn is_replaced(&mut self, at: usize, directory: &Dir, entry: &Entry) -> bool {
        if self.base.is_none() {
            return false;
        }
        // One that can't be looked at now is what it was.
        let Ok((_, begin)) = open_compressed(directory, entry, &self.room) else { return false };
        let file = &mut self.files[at];
        if begin.fingerprint().is_nothing() || file.was_renamed(entry, &begin) {
            return false;
        }
        if file.is_open() && !file.is_done() {
            (file.gone, file.dirty, file.inode) = (true, true, NO_INODE);
        } else {
            self.files.remove(at);
        }
        true
    }

    /// A compressed file that is new here is what became of one that was read, or unread.
    fn take_compressed(&mut self, entry: &Entry, entries: &[Entry], file: Option<OpenFile>, begin: &Begin) {
        let is_listed = |file: &LogFile| entries.iter().any(|entry| file.is(entry));
        let named = self.base.is_none();
        let mut files = self.files.iter_mut();
        if let Some(original) =
            files.find(|known| known.is_original_of(entry, begin, is_listed(known), named))
        {
            // What it was a copy of is there, and is read there.
            let is_copy = original.is_copy();
            original.be_read();
            original.become_compressed(entry, file, begin);
            if is_copy {
                original.pass_over(begin);
            }
            return;
        }
        let known = self.take_known(entry, begin);
        let is_passed = known.is_none() && !*self.knows_compressed() && self.was_passed(begin);
        let mut file = LogFile::compressed(entry, file, begin, known);
        if self.is_plain {
            file = file.plain();
        }
        if is_passed {
            file.pass_over(begin);
        }
        self.files.push(file);
    }

    /// Whether an earlier version, which read no such file, is done with one.
    fn was_passed(&self, begin: &Begin) -> bool {
        match (self.linked.is_some(), self.is_plain) {
            // Of a long line of docker's the time isn't among the first bytes.
            (true, _) => !packed::is_newer(begin.time(), self.last_time),
            // Of a plain one there may be none.
            (false, true) => {
                !packed::is_newer(begin.time_in(Format::Plain { now: time::now() }), self.last_time)
            }
            (false, false) => packed::is_passed(begin.time(), self.last_time),
        }
    }

    /// What is known of the text of a compressed file that is new here. Of several texts that begin
    /// alike it is the one that was known by this file, or else one that was not compressed before, best
    /// one that was read to this end.
    fn take_known(&mut self, entry: &Entry, begin: &Begin) -> Option<FileCheckpoint> {
        let rank = |known: &FileCheckpoint| {
            let was_compressed = name::original(&known.name).is_some();
            let is_itself = was_compressed && known.inode == entry.inode;
            (was_compressed && !is_itself, !is_itself, !begin.ends_at(known.offset))
        };
        let known = self.known.files.iter().enumerate().filter(|(_, known)| begin.is_of(known.fingerprint));
        let at = known.min_by_key(|(_, known)| rank(known)).map(|(at, _)| at);
        if let Some(at) = at {
            return Some(self.known.files.remove(at));
        }
        let former = self.formers.iter().position(|known| begin.is_of(known.fingerprint))?;
        Some(self.formers.remove(former))
    }
}

fn open_compressed(directory: &Dir, entry: &Entry, room: &Room) -> io::Result<(OpenFile, Begin)> {
    let file = directory.file(&entry.name)?;
    if file.metadata()?.ino() != entry.inode {
        return Err(io::Error::new(io::ErrorKind::NotFound, "another file has the name now"));
    }
    let begin = Begin::of(&file)?;
    Ok((room.take(file), begin))
}
