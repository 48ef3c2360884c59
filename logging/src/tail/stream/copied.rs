//! Which text a file has that rotation set aside by a copy, where it emptied the log behind it:
//! logrotate's `copytruncate`, on logs of the node's parts and of docker.
//!
//! ```text
//! app.log  one two three     app.log    one two three     app.log    four
//!              ^ read        app.log.1  one two three     app.log.1  one two three
//!                                       not read                             ^ read
//! ```
//!
//! A new file that was set aside may be any of these: a copy of what is in the log still, which
//! isn't read; the only file with a text that was read in part, which is read on where reading
//! stood in the log; or a text of its own, read from its begin.

use super::{Dir, Entry, FileCheckpoint, LogFile, StreamTail};
use crate::tail::system;

/// Texts that were emptied away or deleted and wait for their copy. One that was emptied by others has
/// none.
const MAX_FORMERS: usize = 8;

impl StreamTail {
    /// The file with this inode, of which there are copies.
    pub(super) fn original(&self, inode: u64) -> Option<&LogFile> {
        self.files.iter().find(|file| file.inode == inode && !file.is_copy())
    }

    /// Takes in files that were set aside and are new here. With a log that is new, too, none of
    /// them is its copy.
    pub(super) fn take_set_aside(&mut self, directory: Option<&Dir>, mut entries: Vec<&Entry>, is_new: bool) {
        let Some(base) = self.base.clone() else { return };
        // Of several copies the oldest has what comes first.
        entries.sort_by_cached_key(|entry| system::order(&base, &entry.name));
        for entry in entries {
            let is_known = self.add(directory, entry);
            if is_new && self.formers.is_empty() {
                continue;
            }
            let at = self.files.len() - 1;
            let is_open = directory.is_some_and(|directory| self.open(at, directory).is_none());
            let is_placed = is_open && self.place(at, directory, !is_new);
            if !is_placed && !is_known {
                // What of it was read can't be told yet.
                self.is_unsure = true;
                self.files.pop();
            } else if self.room.is_over() && !self.files[at].is_copy() {
                self.files[at].close();
            }
        }
    }

    /// Whether a file that has more has another text than was read, so that another may come first.
    pub(super) fn begins_anew(&mut self, at: usize, directory: Option<&Dir>) -> bool {
        let file = &self.files[at];
        // Nothing was read by which its text could be known: its copies tell.
        if file.offset == 0 && self.check_copies(directory) {
            return true;
        }
        // What else is wrong with it shows when it is read.
        if !self.files[at].has_other_text().unwrap_or(false) {
            return false;
        }
        let former = self.files[at].begin_anew();
        let Some(base) = &self.base else {
            if self.is_unsure {
                // It may have the inode of what a compressed file that can't be opened was made of.
                self.known.files.push(former);
            }
            return false;
        };
        if *base == self.files[at].name {
            self.was_emptied(at, former);
        } else {
            self.place(at, directory, true);
        }
        true
    }

    /// Looks whether copies still are what they were taken for. True if one isn't.
    pub(super) fn check_copies(&mut self, directory: Option<&Dir>) -> bool {
        let mut any_read = false;
        for at in 0..self.files.len() {
            if self.files[at].is_copy() && !self.is_still_copy(at, directory) {
                any_read = true;
            }
        }
        any_read
    }

    fn is_still_copy(&mut self, at: usize, directory: Option<&Dir>) -> bool {
        // Emptied between two looks, the other file shows it in the second.
        for _ in 0..2 {
            let Some(inode) = self.files[at].copy_of() else { return false };
            let Some(original) = self.files.iter().position(|file| file.inode == inode && !file.is_copy())
            else {
                // It was read to its end, and was let go.
                self.files[at].pass();
                return false;
            };
            if !self.look_at(original, directory) {
                return true;
            }
            if self.files[at].is_copy() && self.files[original].is_copied_to(&self.files[at]) {
                return true;
            }
        }
        if self.files[at].is_copy() {
            self.files[at].be_read();
        }
        false
    }

    /// Finds out which text an open file has that was set aside. False if that can't be told now.
    fn place(&mut self, at: usize, directory: Option<&Dir>, may_be_copy: bool) -> bool {
        let mut is_known = true;
        // As above.
        for _ in 0..2 {
            let current = self.current();
            let original = current.filter(|original| self.look_at(*original, directory));
            is_known = original == current || !self.waits;
            let former = self.formers.iter().position(|former| self.files[at].has_text_of(former));
            if let Some(former) = former {
                let former = self.formers.remove(former);
                self.files[at].go_on(&former);
                return true;
            }
            if may_be_copy
                && let Some(original) = original
                && self.files[original].is_copied_to(&self.files[at])
            {
                let inode = self.files[original].inode;
                self.files[at].become_copy(inode);
                return true;
            }
        }
        is_known
    }

    /// The file that is written to.
    pub(super) fn current(&self) -> Option<usize> {
        let base = self.base.as_ref()?;
        let files = self.files.iter().enumerate().filter(|(_, file)| file.name == *base && !file.is_copy());
        files.min_by_key(|(_, file)| file.missing).map(|(at, _)| at)
    }

    /// Looks which text a file has. False if that can't be told.
    pub(super) fn look_at(&mut self, at: usize, directory: Option<&Dir>) -> bool {
        if !self.files[at].is_open() {
            let Some(directory) = directory else { return false };
            if self.open(at, directory).is_some() {
                return false;
            }
        }
        if self.files[at].has_other_text().unwrap_or(false) {
            let former = self.files[at].begin_anew();
            self.was_emptied(at, former);
        }
        true
    }

    /// A file has another text now. The one that it had is in a copy, if anywhere.
    fn was_emptied(&mut self, at: usize, former: FileCheckpoint) {
        let inode = self.files[at].inode;
        let mut is_found = false;
        for copy in self.files.iter_mut().filter(|file| file.copy_of() == Some(inode)) {
            if is_found {
                copy.pass();
            } else {
                is_found = copy.succeed(&former);
            }
        }
        if !is_found {
            self.add_former(former);
        }
    }

    /// Keeps in mind what was read of a text that no file is known to have.
    pub(super) fn add_former(&mut self, former: FileCheckpoint) {
        self.formers.push(former);
        let excess = self.formers.len().saturating_sub(MAX_FORMERS);
        self.formers.drain(..excess);
    }
}
