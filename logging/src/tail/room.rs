//! How many log files may be open at the same time.
//!
//! What is open is read to its end though it is deleted, so each file is opened when it is
//! found, and the one that is written to stays open. On a node with more files than a process
//! may have descriptors, those give way that were read to their end, the ones first that were
//! read the longest ago; they are opened again when they have more. A file with unread bytes
//! never gives way. One that found no room is opened for each chunk that is read of it.

use std::{
    fs::File,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nix::sys::resource::{Resource, getrlimit};

/// Where the limit can't be told: what processes are mostly given.
const USUAL: u64 = 1024;

/// The descriptors that log files may take. Clones share them.
#[derive(Debug, Clone)]
pub struct Room {
    open: Arc<AtomicUsize>,
    most: usize,
}

impl Room {
    /// Three quarters of what this process may have: connections and the index take some, too.
    pub fn of_process() -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(USUAL, |(soft, _)| soft);
        Self::new(usize::try_from(limit / 4 * 3).unwrap_or(usize::MAX))
    }

    pub fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    /// Files that are open.
    pub fn n_open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// There is no room for one more.
    pub fn is_full(&self) -> bool {
        self.n_open() >= self.most
    }

    /// There is none for the last that was opened.
    pub fn is_over(&self) -> bool {
        self.n_open() > self.most
    }

    /// There is some for the next files, so that not each has to make its own.
    pub fn has_reserve(&self) -> bool {
        self.n_open() <= self.most / 4 * 3
    }

    /// Counts a file as long as it is open.
    pub fn take(&self, file: File) -> OpenFile {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenFile { file, open: self.open.clone() }
    }
}

/// A file that takes room until it is closed.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    open: Arc<AtomicUsize>,
}

impl Deref for OpenFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_take_room_as_long_as_they_are_open() {
        let room = Room::new(4);
        let open = |n: usize| -> Vec<OpenFile> {
            (0..n).map(|_| room.take(tempfile::tempfile().expect("a file"))).collect()
        };
        assert!(room.has_reserve());
        let three = open(3);
        assert!(room.has_reserve() && !room.is_full());
        let fourth = open(1);
        assert!(!room.has_reserve() && room.is_full() && !room.is_over());
        let fifth = open(1);
        assert_eq!((room.clone().n_open(), room.is_over()), (5, true));
        drop((three, fifth));
        assert_eq!(room.n_open(), 1);
        drop(fourth);
        assert_eq!(room.n_open(), 0);
    }

    #[test]
    fn a_quarter_of_the_descriptors_is_left_to_others() {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits");
        let most = Room::of_process().most as u64;
        assert!(most >= soft / 2 && most <= soft - soft / 4, "{most} of {soft}");
    }
}
