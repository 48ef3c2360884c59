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
    gauge("filesystem_used_bytes", "bytes used on its file systems", |usage| usage.filesystem_used_bytes),
    gauge("processes", "processes", |usage| usage.processes),
];

impl Figure {
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
