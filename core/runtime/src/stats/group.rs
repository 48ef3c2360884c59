//! The open files of one group, and its figures.

use std::{fs::File, path::Path};

use super::{
    Disk, Figures,
    disk::{ProcessIo, read_at_start},
    parse,
};
use crate::cgroup::Hierarchy;

/// Reads one group.
pub(super) enum Group {
    V1(Box<V1>),
    V2(Box<V2>),
}

pub(super) struct V1 {
    cpu_usage: Option<File>,
    cpu_stat: Option<File>,
    memory_usage: Option<File>,
    memory_stat: Option<File>,
    io_bytes: Option<File>,
    io_operations: Option<File>,
    processes: Option<File>,
    process_io: Option<ProcessIo>,
}

pub(super) struct V2 {
    cpu_stat: Option<File>,
    memory_current: Option<File>,
    memory_stat: Option<File>,
    io_stat: Option<File>,
    processes: Option<File>,
}

impl Group {
    /// `None` while the group doesn't exist. With `follow_processes`, disk
    /// figures of version 1 include buffered writes.
    pub(super) fn open(hierarchy: &Hierarchy, group: &str, follow_processes: bool) -> Option<Self> {
        let file =
            |controller: &str, name: &str| File::open(hierarchy.folder(controller, group)?.join(name)).ok();
        match hierarchy {
            Hierarchy::V1(_) => {
                let folder = hierarchy.folder("cpuacct", group)?;
                folder.is_dir().then(|| {
                    Self::V1(Box::new(V1 {
                        cpu_usage: file("cpuacct", "cpuacct.usage"),
                        cpu_stat: file("cpu", "cpu.stat"),
                        memory_usage: file("memory", "memory.usage_in_bytes"),
                        memory_stat: file("memory", "memory.stat"),
                        io_bytes: file("blkio", "blkio.throttle.io_service_bytes_recursive"),
                        io_operations: file("blkio", "blkio.throttle.io_serviced_recursive"),
                        processes: file("pids", "pids.current"),
                        process_io: follow_processes.then(|| ProcessIo::open(Path::new(&folder))),
                    }))
                })
            }
            Hierarchy::V2(_) => hierarchy.folder("", group)?.is_dir().then(|| {
                Self::V2(Box::new(V2 {
                    cpu_stat: file("", "cpu.stat"),
                    memory_current: file("", "memory.current"),
                    memory_stat: file("", "memory.stat"),
                    io_stat: file("", "io.stat"),
                    processes: file("", "pids.current"),
                }))
            }),
        }
    }

    /// `None` when the group is gone.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Option<Figures> {
        match self {
            Self::V1(group) => group.read(buffer),
            Self::V2(group) => group.read(buffer),
        }
    }
}

impl V1 {
    fn read(&mut self, buffer: &mut Vec<u8>) -> Option<Figures> {
        let mut figures = Figures {
            cpu_usage_nanos: parse::number(read_at_start(self.cpu_usage.as_ref()?, buffer)?),
            ..Figures::default()
        };
        if let Some(text) = text(&self.cpu_stat, buffer) {
            figures.cpu_throttled_nanos = parse::field(text, "throttled_time");
        }
        figures.memory_usage_bytes = text(&self.memory_usage, buffer).map_or(0, parse::number);
        if let Some(text) = text(&self.memory_stat, buffer) {
            let inactive = parse::field(text, "total_inactive_file");
            figures.memory_working_set_bytes = figures.memory_usage_bytes.saturating_sub(inactive);
            figures.memory_rss_bytes = parse::field(text, "total_rss");
        }
        let (read_bytes, write_bytes) = text(&self.io_bytes, buffer).map_or((0, 0), parse::blkio);
        let (reads, writes) = text(&self.io_operations, buffer).map_or((0, 0), parse::blkio);
        figures.disk = Disk { read_bytes, write_bytes, reads, writes };
        if let Some(process_io) = &mut self.process_io {
            figures.disk = figures.disk.max(process_io.read(buffer));
        }
        figures.processes = text(&self.processes, buffer).map_or(0, parse::number);
        Some(figures)
    }
}

impl V2 {
    fn read(&mut self, buffer: &mut Vec<u8>) -> Option<Figures> {
        let cpu = read_at_start(self.cpu_stat.as_ref()?, buffer)?;
        let mut figures = Figures {
            cpu_usage_nanos: parse::field(cpu, "usage_usec") * 1000,
            cpu_throttled_nanos: parse::field(cpu, "throttled_usec") * 1000,
            ..Figures::default()
        };
        figures.memory_usage_bytes = text(&self.memory_current, buffer).map_or(0, parse::number);
        if let Some(text) = text(&self.memory_stat, buffer) {
            let inactive = parse::field(text, "inactive_file");
            figures.memory_working_set_bytes = figures.memory_usage_bytes.saturating_sub(inactive);
            figures.memory_rss_bytes = parse::field(text, "anon");
        }
        figures.disk = text(&self.io_stat, buffer).map(parse::io_stat).unwrap_or_default();
        figures.processes = text(&self.processes, buffer).map_or(0, parse::number);
        Some(figures)
    }
}

fn text<'a>(file: &Option<File>, buffer: &'a mut Vec<u8>) -> Option<&'a str> {
    read_at_start(file.as_ref()?, buffer)
}
