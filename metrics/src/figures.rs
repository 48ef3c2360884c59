//! Every figure that is kept, in one list: its column, what it counts, where it
//! stands in a sample. Tables, rates and documentation are made from it.

use tiphys_api::samples::Usage;

/// How a figure behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows; its change over time is the `rate` column.
    Counter { rate: &'static str, scale: f64, about: &'static str },
}

/// One figure of [`Usage`].
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// The column, with its unit.
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    pub value: fn(&Usage) -> u64,
}

const fn gauge(name: &'static str, about: &'static str, value: fn(&Usage) -> u64) -> Figure {
    Figure { name, about, kind: Kind::Gauge, value }
}

const fn counter(
    name: &'static str,
    about: &'static str,
    value: fn(&Usage) -> u64,
    rate: &'static str,
    rate_about: &'static str,
) -> Figure {
    Figure { name, about, kind: Kind::Counter { rate, scale: 1.0, about: rate_about }, value }
}

const NANO: f64 = 1e-9;

/// Nanoseconds whose rate is a share, or a number of cores.
const fn seconds(
    name: &'static str,
    about: &'static str,
    value: fn(&Usage) -> u64,
    rate: &'static str,
    rate_about: &'static str,
) -> Figure {
    Figure { name, about, kind: Kind::Counter { rate, scale: NANO, about: rate_about }, value }
}

/// All figures, in the order of their columns.
pub static FIGURES: &[Figure] = &[
    Figure {
        name: "cpu_usage_nanos_total",
        about: "CPU time used since the start, nanoseconds",
        kind: Kind::Counter {
            rate: "cpu_cores",
            scale: NANO,
            about: "CPU use since the sample before, cores",
        },
        value: |usage| usage.cpu_usage_nanos_total,
    },
    Figure {
        name: "cpu_throttled_nanos_total",
        about: "time that a CPU limit held it back, nanoseconds",
        kind: Kind::Counter {
            rate: "cpu_throttled_ratio",
            scale: NANO,
            about: "share of time held back since the sample before",
        },
        value: |usage| usage.cpu_throttled_nanos_total,
    },
    gauge("memory_usage_bytes", "memory with file cache", |usage| usage.memory_usage_bytes),
    gauge("memory_working_set_bytes", "memory without inactive file cache", |usage| {
        usage.memory_working_set_bytes
    }),
    gauge("memory_rss_bytes", "anonymous memory", |usage| usage.memory_rss_bytes),
    counter(
        "disk_read_bytes_total",
        "bytes read from block devices",
        |usage| usage.disk_read_bytes_total,
        "disk_read_bytes_per_second",
        "bytes read a second",
    ),
    counter(
        "disk_write_bytes_total",
        "bytes written to block devices",
        |usage| usage.disk_write_bytes_total,
        "disk_write_bytes_per_second",
        "bytes written a second",
    ),
    counter(
        "disk_reads_total",
        "reads from block devices",
        |usage| usage.disk_reads_total,
        "disk_reads_per_second",
        "reads a second",
    ),
    counter(
        "disk_writes_total",
        "writes to block devices",
        |usage| usage.disk_writes_total,
        "disk_writes_per_second",
        "writes a second",
    ),
    counter(
        "network_receive_bytes_total",
        "bytes received",
        |usage| usage.network_receive_bytes_total,
        "network_receive_bytes_per_second",
        "bytes received a second",
    ),
    counter(
        "network_transmit_bytes_total",
        "bytes sent",
        |usage| usage.network_transmit_bytes_total,
        "network_transmit_bytes_per_second",
        "bytes sent a second",
    ),
    counter(
        "network_receive_packets_total",
        "packets received",
        |usage| usage.network_receive_packets_total,
        "network_receive_packets_per_second",
        "packets received a second",
    ),
    counter(
        "network_transmit_packets_total",
        "packets sent",
        |usage| usage.network_transmit_packets_total,
        "network_transmit_packets_per_second",
        "packets sent a second",
    ),
    counter(
        "network_errors_total",
        "packets in error or dropped",
        |usage| usage.network_errors_total,
        "network_errors_per_second",
        "packets in error or dropped a second",
    ),
    gauge(
        "filesystem_used_bytes",
        "bytes used: of a node its file system, of a container its own layer",
        |usage| usage.filesystem_used_bytes,
    ),
    gauge("processes", "processes", |usage| usage.processes),
    seconds(
        "cpu_user_nanos_total",
        "CPU time used by programs, nanoseconds",
        |usage| usage.cpu_user_nanos_total,
        "cpu_user_cores",
        "CPU use by programs, cores",
    ),
    seconds(
        "cpu_system_nanos_total",
        "CPU time used by the kernel, nanoseconds",
        |usage| usage.cpu_system_nanos_total,
        "cpu_system_cores",
        "CPU use by the kernel, cores",
    ),
    counter(
        "cpu_periods_total",
        "periods of a CPU limit",
        |usage| usage.cpu_periods_total,
        "cpu_periods_per_second",
        "periods of a CPU limit a second",
    ),
    counter(
        "cpu_throttled_periods_total",
        "periods in which a CPU limit held it back",
        |usage| usage.cpu_throttled_periods_total,
        "cpu_throttled_periods_per_second",
        "periods a second in which a CPU limit held it back",
    ),
    gauge("memory_cache_bytes", "file cache", |usage| usage.memory_cache_bytes),
    gauge("memory_swap_bytes", "memory swapped out", |usage| usage.memory_swap_bytes),
    gauge("memory_limit_bytes", "memory that the kernel allows; 0 without a limit", |usage| {
        usage.memory_limit_bytes
    }),
    counter(
        "memory_failures_total",
        "how often memory ran into its limit",
        |usage| usage.memory_failures_total,
        "memory_failures_per_second",
        "how often a second memory ran into its limit",
    ),
    counter(
        "oom_kills_total",
        "processes killed because memory was used up",
        |usage| usage.oom_kills_total,
        "oom_kills_per_second",
        "processes killed a second because memory was used up",
    ),
    seconds(
        "cpu_pressure_some_nanos_total",
        "time in which some task waited for a CPU, nanoseconds; 0 where the kernel doesn't tell",
        |usage| usage.cpu_pressure_some_nanos_total,
        "cpu_pressure_some",
        "share of time in which some task waited for a CPU",
    ),
    seconds(
        "cpu_pressure_full_nanos_total",
        "time in which all tasks waited for a CPU, nanoseconds",
        |usage| usage.cpu_pressure_full_nanos_total,
        "cpu_pressure_full",
        "share of time in which all tasks waited for a CPU",
    ),
    seconds(
        "memory_pressure_some_nanos_total",
        "time in which some task waited for memory, nanoseconds",
        |usage| usage.memory_pressure_some_nanos_total,
        "memory_pressure_some",
        "share of time in which some task waited for memory",
    ),
    seconds(
        "memory_pressure_full_nanos_total",
        "time in which all tasks waited for memory, nanoseconds",
        |usage| usage.memory_pressure_full_nanos_total,
        "memory_pressure_full",
        "share of time in which all tasks waited for memory",
    ),
    seconds(
        "io_pressure_some_nanos_total",
        "time in which some task waited for a disk, nanoseconds",
        |usage| usage.io_pressure_some_nanos_total,
        "io_pressure_some",
        "share of time in which some task waited for a disk",
    ),
    seconds(
        "io_pressure_full_nanos_total",
        "time in which all tasks waited for a disk, nanoseconds",
        |usage| usage.io_pressure_full_nanos_total,
        "io_pressure_full",
        "share of time in which all tasks waited for a disk",
    ),
    counter(
        "network_receive_errors_total",
        "packets received in error",
        |usage| usage.network_receive_errors_total,
        "network_receive_errors_per_second",
        "packets received in error a second",
    ),
    counter(
        "network_transmit_errors_total",
        "packets in error while they were sent",
        |usage| usage.network_transmit_errors_total,
        "network_transmit_errors_per_second",
        "packets a second in error while they were sent",
    ),
    counter(
        "network_receive_drops_total",
        "packets dropped when they came",
        |usage| usage.network_receive_drops_total,
        "network_receive_drops_per_second",
        "packets dropped a second when they came",
    ),
    counter(
        "network_transmit_drops_total",
        "packets dropped before they were sent",
        |usage| usage.network_transmit_drops_total,
        "network_transmit_drops_per_second",
        "packets dropped a second before they were sent",
    ),
    gauge("threads", "processes and their threads", |usage| usage.threads),
    gauge("open_files", "open files; 0 where the kernel doesn't tell (before Linux 6.2)", |usage| {
        usage.open_files
    }),
    gauge("filesystem_capacity_bytes", "size of its file system; 0 of Pods and containers", |usage| {
        usage.filesystem_capacity_bytes
    }),
    gauge("filesystem_inodes", "files that its file system can have; 0 of Pods and containers", |usage| {
        usage.filesystem_inodes
    }),
    gauge("filesystem_inodes_used", "files and folders", |usage| usage.filesystem_inodes_used),
    gauge("cpu_request_millicores", "CPU asked for in the spec, thousandths of a core", |usage| {
        usage.cpu_request_millicores
    }),
    gauge("cpu_limit_millicores", "CPU limit in the spec, thousandths of a core; 0 without one", |usage| {
        usage.cpu_limit_millicores
    }),
    gauge("memory_request_bytes", "memory asked for in the spec", |usage| usage.memory_request_bytes),
    gauge("memory_limit_asked_bytes", "memory limit in the spec; 0 without one", |usage| {
        usage.memory_limit_asked_bytes
    }),
];

impl Figure {
    /// The column of its rate, where it has one.
    pub fn rate_name(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Counter { rate, .. } => Some(rate),
            Kind::Gauge => None,
        }
    }

    /// The figure whose column, or whose rate's column, is called `name`.
    pub fn named(name: &str) -> Option<&'static Figure> {
        FIGURES.iter().find(|figure| {
            figure.name == name || matches!(figure.kind, Kind::Counter { rate, .. } if rate == name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_found_by_rate_too() {
        let mut names = BTreeSet::new();
        for figure in FIGURES {
            assert!(names.insert(figure.name), "{}", figure.name);
            if let Kind::Counter { rate, .. } = figure.kind {
                assert!(names.insert(rate), "{rate}");
                assert_eq!(Figure::named(rate).map(|found| found.name), Some(figure.name));
            }
        }
    }
}
