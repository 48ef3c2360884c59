//! The way back: which figures the series of a node tell, so that tables can be put together of
//! them when memory has forgotten.
//!
//! What [`cadvisor`](tiphys_api::cadvisor) leaves out because it is zero is zero here again. A figure that
//! stands in no line here has no usual name, and is null.

use tiphys_api::cadvisor::list::LEAST_SHARES;

use crate::{
    memory::{Level, SeriesKey, key},
    series::{Labels, MatchOp, Matcher},
    tables::joined::Several,
};

use super::{CADVISOR, KUBELET};

/// Series that every object has, as long as it is there.
pub const ANCHOR: &str = "container_cpu_usage_seconds_total";
/// The same of a claim.
pub const ANCHOR_OF_CLAIMS: &str = "kubelet_volume_stats_used_bytes";
/// The same of a disk of a machine.
pub const ANCHOR_OF_DISKS: &str = "node_disk_read_bytes_total";
/// Labels in which the series of one object differ.
pub const APART: [&str; 3] = ["cpu", "interface", SEVERAL.label];
/// An object has a series of each disk.
pub const SEVERAL: Several = Several { label: "device", names: &DISK_USAGE };

/// What it means that a series isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nothing is known.
    Unknown,
    /// It is only told when it isn't zero.
    Zero,
    /// It is never told of a container, where it is zero.
    ZeroOfContainers,
}

impl Absent {
    pub fn is_zero(self, level: Level) -> bool {
        match self {
            Self::Unknown => false,
            Self::Zero => true,
            Self::ZeroOfContainers => level == Level::Container,
        }
    }
}

/// How a figure is found again.
pub struct Back {
    /// Its column.
    pub figure: &'static str,
    pub names: &'static [&'static str],
    pub absent: Absent,
    /// Of the values of these names; one that isn't there is NaN, and so is what it makes.
    pub value: fn(&[f64]) -> f64,
}

const fn same(figure: &'static str, names: &'static [&'static str], absent: Absent) -> Back {
    Back { figure, names, absent, value: |values| values.iter().sum() }
}

/// Nanoseconds of seconds.
const fn nanos(figure: &'static str, names: &'static [&'static str], absent: Absent) -> Back {
    Back { figure, names, absent, value: |values| values.iter().sum::<f64>() * 1e9 }
}

use Absent::{Unknown, Zero, ZeroOfContainers};

const DISK_USAGE: [&str; 4] = [
    "container_fs_reads_bytes_total",
    "container_fs_writes_bytes_total",
    "container_fs_reads_total",
    "container_fs_writes_total",
];

/// All figures that are kept.
pub static FIGURES: &[Back] = &[
    nanos("cpu_usage_nanos_total", &[ANCHOR], Unknown),
    nanos("cpu_user_nanos_total", &["container_cpu_user_seconds_total"], Unknown),
    nanos("cpu_system_nanos_total", &["container_cpu_system_seconds_total"], Unknown),
    nanos("cpu_throttled_nanos_total", &["container_cpu_cfs_throttled_seconds_total"], Zero),
    same("cpu_periods_total", &["container_cpu_cfs_periods_total"], Zero),
    same("cpu_throttled_periods_total", &["container_cpu_cfs_throttled_periods_total"], Zero),
    same("memory_usage_bytes", &["container_memory_usage_bytes"], Unknown),
    same("memory_working_set_bytes", &["container_memory_working_set_bytes"], Unknown),
    same("memory_rss_bytes", &["container_memory_rss"], Unknown),
    same("memory_cache_bytes", &["container_memory_cache"], Unknown),
    same("memory_swap_bytes", &["container_memory_swap"], Unknown),
    same("memory_failures_total", &["container_memory_failcnt"], Unknown),
    same("oom_kills_total", &["container_oom_events_total"], Unknown),
    same("disk_read_bytes_total", &[DISK_USAGE[0]], Zero),
    same("disk_write_bytes_total", &[DISK_USAGE[1]], Zero),
    same("disk_reads_total", &[DISK_USAGE[2]], Zero),
    same("disk_writes_total", &[DISK_USAGE[3]], Zero),
    same("network_receive_bytes_total", &["container_network_receive_bytes_total"], ZeroOfContainers),
    same("network_transmit_bytes_total", &["container_network_transmit_bytes_total"], ZeroOfContainers),
    same("network_receive_packets_total", &["container_network_receive_packets_total"], ZeroOfContainers),
    same("network_transmit_packets_total", &["container_network_transmit_packets_total"], ZeroOfContainers),
    same("network_receive_errors_total", &[RECEIVE_ERRORS], ZeroOfContainers),
    same("network_transmit_errors_total", &[TRANSMIT_ERRORS], ZeroOfContainers),
    same("network_receive_drops_total", &[RECEIVE_DROPS], ZeroOfContainers),
    same("network_transmit_drops_total", &[TRANSMIT_DROPS], ZeroOfContainers),
    same(
        "network_errors_total",
        &[RECEIVE_ERRORS, TRANSMIT_ERRORS, RECEIVE_DROPS, TRANSMIT_DROPS],
        ZeroOfContainers,
    ),
    same("filesystem_used_bytes", &["container_fs_usage_bytes"], Zero),
    same("filesystem_capacity_bytes", &["container_fs_limit_bytes"], Zero),
    same("filesystem_inodes", &["container_fs_inodes_total"], Zero),
    Back {
        figure: "filesystem_inodes_used",
        names: &["container_fs_inodes_total", "container_fs_inodes_free"],
        absent: Unknown,
        value: |values| values[0] - values[1],
    },
    same("processes", &["container_processes"], Unknown),
    same("threads", &["container_threads"], Unknown),
    same("open_files", &["container_file_descriptors"], Zero),
    nanos("cpu_pressure_some_nanos_total", &["container_pressure_cpu_waiting_seconds_total"], Zero),
    nanos("cpu_pressure_full_nanos_total", &["container_pressure_cpu_stalled_seconds_total"], Zero),
    nanos("memory_pressure_some_nanos_total", &["container_pressure_memory_waiting_seconds_total"], Zero),
    nanos("memory_pressure_full_nanos_total", &["container_pressure_memory_stalled_seconds_total"], Zero),
    nanos("io_pressure_some_nanos_total", &["container_pressure_io_waiting_seconds_total"], Zero),
    nanos("io_pressure_full_nanos_total", &["container_pressure_io_stalled_seconds_total"], Zero),
    Back {
        figure: "cpu_request_millicores",
        names: &["container_spec_cpu_shares"],
        absent: Unknown,
        value: |values| match values[0] {
            shares if shares <= LEAST_SHARES as f64 => 0.0,
            shares => (shares * 1000.0 / 1024.0).ceil(),
        },
    },
    Back {
        figure: "cpu_limit_millicores",
        names: &["container_spec_cpu_quota"],
        absent: Zero,
        value: |values| values[0] / 100.0,
    },
    same("memory_request_bytes", &["container_spec_memory_reservation_limit_bytes"], Unknown),
    same("memory_limit_asked_bytes", &["container_spec_memory_limit_bytes"], Unknown),
];

const RECEIVE_ERRORS: &str = "container_network_receive_errors_total";
const TRANSMIT_ERRORS: &str = "container_network_transmit_errors_total";
const RECEIVE_DROPS: &str = "container_network_receive_packets_dropped_total";
const TRANSMIT_DROPS: &str = "container_network_transmit_packets_dropped_total";

/// Whether the series of an object tell a column's figure.
pub fn tells(figure: &str, level: Level) -> bool {
    // Files of a Pod and a container are counted without there being a number they may have.
    FIGURES.iter().any(|back| back.figure == figure)
        && (figure != "filesystem_inodes_used" || level == Level::Node)
}

/// The series that are of objects of a level. Those of nodes have no namespace: whoever may write in
/// one must not tell of them.
pub fn of_level(level: Level) -> Vec<Matcher> {
    let mut matchers: Vec<_> = CADVISOR.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
    match level {
        Level::Node => {
            let own = [("id", "/"), ("namespace", ""), ("pod", "")];
            matchers.extend(own.map(|(name, value)| Matcher::equal(name, value)));
        }
        Level::Pod => {
            matchers.push(Matcher::equal("container", ""));
            matchers.extend(there("pod"));
        }
        Level::Container => matchers.extend(there("container")),
    }
    matchers
}

/// The series that are of claims.
pub fn of_claims() -> Vec<Matcher> {
    let job = KUBELET.iter().map(|(name, value)| Matcher::equal(name, value));
    job.chain(there("persistentvolumeclaim")).collect()
}

/// The series that are of disks of machines. They have no namespace, as those of nodes.
pub fn of_disks() -> Vec<Matcher> {
    let own = [("job", "node-exporter"), ("namespace", ""), ("pod", "")];
    own.map(|(name, value)| Matcher::equal(name, value)).into()
}

fn there(label: &str) -> Option<Matcher> {
    Matcher::new(label, MatchOp::NotEqual, "").ok()
}

/// What a series is of. Absent: somebody else's, by the same name.
pub fn key_of(level: Level, labels: &Labels) -> Option<SeriesKey> {
    let of = |label| labels.get(label).unwrap_or_default();
    let node = node_of(labels)?;
    let uid = || of("id").strip_prefix("/pod");
    Some(match level {
        Level::Node => key(level, ["", "", "", node, ""]),
        Level::Pod => key(level, [of("namespace"), of("pod"), "", node, uid()?]),
        Level::Container => {
            uid()?;
            key(level, [of("namespace"), of("pod"), of("container"), node, of("name")])
        }
    })
}

/// The node that told a series: its address is its name.
pub fn node_of(labels: &Labels) -> Option<&str> {
    labels.get("node").filter(|node| labels.get("instance") == Some(*node))
}
