//! The node itself: a whole machine, or the group that is its share of one.

use std::{fs, path::Path};

use super::{Figures, Filesystem, group::Group, parse};
use crate::cgroup::Hierarchy;

/// Where the node's figures come from.
pub(super) enum Machine {
    Whole,
    Share(Box<Group>),
}

impl Machine {
    /// `group` is the node's share; `/` or nothing is the whole machine.
    pub(super) fn open(hierarchy: &Hierarchy, group: &str) -> Self {
        let group = group.trim_matches('/');
        let share = if group.is_empty() { None } else { Group::open(hierarchy, group, false) };
        share.map_or(Self::Whole, |share| Self::Share(Box::new(share)))
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Figures {
        match self {
            Self::Share(group) => group.read(buffer).unwrap_or_default(),
            Self::Whole => whole(),
        }
    }
}

fn whole() -> Figures {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, memory, disks) = (read("/proc/stat"), read("/proc/meminfo"), read("/proc/diskstats"));
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let ticks = u64::try_from(ticks).unwrap_or(100).max(1);
    let total = parse::meminfo(&memory, "MemTotal");
    let is_disk = |name: &str| Path::new("/sys/block").join(name).exists();
    Figures {
        cpu_usage_nanos: parse::cpu_ticks(&stat) * (1_000_000_000 / ticks),
        cpu_throttled_nanos: 0,
        memory_usage_bytes: total.saturating_sub(parse::meminfo(&memory, "MemFree")),
        memory_working_set_bytes: total.saturating_sub(parse::meminfo(&memory, "MemAvailable")),
        memory_rss_bytes: parse::meminfo(&memory, "AnonPages"),
        disk: parse::diskstats(&disks, is_disk),
        processes: processes(&read("/proc/loadavg")),
    }
}

/// `0.1 0.2 0.3 1/234 5678`: the figure behind the slash.
fn processes(loadavg: &str) -> u64 {
    let word = loadavg.split_whitespace().nth(3).and_then(|word| word.split_once('/'));
    word.map_or(0, |(_, total)| parse::number(total))
}

/// The file system that holds this path.
pub(super) fn filesystem(path: &Path) -> Filesystem {
    let Ok(stat) = nix::sys::statvfs::statvfs(path) else { return Filesystem::default() };
    let unit = stat.fragment_size();
    Filesystem {
        capacity_bytes: stat.blocks() * unit,
        used_bytes: stat.blocks().saturating_sub(stat.blocks_free()) * unit,
    }
}
