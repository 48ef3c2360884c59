//! Which figure has which name: the one list. Names, units and meaning are those of cAdvisor
//! (`/metrics/cadvisor` of a kubelet), of the kubelet's volumes, and of node_exporter.

use tiphys_api::samples::{
    Capacity, ContainerSample, DiskSample, DiskUsage, FilesystemSample, InterfaceSample, KernelSample,
    Machine, PressureSample, Usage, VolumeSample,
};

use crate::{
    live::Name,
    series::{Meta, MetricKind, Store},
};

const NANO: f64 = 1e-9;
/// What the kernel gives who asks for nothing.
pub const LEAST_SHARES: u64 = 2;

const fn gauge<V>(name: &'static str, help: &'static str, value: fn(&V) -> Option<f64>) -> Name<V> {
    Name { name, kind: MetricKind::Gauge, help, labels: &[], value }
}

const fn counter<V>(name: &'static str, help: &'static str, value: fn(&V) -> Option<f64>) -> Name<V> {
    Name { name, kind: MetricKind::Counter, help, labels: &[], value }
}

/// Seconds of nanoseconds.
fn seconds(nanos: u64) -> Option<f64> {
    Some(nanos as f64 * NANO)
}

fn plain(value: u64) -> Option<f64> {
    Some(value as f64)
}

/// What is there when it isn't zero.
fn some(value: u64) -> Option<f64> {
    (value > 0).then_some(value as f64)
}

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
        kind: MetricKind::Counter,
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

/// Of a claim that a Pod uses.
pub static VOLUME: &[Name<VolumeSample>] = &[
    gauge("kubelet_volume_stats_capacity_bytes", "Size of the volume", |it| plain(it.capacity_bytes)),
    gauge("kubelet_volume_stats_available_bytes", "Bytes that can still be written", |it| {
        plain(it.available_bytes)
    }),
    gauge("kubelet_volume_stats_used_bytes", "Bytes used", |it| plain(it.used_bytes)),
    gauge("kubelet_volume_stats_inodes", "Files that the volume can have", |it| plain(it.inodes)),
    gauge("kubelet_volume_stats_inodes_free", "Files that it can still have", |it| plain(it.inodes_free)),
    gauge("kubelet_volume_stats_inodes_used", "Files in it", |it| plain(it.inodes_used)),
];

/// Of a machine.
pub static MACHINE: &[Name<Machine>] = &[
    gauge("node_boot_time_seconds", "When it was started, since the Unix epoch", |it| some(it.boot_time)),
    gauge("node_load1", "Load over one minute", |it| Some(it.load[0])),
    gauge("node_load5", "Load over five minutes", |it| Some(it.load[1])),
    gauge("node_load15", "Load over fifteen minutes", |it| Some(it.load[2])),
    gauge("node_memory_MemTotal_bytes", "Memory", |it| plain(it.memory[0])),
    gauge("node_memory_MemFree_bytes", "Memory that nothing uses", |it| plain(it.memory[1])),
    gauge("node_memory_MemAvailable_bytes", "Memory that can be had", |it| plain(it.memory[2])),
    gauge("node_memory_Buffers_bytes", "Memory for blocks of devices", |it| plain(it.memory[3])),
    gauge("node_memory_Cached_bytes", "Memory for files", |it| plain(it.memory[4])),
    gauge("node_memory_SwapTotal_bytes", "Swap", |it| plain(it.memory[5])),
    gauge("node_memory_SwapFree_bytes", "Swap that nothing uses", |it| plain(it.memory[6])),
];

/// Of a machine's kernel; what it does not say is 0.
pub static KERNEL: &[Name<KernelSample>] = &[
    counter("node_context_switches_total", "Changes from one task to another", |it| {
        some(it.context_switches)
    }),
    counter("node_intr_total", "Interrupts", |it| some(it.interrupts)),
    counter("node_forks_total", "Processes and threads that were begun", |it| some(it.forks)),
    gauge("node_procs_running", "Tasks that can run", |it| plain(it.processes_running)),
    gauge("node_procs_blocked", "Tasks that wait for IO", |it| plain(it.processes_blocked)),
    gauge("node_vmstat_pgfault", "Page faults so far", |it| some(it.page_faults)),
    gauge("node_vmstat_pgmajfault", "Page faults so far that had to read from a disk", |it| {
        plain(it.major_page_faults)
    }),
    gauge("node_vmstat_oom_kill", "Processes killed so far because memory was used up", |it| {
        plain(it.oom_kills)
    }),
    gauge("node_filefd_allocated", "Open files", |it| some(it.open_files)),
    gauge("node_filefd_maximum", "Files that may be open at once", |it| some(it.most_open_files)),
    gauge("node_netstat_Tcp_CurrEstab", "TCP connections that are established", |it| {
        plain(it.tcp_established)
    }),
    gauge("node_netstat_Tcp_RetransSegs", "TCP segments sent again so far", |it| plain(it.tcp_retransmitted)),
];

/// When it was looked, milliseconds since the Unix epoch.
pub static CLOCK: &[Name<i64>] =
    &[gauge("node_time_seconds", "The time of the machine, since the Unix epoch", |time| {
        Some(*time as f64 / 1000.0)
    })];

/// Of a machine's tasks.
pub static PRESSURE: &[Name<PressureSample>] = &[
    counter("node_pressure_cpu_waiting_seconds_total", "Time in which some task waited for a CPU", |it| {
        seconds(it.cpu_some_nanos)
    }),
    counter(
        "node_pressure_memory_waiting_seconds_total",
        "Time in which some task waited for memory",
        |it| seconds(it.memory_some_nanos),
    ),
    counter(
        "node_pressure_memory_stalled_seconds_total",
        "Time in which all tasks waited for memory",
        |it| seconds(it.memory_full_nanos),
    ),
    counter("node_pressure_io_waiting_seconds_total", "Time in which some task waited for IO", |it| {
        seconds(it.io_some_nanos)
    }),
    counter("node_pressure_io_stalled_seconds_total", "Time in which all tasks waited for IO", |it| {
        seconds(it.io_full_nanos)
    }),
];

/// Which kernel runs.
pub static UNAME: &[Name<Machine>] = &[gauge("node_uname_info", "The kernel", |_| Some(1.0))];

/// Of a CPU and mode.
pub static CPU_MODE: &[Name<u64>] =
    &[counter("node_cpu_seconds_total", "Time of each CPU in each mode", |nanos| seconds(*nanos))];

pub static DISK: &[Name<DiskSample>] = &[
    counter("node_disk_read_bytes_total", "Bytes read", |it| plain(it.read_bytes)),
    counter("node_disk_written_bytes_total", "Bytes written", |it| plain(it.write_bytes)),
    counter("node_disk_reads_completed_total", "Reads", |it| plain(it.reads)),
    counter("node_disk_writes_completed_total", "Writes", |it| plain(it.writes)),
    counter("node_disk_read_time_seconds_total", "Time that reads took", |it| seconds(it.read_nanos)),
    counter("node_disk_write_time_seconds_total", "Time that writes took", |it| seconds(it.write_nanos)),
    counter("node_disk_io_time_seconds_total", "Time in which it had something to do", |it| {
        seconds(it.busy_nanos)
    }),
];

pub static INTERFACE: &[Name<InterfaceSample>] = &[
    counter("node_network_receive_bytes_total", "Bytes received", |it| plain(it.receive_bytes)),
    counter("node_network_receive_packets_total", "Packets received", |it| plain(it.receive_packets)),
    counter("node_network_receive_errs_total", "Packets received in error", |it| plain(it.receive_errors)),
    counter("node_network_receive_drop_total", "Packets dropped when they came", |it| {
        plain(it.receive_drops)
    }),
    counter("node_network_transmit_bytes_total", "Bytes sent", |it| plain(it.transmit_bytes)),
    counter("node_network_transmit_packets_total", "Packets sent", |it| plain(it.transmit_packets)),
    counter("node_network_transmit_errs_total", "Packets in error while they were sent", |it| {
        plain(it.transmit_errors)
    }),
    counter("node_network_transmit_drop_total", "Packets dropped before they were sent", |it| {
        plain(it.transmit_drops)
    }),
];

pub static FILESYSTEM: &[Name<FilesystemSample>] = &[
    gauge("node_filesystem_size_bytes", "Size", |it| plain(it.size_bytes)),
    gauge("node_filesystem_free_bytes", "Bytes free, also for root alone", |it| plain(it.free_bytes)),
    gauge("node_filesystem_avail_bytes", "Bytes free for all", |it| plain(it.available_bytes)),
    gauge("node_filesystem_files", "Files that it can have", |it| plain(it.inodes)),
    gauge("node_filesystem_files_free", "Files that it can still have", |it| plain(it.inodes_free)),
];

/// Tells the store what all names mean.
pub fn describe(store: &Store) {
    told(store, USAGE);
    told(store, DISK_USAGE);
    told(store, NETWORK);
    told(store, CONTAINER);
    told(store, SPEC);
    told(store, CAPACITY);
    told(store, VOLUME);
    told(store, MACHINE);
    told(store, KERNEL);
    told(store, CLOCK);
    told(store, PRESSURE);
    told(store, UNAME);
    told(store, CPU_MODE);
    told(store, DISK);
    told(store, INTERFACE);
    told(store, FILESYSTEM);
}

fn told<V>(store: &Store, names: &[Name<V>]) {
    for name in names {
        let (kind, help) = (name.kind, name.help.to_owned());
        store.describe(name.name, Meta { kind, help, unit: String::new() });
    }
}
