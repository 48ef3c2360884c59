//! Which figure of a node, a Pod or a container has which name: the one list. Names, units and
//! meaning are those of cAdvisor (`/metrics/cadvisor` of a kubelet).

use super::{Kind, NANO, Name, counter, gauge, plain, seconds, some};
use crate::samples::{Capacity, ContainerSample, DiskUsage, Usage};

/// What the kernel gives who asks for nothing.
pub const LEAST_SHARES: u64 = 2;

/// Of a container, a Pod and the whole node, on one disk.
pub static DISK_USAGE: &[Name<DiskUsage>] = &[
    counter("container_fs_reads_bytes_total", "Bytes read from block devices", |it| plain(it.read_bytes)),
    counter("container_fs_writes_bytes_total", "Bytes written to block devices", |it| plain(it.write_bytes)),
    counter("container_fs_reads_total", "Reads from block devices", |it| plain(it.reads)),
    counter("container_fs_writes_total", "Writes to block devices", |it| plain(it.writes)),
];

/// Of a container, a Pod and the whole node.
pub static USAGE: &[Name<Usage>] = &[
    Name {
        name: "container_cpu_usage_seconds_total",
        kind: Kind::Counter,
        help: "CPU time used",
        labels: &[("cpu", "total")],
        value: |it| seconds(it.cpu_usage_nanos_total),
    },
    counter("container_cpu_user_seconds_total", "CPU time used by programs", |it| {
        seconds(it.cpu_user_nanos_total)
    }),
    counter("container_cpu_system_seconds_total", "CPU time used by the kernel", |it| {
        seconds(it.cpu_system_nanos_total)
    }),
    counter("container_cpu_cfs_periods_total", "Periods of the CPU limit", |it| some(it.cpu_periods_total)),
    counter(
        "container_cpu_cfs_throttled_periods_total",
        "Periods in which the CPU limit held it back",
        |it| some(it.cpu_periods_total).and(plain(it.cpu_throttled_periods_total)),
    ),
    counter("container_cpu_cfs_throttled_seconds_total", "Time in which the CPU limit held it back", |it| {
        some(it.cpu_periods_total).and(seconds(it.cpu_throttled_nanos_total))
    }),
    gauge("container_memory_usage_bytes", "Memory with file cache", |it| plain(it.memory_usage_bytes)),
    gauge("container_memory_working_set_bytes", "Memory without inactive file cache", |it| {
        plain(it.memory_working_set_bytes)
    }),
    gauge("container_memory_rss", "Anonymous memory, bytes", |it| plain(it.memory_rss_bytes)),
    gauge("container_memory_cache", "File cache, bytes", |it| plain(it.memory_cache_bytes)),
    gauge("container_memory_swap", "Memory swapped out, bytes", |it| plain(it.memory_swap_bytes)),
    counter("container_memory_failcnt", "How often memory ran into its limit", |it| {
        plain(it.memory_failures_total)
    }),
    counter("container_oom_events_total", "Processes killed because memory was used up", |it| {
        plain(it.oom_kills_total)
    }),
    gauge("container_fs_usage_bytes", "Bytes used on its file system", |it| some(it.filesystem_used_bytes)),
    gauge("container_fs_limit_bytes", "Size of its file system", |it| some(it.filesystem_capacity_bytes)),
    gauge("container_fs_inodes_total", "Files that its file system can have", |it| {
        some(it.filesystem_inodes)
    }),
    gauge("container_fs_inodes_free", "Files that its file system can still have", |it| {
        some(it.filesystem_inodes).and(plain(it.filesystem_inodes.saturating_sub(it.filesystem_inodes_used)))
    }),
    gauge("container_processes", "Processes", |it| plain(it.processes)),
    gauge("container_threads", "Processes and their threads", |it| plain(it.threads)),
    gauge("container_file_descriptors", "Open files", |it| some(it.open_files)),
    counter(
        "container_pressure_cpu_waiting_seconds_total",
        "Time in which some task waited for a CPU",
        |it| some(it.cpu_pressure_some_nanos_total).map(|nanos| nanos * NANO),
    ),
    counter(
        "container_pressure_cpu_stalled_seconds_total",
        "Time in which all tasks waited for a CPU",
        |it| some(it.cpu_pressure_full_nanos_total).map(|nanos| nanos * NANO),
    ),
    counter(
        "container_pressure_memory_waiting_seconds_total",
        "Time in which some task waited for memory",
        |it| some(it.memory_pressure_some_nanos_total).map(|nanos| nanos * NANO),
    ),
    counter(
        "container_pressure_memory_stalled_seconds_total",
        "Time in which all tasks waited for memory",
        |it| some(it.memory_pressure_full_nanos_total).map(|nanos| nanos * NANO),
    ),
    counter("container_pressure_io_waiting_seconds_total", "Time in which some task waited for IO", |it| {
        some(it.io_pressure_some_nanos_total).map(|nanos| nanos * NANO)
    }),
    counter("container_pressure_io_stalled_seconds_total", "Time in which all tasks waited for IO", |it| {
        some(it.io_pressure_full_nanos_total).map(|nanos| nanos * NANO)
    }),
];

/// Of a Pod, and of a node's interface of the default route.
pub static NETWORK: &[Name<Usage>] = &[
    counter("container_network_receive_bytes_total", "Bytes received", |it| {
        plain(it.network_receive_bytes_total)
    }),
    counter("container_network_receive_packets_total", "Packets received", |it| {
        plain(it.network_receive_packets_total)
    }),
    counter("container_network_receive_errors_total", "Packets received in error", |it| {
        plain(it.network_receive_errors_total)
    }),
    counter("container_network_receive_packets_dropped_total", "Packets dropped when they came", |it| {
        plain(it.network_receive_drops_total)
    }),
    counter("container_network_transmit_bytes_total", "Bytes sent", |it| {
        plain(it.network_transmit_bytes_total)
    }),
    counter("container_network_transmit_packets_total", "Packets sent", |it| {
        plain(it.network_transmit_packets_total)
    }),
    counter("container_network_transmit_errors_total", "Packets in error while they were sent", |it| {
        plain(it.network_transmit_errors_total)
    }),
    counter(
        "container_network_transmit_packets_dropped_total",
        "Packets dropped before they were sent",
        |it| plain(it.network_transmit_drops_total),
    ),
];

/// Of a container alone.
pub static CONTAINER: &[Name<ContainerSample>] =
    &[gauge("container_start_time_seconds", "When it was started, since the Unix epoch", |it| {
        Some(it.started_at as f64 / 1e6)
    })];

/// What a container, a Pod and all of a node's together ask for and are held to.
pub static SPEC: &[Name<Usage>] = &[
    gauge("container_spec_memory_limit_bytes", "Its memory limit; 0 without one", |it| {
        plain(it.memory_limit_asked_bytes)
    }),
    gauge("container_spec_memory_reservation_limit_bytes", "Memory that it asks for", |it| {
        plain(it.memory_request_bytes)
    }),
    gauge(
        "container_spec_cpu_shares",
        "Its share of CPUs: 1024 for each that it asks for, at least 2",
        |it| Some((it.cpu_request_millicores * 1024 / 1000).max(LEAST_SHARES) as f64),
    ),
    gauge("container_spec_cpu_period", "The period of its CPU limit, microseconds", |it| {
        some(it.cpu_limit_millicores).map(|_| 100_000.0)
    }),
    gauge("container_spec_cpu_quota", "CPU time a period, microseconds", |it| {
        some(it.cpu_limit_millicores).map(|millis| millis * 100.0)
    }),
];

/// Of the node.
pub static CAPACITY: &[Name<Capacity>] = &[
    gauge("machine_cpu_cores", "CPUs", |it| Some(it.cpu_cores)),
    gauge("machine_memory_bytes", "Memory", |it| plain(it.memory_bytes)),
];
