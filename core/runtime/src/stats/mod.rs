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
mod group;
mod machine;
mod network;
mod parse;
mod sampler;

pub use sampler::{ContainerTarget, PodTarget, Sampler};

/// Figures of one group, or of a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub cpu_usage_nanos: u64,
    pub cpu_throttled_nanos: u64,
    pub memory_usage_bytes: u64,
    /// Usage less inactive file cache.
    pub memory_working_set_bytes: u64,
    pub memory_rss_bytes: u64,
    pub disk: Disk,
    pub processes: u64,
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
    pub errors: u64,
}

/// Space of a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filesystem {
    pub capacity_bytes: u64,
    pub used_bytes: u64,
}

/// Everything at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub node: Figures,
    pub network: Network,
    pub filesystem: Filesystem,
    pub pods: Vec<PodFigures>,
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
