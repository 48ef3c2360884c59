//! The processes of a group: how many, what they hold open, and what they have read and written.
//!
//! Version 1 of control groups: the group's own counters miss what the kernel writes back
//! later. What a process has caused to be written stands in `/proc/PID/io`; when it ends, its
//! parent takes its figures over, so the sum over living processes is the whole
//! story while the container's first process reaps the others. What is lost
//! otherwise (an exec that ends) makes the sum fall: only rises are counted, so
//! the figure never falls and at most misses a process that lived for less than
//! a second outside the container's own tree.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Write,
    fs::File,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use super::{Disk, parse};

/// Follows the processes of one group.
pub(super) struct Processes {
    list: Option<File>,
    /// Their `/proc/PID/io`, where it is wanted.
    io: Option<HashMap<i32, Option<File>>>,
    pids: Vec<i32>,
    path: String,
    last_sum: Disk,
    risen: Disk,
}

/// What they are and have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub disk: Disk,
    pub processes: u64,
    pub open_files: u64,
}

impl Processes {
    /// `folder` is the group's, of any controller.
    pub(super) fn open(folder: &Path, with_io: bool) -> Self {
        let list = File::open(folder.join("cgroup.procs")).ok();
        Self {
            list,
            io: with_io.then(HashMap::new),
            pids: Vec::new(),
            path: String::new(),
            last_sum: Disk::default(),
            risen: Disk::default(),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Found {
        let mut found = Found { disk: self.risen, ..Found::default() };
        let Some(text) = self.list.as_ref().and_then(|list| read_list(list, buffer)) else { return found };
        self.pids.clear();
        self.pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        found.processes = self.pids.len() as u64;
        for pid in &self.pids {
            self.path.clear();
            // Writing into a string can't fail.
            let _ = write!(self.path, "/proc/{pid}/fd");
            found.open_files += std::fs::metadata(&self.path).map_or(0, |folder| folder.size());
        }
        found.disk = self.io(buffer);
        found
    }

    fn io(&mut self, buffer: &mut Vec<u8>) -> Disk {
        let Some(open) = &mut self.io else { return Disk::default() };
        open.retain(|pid, _| self.pids.contains(pid));
        let mut sum = Disk::default();
        for pid in &self.pids {
            let file = match open.entry(*pid) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(File::open(format!("/proc/{pid}/io")).ok()),
            };
            if let Some(text) = file.as_ref().and_then(|file| read_at_start(file, buffer)) {
                sum = sum.plus(parse::process_io(text));
            }
        }
        self.count(sum)
    }

    /// Adds what the sum has risen by; a fall is a process whose figures are lost.
    fn count(&mut self, sum: Disk) -> Disk {
        let rise = |now: u64, before: u64| now.saturating_sub(before);
        self.risen.read_bytes += rise(sum.read_bytes, self.last_sum.read_bytes);
        self.risen.write_bytes += rise(sum.write_bytes, self.last_sum.write_bytes);
        self.last_sum = sum;
        self.risen
    }
}

/// A small kernel file that is made at once, from a descriptor that stays open: what one call
/// gives is all of it.
pub(super) fn read_at_start<'a>(file: &File, buffer: &'a mut Vec<u8>) -> Option<&'a str> {
    make_room(buffer);
    let length = file.read_at(buffer, 0).ok()?;
    if length < buffer.len() {
        return std::str::from_utf8(&buffer[..length]).ok();
    }
    read_list(file, buffer)
}

/// A kernel file that is made line by line, of which a call may give a part.
pub(super) fn read_list<'a>(file: &File, buffer: &'a mut Vec<u8>) -> Option<&'a str> {
    make_room(buffer);
    let mut length = 0;
    loop {
        let read = file.read_at(&mut buffer[length..], length as u64).ok()?;
        if read == 0 {
            break;
        }
        length += read;
        if length == buffer.len() {
            buffer.resize(2 * length, 0);
        }
    }
    std::str::from_utf8(&buffer[..length]).ok()
}

fn make_room(buffer: &mut Vec<u8>) {
    if buffer.len() < 16 << 10 {
        buffer.resize(16 << 10, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_never_falls() {
        let mut io = Processes::open(Path::new("/nowhere"), true);
        let written = |bytes| Disk { write_bytes: bytes, ..Disk::default() };
        let counts = [100, 300, 50, 80].map(|sum| io.count(written(sum)).write_bytes);
        assert_eq!(counts, [100, 300, 300, 330]);
    }
}
