//! Which figure of a machine has which name: the one list. Names, units and meaning are those of
//! the kubelet's volumes and of node_exporter; those of cAdvisor, which kubelets tell, too, stand
//! in [`tiphys_api::cadvisor::list`].

use tiphys_api::{
    cadvisor::{self, Kind, Name, counter, gauge, plain, seconds, some},
    samples::{
        DiskSample, FilesystemSample, InterfaceSample, KernelSample, Machine, PressureSample, VolumeSample,
    },
};

use crate::series::{Meta, MetricKind, Store};

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
    gauge("node_memory_Slab_bytes", "Memory that the kernel has for objects of its own", |it| some(it.slab)),
    gauge("node_memory_SwapTotal_bytes", "Swap", |it| plain(it.memory[5])),
    gauge("node_memory_SwapFree_bytes", "Swap that nothing uses", |it| plain(it.memory[6])),
    gauge("node_exporter_build_info", "By it dashboards find machines that are told of", |_| Some(1.0)),
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
    gauge("node_vmstat_pgpgin", "KiB read from disks so far", |it| plain(it.paged_in_kib)),
    gauge("node_vmstat_pgpgout", "KiB written to disks so far", |it| plain(it.paged_out_kib)),
    gauge("node_vmstat_pswpin", "Pages read from swap so far", |it| plain(it.swapped_in)),
    gauge("node_vmstat_pswpout", "Pages written to swap so far", |it| plain(it.swapped_out)),
    gauge("node_filefd_allocated", "Open files", |it| some(it.open_files)),
    gauge("node_filefd_maximum", "Files that may be open at once", |it| some(it.most_open_files)),
    gauge("node_netstat_Tcp_CurrEstab", "TCP connections that are established", |it| {
        plain(it.tcp_established)
    }),
    gauge("node_netstat_Tcp_OutSegs", "TCP segments sent so far", |it| some(it.tcp_sent)),
    gauge("node_netstat_Tcp_RetransSegs", "TCP segments sent again so far", |it| plain(it.tcp_retransmitted)),
    gauge("node_netstat_TcpExt_TCPSynRetrans", "TCP segments that ask to connect, sent again so far", |it| {
        plain(it.tcp_asked_again)
    }),
    gauge("node_nf_conntrack_entries", "Connections that the network knows of", |it| some(it.connections)),
    gauge("node_nf_conntrack_entries_limit", "How many connections those may be", |it| {
        some(it.most_connections)
    }),
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
    counter(
        "node_disk_io_time_weighted_seconds_total",
        "The same, for as many requests as there were",
        |it| seconds(it.weighted_nanos),
    ),
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
    gauge("node_filesystem_readonly", "Whether nothing can be written", |it| plain(u64::from(it.read_only))),
    gauge("node_filesystem_files_free", "Files that it can still have", |it| plain(it.inodes_free)),
];

/// Tells the store what all names mean.
pub fn describe(store: &Store) {
    told(store, cadvisor::list::USAGE);
    told(store, cadvisor::list::DISK_USAGE);
    told(store, cadvisor::list::NETWORK);
    told(store, cadvisor::list::CONTAINER);
    told(store, cadvisor::list::SPEC);
    told(store, cadvisor::list::CAPACITY);
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
        let kind = match name.kind {
            Kind::Counter => MetricKind::Counter,
            Kind::Gauge => MetricKind::Gauge,
        };
        store.describe_own(name.name, Meta { kind, help: name.help.to_owned(), unit: String::new() });
    }
}
