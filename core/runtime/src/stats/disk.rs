//! Disk figures of a version 1 group, buffered writes included.
//!
//! The group's own counters miss what the kernel writes back later. What a
//! process has caused to be written stands in `/proc/PID/io`; when it ends, its
//! parent takes its figures over, so the sum over living processes is the whole
//! story while the container's first process reaps the others. What is lost
//! otherwise (an exec that ends) makes the sum fall: only rises are counted, so
//! the figure never falls and at most misses a process that lived for less than
//! a second outside the container's own tree.

use std::{collections::HashMap, fs::File, os::unix::fs::FileExt, path::Path};

use super::{Disk, parse};

/// Follows the processes of one group.
pub(super) struct ProcessIo {
    processes: Option<File>,
    open: HashMap<i32, File>,
    last_sum: Disk,
    risen: Disk,
}

impl ProcessIo {
    /// `folder` is the group's, of any controller.
    pub(super) fn open(folder: &Path) -> Self {
        let processes = File::open(folder.join("cgroup.procs")).ok();
        Self { processes, open: HashMap::new(), last_sum: Disk::default(), risen: Disk::default() }
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Disk {
        let Some(list) = &self.processes else { return self.risen };
        let Some(text) = read_at_start(list, buffer) else { return self.risen };
        let pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        self.open.retain(|pid, _| pids.contains(pid));
        let mut sum = Disk::default();
        for pid in pids {
            let file = match self.open.entry(pid) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let Ok(file) = File::open(format!("/proc/{pid}/io")) else { continue };
                    entry.insert(file)
                }
            };
            if let Some(text) = read_at_start(file, buffer) {
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

/// The whole of a small kernel file, from a descriptor that stays open.
pub(super) fn read_at_start<'a>(file: &File, buffer: &'a mut Vec<u8>) -> Option<&'a str> {
    buffer.resize(buffer.capacity().max(16 << 10), 0);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_never_falls() {
        let mut io = ProcessIo {
            processes: None,
            open: HashMap::new(),
            last_sum: Disk::default(),
            risen: Disk::default(),
        };
        let written = |bytes| Disk { write_bytes: bytes, ..Disk::default() };
        let counts = [100, 300, 50, 80].map(|sum| io.count(written(sum)).write_bytes);
        assert_eq!(counts, [100, 300, 300, 330]);
    }
}
