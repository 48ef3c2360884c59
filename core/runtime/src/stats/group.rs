//! The open files of one group, and its figures.

use std::{fs::File, path::Path};

use super::{
    Figures, Pressure,
    disk::{Processes, read_at_start},
    disks::DiskCounts,
    parse, stacked,
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
    memory_limit: Option<File>,
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
    kills: Kills,
    io_stat: Option<File>,
    disks: DiskCounts,
    threads: Option<File>,
    pressure: PressureFiles,
    processes: Option<Processes>,
}

/// How often something was killed for want of memory in a group of version 2 and those below.
///
/// Where a container ends as a whole (`memory.oom.group`), the kernel counts `oom_kill` once for the process
/// that it chose and again for each one of the group, that one too, and `oom_group_kill` once, here as in the
/// groups above. So a group counts once, and what was killed alone, as in groups without the setting, counts
/// beside it. What goes with a group may be found by readings before and after the one that finds the group:
/// before, that is what the last reading found; after, all until one finds nothing more.
#[derive(Default)]
struct Kills {
    /// Processes killed alone, but for those that the last reading found.
    alone: u64,
    /// What that found: it may be the begin of a group's end.
    last: u64,
    /// A group was killed, and no reading since has found that it is over.
    is_group_ending: bool,
    seen: (u64, u64),
    /// What was told; it never falls.
    told: u64,
}

impl Kills {
    fn count(&mut self, processes: u64, groups: u64) -> u64 {
        let seen = std::mem::replace(&mut self.seen, (processes, groups));
        let found = processes.saturating_sub(seen.0);
        if groups > seen.1 {
            self.is_group_ending = true;
            self.last = 0;
        } else if found == 0 || !self.is_group_ending {
            self.is_group_ending = false;
            self.alone += std::mem::replace(&mut self.last, found);
        }
        self.told = self.told.max(self.alone + self.last + groups);
        self.told
    }
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
                        memory_limit: file("memory", "memory.limit_in_bytes"),
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
                        kills: Kills::default(),
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
        self.disks.tell(stacked::look);
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
            _ => {}
        });
        figures.memory_working_set_bytes = figures.memory_usage_bytes.saturating_sub(inactive);
        // Its own: that of all Pods, which stands in `memory.stat`, is no limit of a container.
        let limit = text(&self.memory_limit, buffer).map_or(0, parse::number);
        figures.memory_limit_bytes = if limit < NO_LIMIT { limit } else { 0 };
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
        let (mut processes, mut groups) = (0, 0);
        each(&self.memory_events, buffer, |name, value| match name {
            "max" => figures.memory_failures = value,
            "oom_kill" => processes = value,
            "oom_group_kill" => groups = value,
            _ => {}
        });
        figures.oom_kills = self.kills.count(processes, groups);
        if let Some(text) = text(&self.io_stat, buffer) {
            parse::io_stat(text, &mut self.disks);
        }
        self.disks.tell(stacked::look);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stats::Disk;

    /// The figures of a group with these files, which stand in one folder for all controllers.
    fn read(hierarchy: impl Fn(&Path) -> Hierarchy, files: &[(&str, &str)]) -> Figures {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("box")).expect("made");
        for (name, text) in files {
            std::fs::write(root.path().join("box").join(name), text).expect("written");
        }
        let mut group = Group::open(&hierarchy(root.path()), "/box", true).expect("it is there");
        group.read(&mut Vec::new()).expect("it is read")
    }

    #[test]
    fn files_of_version_2() {
        let files = [
            (
                "cpu.stat",
                "usage_usec 812\nuser_usec 600\nsystem_usec 212\nnr_periods 10\nnr_throttled 4\n\
                 throttled_usec 90\nnr_bursts 0\nburst_usec 0\n",
            ),
            ("memory.current", "66846720\n"),
            ("memory.max", "67108864\n"),
            ("memory.stat", "anon 60000000\nfile 4000000\nkernel 700000\ninactive_file 1000000\n"),
            ("memory.swap.current", "0\n"),
            ("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 14\noom_group_kill 0\n"),
            ("io.stat", "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"),
            ("pids.current", "3\n"),
        ];
        let found = read(|root| Hierarchy::V2(root.to_path_buf()), &files);
        let expected = Figures {
            cpu_usage_nanos: 812_000,
            cpu_user_nanos: 600_000,
            cpu_system_nanos: 212_000,
            cpu_throttled_nanos: 90_000,
            cpu_periods: 10,
            cpu_throttled_periods: 4,
            memory_usage_bytes: 66_846_720,
            memory_working_set_bytes: 65_846_720,
            memory_rss_bytes: 60_000_000,
            memory_cache_bytes: 4_000_000,
            memory_limit_bytes: 67_108_864,
            memory_failures: 7,
            oom_kills: 14,
            disk: Disk { read_bytes: 4096, write_bytes: 8192, reads: 1, writes: 2 },
            threads: 3,
            ..Figures::default()
        };
        assert_eq!(found, expected);
        let unlimited = read(
            |root| Hierarchy::V2(root.to_path_buf()),
            &[("cpu.stat", "usage_usec 1\n"), ("memory.max", "max\n")],
        );
        assert_eq!(unlimited.memory_limit_bytes, 0);
    }

    #[test]
    fn a_group_that_is_killed_as_a_whole_counts_once() {
        let told = |each: &[(u64, u64)]| {
            let mut kills = Kills::default();
            each.iter().map(|(processes, groups)| kills.count(*processes, *groups)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[(0, 0), (3, 1), (3, 1), (5, 2)]), [0, 1, 1, 2]);
        // Read while the kernel is at it: the chosen one first, the group, then each of it.
        assert_eq!(told(&[(0, 0), (1, 0), (1, 1), (2, 1), (3, 1)]), [0, 1, 1, 1, 1]);
        assert_eq!(told(&[(0, 0), (14, 0), (14, 0), (17, 1)]), [0, 14, 14, 15], "14 were killed alone");
        assert_eq!(told(&[(17, 1)]), [1], "it is read for the first time");
        // Who was killed alone within the last second is taken for the begin, and the count stays.
        assert_eq!(told(&[(2, 0), (2, 0), (5, 0), (8, 1), (10, 2)]), [2, 2, 5, 5, 5]);
        // Killed alone after a group, as soon as a reading has found that the group is over.
        assert_eq!(told(&[(3, 1), (3, 1), (4, 1), (6, 1), (6, 1)]), [1, 1, 2, 4, 4]);
        assert_eq!(told(&[(3, 1), (5, 1), (5, 1), (6, 1), (9, 2), (9, 2), (10, 2)]), [1, 1, 1, 2, 2, 2, 3]);
        // The file is written between two of its lines.
        assert_eq!(told(&[(0, 0), (0, 1), (3, 1), (3, 1)]), [0, 1, 1, 1]);
        let events = "max 7\noom 1\noom_kill 3\noom_group_kill 1\n";
        let files = [("cpu.stat", "usage_usec 1\n"), ("memory.events", events)];
        let found = read(|root| Hierarchy::V2(root.to_path_buf()), &files);
        assert_eq!((found.oom_kills, found.memory_failures), (1, 7));
    }

    #[test]
    fn a_limit_of_all_pods_is_no_limit_of_a_container_on_version_1() {
        let limit = |own: &str| {
            let files = [
                ("cpuacct.usage", "812000\n"),
                ("memory.stat", "cache 0\nhierarchical_memory_limit 16777216000\ntotal_rss 4096\n"),
                ("memory.limit_in_bytes", own),
            ];
            let controllers = ["cpu", "cpuacct", "memory", "blkio", "pids"];
            let folders =
                |root: &Path| BTreeMap::from(controllers.map(|name| (name.to_owned(), root.to_path_buf())));
            let found = read(|root| Hierarchy::V1(folders(root)), &files);
            assert_eq!((found.cpu_usage_nanos, found.memory_rss_bytes), (812_000, 4096));
            found.memory_limit_bytes
        };
        assert_eq!(limit("67108864\n"), 67_108_864);
        assert_eq!(limit("9223372036854771712\n"), 0);
    }
}
