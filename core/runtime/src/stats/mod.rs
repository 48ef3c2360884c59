//! What containers, Pods and the node use, read each second.
//!
//! ```text
//! set_targets(Pods, containers) ──> files opened once ──> read() ──> Snapshot, each second
//! ```
//!
//! Reading a second of 30 containers is a few hundred `pread`s on files that
//! stay open; nothing is listed again. Figures that count never fall while what
//! they count lives.
//!
//! Version 1 of control groups does not know who wrote what the kernel writes
//! back later. There, disk figures are the larger of the group's own counter
//! (direct and synchronous IO) and the sum of its processes' `/proc/PID/io`
//! (buffered IO, counted when a page becomes dirty), see [`disk`].

mod disk;
mod disks;
mod group;
mod machine;
mod network;
mod parse;
mod sampler;
mod stacked;

pub use machine::filesystem;
pub use sampler::{ContainerTarget, PodTarget, Sampler};

use std::collections::HashMap;

/// Major and minor number of a block device.
pub type DiskNumber = (u64, u64);

/// Figures of one group, or of a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub cpu_usage_nanos: u64,
    pub cpu_user_nanos: u64,
    pub cpu_system_nanos: u64,
    pub cpu_throttled_nanos: u64,
    pub cpu_periods: u64,
    pub cpu_throttled_periods: u64,
    pub memory_usage_bytes: u64,
    /// Usage less inactive file cache.
    pub memory_working_set_bytes: u64,
    pub memory_rss_bytes: u64,
    pub memory_cache_bytes: u64,
    pub memory_swap_bytes: u64,
    /// 0 without a limit.
    pub memory_limit_bytes: u64,
    /// How often it ran into its limit; of a container at least how often its Pod's cost it a process.
    pub memory_failures: u64,
    pub oom_kills: u64,
    pub pressure: Pressure,
    pub disk: Disk,
    /// Of a Pod with the one that holds its namespaces, which `threads` and `open_files` count as well.
    pub processes: u64,
    pub threads: u64,
    pub open_files: u64,
}

/// How long tasks waited for what they need; zeros where the kernel doesn't tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    pub cpu: Waits,
    pub memory: Waits,
    pub io: Waits,
}

/// Nanoseconds in which some tasks waited, and in which all did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    pub some_nanos: u64,
    pub full_nanos: u64,
}

/// Counters of IO on block devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disk {
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

impl Disk {
    fn plus(self, other: Self) -> Self {
        Self {
            read_bytes: self.read_bytes + other.read_bytes,
            write_bytes: self.write_bytes + other.write_bytes,
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            read_bytes: self.read_bytes.saturating_sub(other.read_bytes),
            write_bytes: self.write_bytes.saturating_sub(other.write_bytes),
            reads: self.reads.saturating_sub(other.reads),
            writes: self.writes.saturating_sub(other.writes),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            read_bytes: self.read_bytes.max(other.read_bytes),
            write_bytes: self.write_bytes.max(other.write_bytes),
            reads: self.reads.max(other.reads),
            writes: self.writes.max(other.writes),
        }
    }
}

/// Counters of network interfaces, loopback left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Network {
    pub receive_bytes: u64,
    pub transmit_bytes: u64,
    pub receive_packets: u64,
    pub transmit_packets: u64,
    pub receive_errors: u64,
    pub transmit_errors: u64,
    pub receive_drops: u64,
    pub transmit_drops: u64,
}

impl Network {
    fn plus(self, other: Self) -> Self {
        Self {
            receive_bytes: self.receive_bytes + other.receive_bytes,
            transmit_bytes: self.transmit_bytes + other.transmit_bytes,
            receive_packets: self.receive_packets + other.receive_packets,
            transmit_packets: self.transmit_packets + other.transmit_packets,
            receive_errors: self.receive_errors + other.receive_errors,
            transmit_errors: self.transmit_errors + other.transmit_errors,
            receive_drops: self.receive_drops + other.receive_drops,
            transmit_drops: self.transmit_drops + other.transmit_drops,
        }
    }
}

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub network: Network,
}

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    pub name: String,
    pub number: DiskNumber,
    pub disk: Disk,
    pub read_nanos: u64,
    pub write_nanos: u64,
    /// Time in which it had something to do.
    pub busy_nanos: u64,
    /// The same, for as many requests as there were: over time, how many there are.
    pub weighted_nanos: u64,
}

/// Space of a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filesystem {
    pub capacity_bytes: u64,
    pub used_bytes: u64,
    /// To those who are not root.
    pub available_bytes: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

/// Where a file system is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    pub device: String,
    pub point: String,
    pub kind: String,
    pub is_read_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountedFilesystem {
    pub mount: Mount,
    pub space: Filesystem,
}

/// What only a machine has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MachineFigures {
    /// Seconds since the Unix epoch.
    pub boot_time: u64,
    pub load: [f64; 3],
    /// Of each CPU: user, nice, system, idle, iowait, irq, softirq, steal.
    pub cpu_mode_nanos: Vec<[u64; 8]>,
    /// System, release, version, machine.
    pub uname: [String; 4],
    /// Total, free, available, buffers, cached, swap total, swap free.
    pub memory: [u64; 7],
    /// Bytes that the kernel has for objects of its own.
    pub slab: u64,
    pub kernel: KernelFigures,
    pub pressure: Pressure,
    pub disks: Vec<Device>,
    pub interfaces: Vec<Interface>,
    pub filesystems: Vec<MountedFilesystem>,
}

/// What the kernel counts of the whole machine; 0 where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelFigures {
    pub context_switches: u64,
    pub interrupts: u64,
    pub forks: u64,
    pub processes_running: u64,
    pub processes_blocked: u64,
    pub page_faults: u64,
    /// Page faults that had to read from a disk.
    pub major_page_faults: u64,
    /// Files that may be open at once.
    pub most_open_files: u64,
    pub open_files: u64,
    /// Processes killed because memory was used up.
    pub oom_kills: u64,
    /// TCP connections that are established now.
    pub tcp_established: u64,
    /// TCP segments that were sent, and sent again, and those again that ask for a connection.
    pub tcp_sent: u64,
    pub tcp_retransmitted: u64,
    pub tcp_asked_again: u64,
    /// KiB read from disks and written to them.
    pub paged_in_kib: u64,
    pub paged_out_kib: u64,
    /// Pages read from swap and written to it.
    pub swapped_in: u64,
    pub swapped_out: u64,
    /// Connections that the network knows of, and how many those may be.
    pub connections: u64,
    pub most_connections: u64,
}

/// Everything at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub node: Figures,
    pub network: Network,
    pub filesystem: Filesystem,
    pub pods: Vec<PodFigures>,
}

/// What was done on each disk, by the kernel's name of it: the shares in [`Figures::disk`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DiskFigures {
    pub node: Vec<(String, Disk)>,
    /// By the ids of Pods' and containers' targets.
    pub of: HashMap<String, Vec<(String, Disk)>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodFigures {
    /// As given in its [`PodTarget`].
    pub id: String,
    pub figures: Figures,
    pub network: Network,
    /// By the id given in its [`ContainerTarget`]. A container that has ended is left out.
    pub containers: Vec<(String, Figures)>,
}

#[cfg(test)]
mod tests;
