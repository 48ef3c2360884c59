//! The open files of one group, and its figures.

use std::{fs::File, path::Path};

use super::{
    Figures, Pressure,
    disk::{Processes, read_at_start},
    disks::DiskCounts,
    parse,
};
use crate::cgroup::Hierarchy;

/// A limit of this many bytes and more is none: version 1 says so by the greatest number of pages.
const NO_LIMIT: u64 = 1 << 62;

/// Reads one group.
pub(super) enum Group {
    V1(Box<V1>),
    V2(Box<V2>),
}

pub(super) struct V1 {
    cpu_usage: Option<File>,
    cpu_modes: Option<File>,
    cpu_stat: Option<File>,
    memory_usage: Option<File>,
    memory_stat: Option<File>,
    memory_failures: Option<File>,
    oom: Option<File>,
    io_bytes: Option<File>,
    io_operations: Option<File>,
    disks: DiskCounts,
    threads: Option<File>,
    processes: Option<Processes>,
    tick: u64,
}

pub(super) struct V2 {
    cpu_stat: Option<File>,
    memory_current: Option<File>,
    memory_stat: Option<File>,
    memory_swap: Option<File>,
    memory_max: Option<File>,
    memory_events: Option<File>,
    io_stat: Option<File>,
    disks: DiskCounts,
    threads: Option<File>,
    pressure: PressureFiles,
    processes: Option<Processes>,
}

/// Pressure of CPU, memory and IO.
pub(super) struct PressureFiles([Option<File>; 3]);

impl Group {
    /// `None` while the group doesn't exist. With `follow_processes`, its processes are
    /// counted, and disk figures of version 1 include buffered writes.
    pub(super) fn open(hierarchy: &Hierarchy, group: &str, follow_processes: bool) -> Option<Self> {
        let file =
            |controller: &str, name: &str| File::open(hierarchy.folder(controller, group)?.join(name)).ok();
        match hierarchy {
            Hierarchy::V1(_) => {
                let folder = hierarchy.folder("cpuacct", group)?;
                folder.is_dir().then(|| {
                    Self::V1(Box::new(V1 {
                        cpu_usage: file("cpuacct", "cpuacct.usage"),
                        cpu_modes: file("cpuacct", "cpuacct.stat"),
                        cpu_stat: file("cpu", "cpu.stat"),
                        memory_usage: file("memory", "memory.usage_in_bytes"),
                        memory_stat: file("memory", "memory.stat"),
                        memory_failures: file("memory", "memory.failcnt"),
                        oom: file("memory", "memory.oom_control"),
                        io_bytes: file("blkio", "blkio.throttle.io_service_bytes_recursive"),
                        io_operations: file("blkio", "blkio.throttle.io_serviced_recursive"),
                        disks: DiskCounts::default(),
                        threads: file("pids", "pids.current"),
                        processes: follow_processes.then(|| Processes::open(Path::new(&folder), true)),
                        tick: tick(),
                    }))
                })
            }
            Hierarchy::V2(_) => {
                let folder = hierarchy.folder("", group)?;
                folder.is_dir().then(|| {
                    Self::V2(Box::new(V2 {
                        cpu_stat: file("", "cpu.stat"),
                        memory_current: file("", "memory.current"),
                        memory_stat: file("", "memory.stat"),
                        memory_swap: file("", "memory.swap.current"),
                        memory_max: file("", "memory.max"),
                        memory_events: file("", "memory.events"),
                        io_stat: file("", "io.stat"),
                        disks: DiskCounts::default(),
                        threads: file("", "pids.current"),
                        pressure: PressureFiles::open(&folder, ".pressure"),
                        processes: follow_processes.then(|| Processes::open(&folder, false)),
                    }))
                })
            }
        }
    }

    /// `None` when the group is gone.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Option<Figures> {
        match self {
            Self::V1(group) => group.read(buffer),
            Self::V2(group) => group.read(buffer),
        }
    }

    /// What it had done on each disk when it was read last.
    pub(super) fn disks(&self) -> &DiskCounts {
        match self {
            Self::V1(group) => &group.disks,
            Self::V2(group) => &group.disks,
        }
    }
}

impl V1 {
    fn read(&mut self, buffer: &mut Vec<u8>) -> Option<Figures> {
        let mut figures = Figures {
            cpu_usage_nanos: parse::number(read_at_start(self.cpu_usage.as_ref()?, buffer)?),
            ..Figures::default()
        };
        let tick = self.tick;
        each(&self.cpu_modes, buffer, |name, value| match name {
            "user" => figures.cpu_user_nanos = value * tick,
            "system" => figures.cpu_system_nanos = value * tick,
            _ => {}
        });
        each(&self.cpu_stat, buffer, |name, value| match name {
            "nr_periods" => figures.cpu_periods = value,
            "nr_throttled" => figures.cpu_throttled_periods = value,
            "throttled_time" => figures.cpu_throttled_nanos = value,
            _ => {}
        });
        self.memory(&mut figures, buffer);
        if let Some(text) = text(&self.io_bytes, buffer) {
            parse::blkio(text, &mut self.disks, |disk| &mut disk.read_bytes, |disk| &mut disk.write_bytes);
        }
        if let Some(text) = text(&self.io_operations, buffer) {
            parse::blkio(text, &mut self.disks, |disk| &mut disk.reads, |disk| &mut disk.writes);
        }
        figures.disk = self.disks.sum();
        figures.threads = text(&self.threads, buffer).map_or(0, parse::number);
        figures.count(&mut self.processes, buffer);
        Some(figures)
    }

    fn memory(&self, figures: &mut Figures, buffer: &mut Vec<u8>) {
        figures.memory_usage_bytes = text(&self.memory_usage, buffer).map_or(0, parse::number);
        let mut inactive = 0;
        each(&self.memory_stat, buffer, |name, value| match name {
            "total_inactive_file" => inactive = value,
            "total_rss" => figures.memory_rss_bytes = value,
            "total_cache" => figures.memory_cache_bytes = value,
            "total_swap" => figures.memory_swap_bytes = value,
            "hierarchical_memory_limit" if value < NO_LIMIT => figures.memory_limit_bytes = value,
            _ => {}
        });
        figures.memory_working_set_bytes = figures.memory_usage_bytes.saturating_sub(inactive);
        figures.memory_failures = text(&self.memory_failures, buffer).map_or(0, parse::number);
        each(&self.oom, buffer, |name, value| {
            if name == "oom_kill" {
                figures.oom_kills = value;
            }
        });
    }
}

impl V2 {
    fn read(&mut self, buffer: &mut Vec<u8>) -> Option<Figures> {
        let cpu = read_at_start(self.cpu_stat.as_ref()?, buffer)?;
        let mut figures = Figures::default();
        parse::fields(cpu, |name, value| match name {
            "usage_usec" => figures.cpu_usage_nanos = value * 1000,
            "user_usec" => figures.cpu_user_nanos = value * 1000,
            "system_usec" => figures.cpu_system_nanos = value * 1000,
            "nr_periods" => figures.cpu_periods = value,
            "nr_throttled" => figures.cpu_throttled_periods = value,
            "throttled_usec" => figures.cpu_throttled_nanos = value * 1000,
            _ => {}
        });
        figures.memory_usage_bytes = text(&self.memory_current, buffer).map_or(0, parse::number);
        let mut inactive = 0;
        each(&self.memory_stat, buffer, |name, value| match name {
            "inactive_file" => inactive = value,
            "anon" => figures.memory_rss_bytes = value,
            "file" => figures.memory_cache_bytes = value,
            _ => {}
        });
        figures.memory_working_set_bytes = figures.memory_usage_bytes.saturating_sub(inactive);
        figures.memory_swap_bytes = text(&self.memory_swap, buffer).map_or(0, parse::number);
        // `max` is no number.
        figures.memory_limit_bytes = text(&self.memory_max, buffer).map_or(0, parse::number);
        each(&self.memory_events, buffer, |name, value| match name {
            "max" => figures.memory_failures = value,
            "oom_kill" => figures.oom_kills = value,
            _ => {}
        });
        if let Some(text) = text(&self.io_stat, buffer) {
            parse::io_stat(text, &mut self.disks);
        }
        figures.disk = self.disks.sum();
        figures.threads = text(&self.threads, buffer).map_or(0, parse::number);
        figures.pressure = self.pressure.read(buffer);
        figures.count(&mut self.processes, buffer);
        Some(figures)
    }
}

impl Figures {
    fn count(&mut self, processes: &mut Option<Processes>, buffer: &mut Vec<u8>) {
        let Some(found) = processes.as_mut().map(|processes| processes.read(buffer)) else { return };
        self.disk = self.disk.max(found.disk);
        (self.processes, self.open_files) = (found.processes, found.open_files);
    }
}

impl PressureFiles {
    /// `cpu`, `memory` and `io` with this ending.
    pub(super) fn open(folder: &Path, ending: &str) -> Self {
        Self(["cpu", "memory", "io"].map(|name| File::open(folder.join(format!("{name}{ending}"))).ok()))
    }

    pub(super) fn read(&self, buffer: &mut Vec<u8>) -> Pressure {
        let mut read = |at: usize| text(&self.0[at], buffer).map(parse::pressure).unwrap_or_default();
        let (cpu, memory, io) = (read(0), read(1), read(2));
        Pressure { cpu, memory, io }
    }
}

/// Nanoseconds of one tick in which the kernel tells times.
pub(super) fn tick() -> u64 {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    1_000_000_000 / u64::try_from(ticks).unwrap_or(100).max(1)
}

fn text<'a>(file: &Option<File>, buffer: &'a mut Vec<u8>) -> Option<&'a str> {
    read_at_start(file.as_ref()?, buffer)
}

fn each(file: &Option<File>, buffer: &mut Vec<u8>, found: impl FnMut(&str, u64)) {
    if let Some(text) = text(file, buffer) {
        parse::fields(text, found);
    }
}
