//! What was read, as it travels. Pure.

use std::{collections::HashMap, sync::Arc};

use tiphys_api::samples::{
    Capacity, ContainerSample, DiskSample, DiskUsage, FilesystemSample, InterfaceSample, KernelSample,
    Machine, NodeSamples, PodSample, PressureSample, Usage,
};
use tiphys_runtime::stats::{
    Device, Disk, DiskFigures, Figures, MachineFigures, Network, PodFigures, Snapshot,
};

use super::{asked::AskedOfPods, memory::UsedUp, space::Space};
use crate::{
    KubeletConfig,
    pod::{
        runtime::{Container, State},
        spec,
    },
    workers::PodView,
};

/// All that is known at one moment.
pub(super) struct Moment<'a> {
    pub time: i64,
    /// The clock was set since the moment before.
    pub anew: bool,
    pub config: &'a KubeletConfig,
    pub snapshot: &'a Snapshot,
    pub machine: Option<MachineFigures>,
    /// Empty where the machine isn't told.
    pub disks: DiskFigures,
    pub devices: Vec<Device>,
    pub views: &'a [Arc<PodView>],
    pub space: &'a Space,
}

impl Moment<'_> {
    pub fn samples(&self, asked: &mut AskedOfPods, used_up: &mut UsedUp) -> NodeSamples {
        let Self { config, snapshot, .. } = *self;
        asked.retain(self.views);
        for view in self.views {
            let ended = |container| used_up.ended(spec::uid(&view.pod), container);
            view.runtime.containers.iter().for_each(ended);
        }
        let by_uid: HashMap<_, _> = self.views.iter().map(|view| (spec::uid(&view.pod), view)).collect();
        let with_views = snapshot.pods.iter().filter_map(|pod| Some((pod, by_uid.get(pod.id.as_str())?)));
        let pods: Vec<PodSample> =
            with_views.map(|(pod, view)| self.pod(pod, view, asked, used_up)).collect();
        let mut node = usage(&snapshot.node, &snapshot.network);
        used_up.put_node(|uid| by_uid.contains_key(uid), &mut node);
        let space = snapshot.filesystem;
        node.filesystem_used_bytes = space.used_bytes;
        node.filesystem_capacity_bytes = space.capacity_bytes;
        node.filesystem_inodes = space.inodes;
        node.filesystem_inodes_used = space.inodes.saturating_sub(space.inodes_free);
        let sum = |of: fn(&Usage) -> u64| pods.iter().map(|pod| of(&pod.usage)).sum();
        node.cpu_request_millicores = sum(|usage| usage.cpu_request_millicores);
        node.cpu_limit_millicores = sum(|usage| usage.cpu_limit_millicores);
        node.memory_request_bytes = sum(|usage| usage.memory_request_bytes);
        node.memory_limit_asked_bytes = sum(|usage| usage.memory_limit_asked_bytes);
        NodeSamples {
            time: self.time,
            anew: self.anew,
            node: config.node_name.clone(),
            usage: node,
            capacity: Capacity {
                cpu_cores: config.capacity.cpu_millis as f64 / 1000.0,
                memory_bytes: config.capacity.memory_bytes,
                filesystem_bytes: space.capacity_bytes,
            },
            machine: self.machine.as_ref().map(machine),
            disks: disks(&self.disks.node),
            devices: self.devices.iter().map(device).collect(),
            pods,
        }
    }

    fn pod(
        &self,
        figures: &PodFigures,
        view: &PodView,
        asked: &mut AskedOfPods,
        used_up: &mut UsedUp,
    ) -> PodSample {
        let mut of_pod = usage(&figures.figures, &figures.network);
        asked.put(&view.pod, None, &mut of_pod);
        let mut containers = Vec::with_capacity(figures.containers.len());
        for (id, figures) in &figures.containers {
            let Some(container) = view.runtime.containers.iter().find(|container| container.id == *id) else {
                continue;
            };
            let mut usage = usage(figures, &Network::default());
            used_up.told(spec::uid(&view.pod), id, &usage);
            asked.put(&view.pod, Some(&container.name), &mut usage);
            if let Some(layer) = self.space.layers.get(id) {
                usage.filesystem_used_bytes = layer.bytes;
                usage.filesystem_inodes_used = layer.inodes;
                of_pod.filesystem_used_bytes += layer.bytes;
                of_pod.filesystem_inodes_used += layer.inodes;
            }
            containers.push(ContainerSample {
                container: container.name.clone(),
                container_id: id.clone(),
                started_at: started_at(container),
                image: if self.machine.is_some() { container.image.clone() } else { String::new() },
                usage,
                disks: self.disks_of(id),
            });
        }
        used_up.put_pod(&figures.id, &mut of_pod);
        PodSample {
            namespace: spec::namespace(&view.pod).to_owned(),
            pod: spec::name(&view.pod).to_owned(),
            uid: figures.id.clone(),
            usage: of_pod,
            containers,
            volumes: self.space.volumes.get(&figures.id).cloned().unwrap_or_default(),
            disks: self.disks_of(&figures.id),
        }
    }

    fn disks_of(&self, id: &str) -> Vec<DiskUsage> {
        self.disks.of.get(id).map(|each| disks(each)).unwrap_or_default()
    }
}

fn disks(each: &[(String, Disk)]) -> Vec<DiskUsage> {
    let told = |(device, disk): &(String, Disk)| DiskUsage {
        device: device.clone(),
        read_bytes: disk.read_bytes,
        write_bytes: disk.write_bytes,
        reads: disk.reads,
        writes: disk.writes,
    };
    each.iter().map(told).collect()
}

fn device(device: &Device) -> DiskSample {
    DiskSample {
        device: device.name.clone(),
        read_bytes: device.disk.read_bytes,
        write_bytes: device.disk.write_bytes,
        reads: device.disk.reads,
        writes: device.disk.writes,
        read_nanos: device.read_nanos,
        write_nanos: device.write_nanos,
        busy_nanos: device.busy_nanos,
        weighted_nanos: device.weighted_nanos,
    }
}

fn started_at(container: &Container) -> i64 {
    match &container.state {
        State::Running { started_at, .. } => started_at.as_microsecond(),
        _ => container.created_at / 1000,
    }
}

fn usage(figures: &Figures, network: &Network) -> Usage {
    let pressure = &figures.pressure;
    Usage {
        cpu_usage_nanos_total: figures.cpu_usage_nanos,
        cpu_user_nanos_total: figures.cpu_user_nanos,
        cpu_system_nanos_total: figures.cpu_system_nanos,
        cpu_throttled_nanos_total: figures.cpu_throttled_nanos,
        cpu_periods_total: figures.cpu_periods,
        cpu_throttled_periods_total: figures.cpu_throttled_periods,
        memory_usage_bytes: figures.memory_usage_bytes,
        memory_working_set_bytes: figures.memory_working_set_bytes,
        memory_rss_bytes: figures.memory_rss_bytes,
        memory_cache_bytes: figures.memory_cache_bytes,
        memory_swap_bytes: figures.memory_swap_bytes,
        memory_limit_bytes: figures.memory_limit_bytes,
        memory_failures_total: figures.memory_failures,
        oom_kills_total: figures.oom_kills,
        cpu_pressure_some_nanos_total: pressure.cpu.some_nanos,
        cpu_pressure_full_nanos_total: pressure.cpu.full_nanos,
        memory_pressure_some_nanos_total: pressure.memory.some_nanos,
        memory_pressure_full_nanos_total: pressure.memory.full_nanos,
        io_pressure_some_nanos_total: pressure.io.some_nanos,
        io_pressure_full_nanos_total: pressure.io.full_nanos,
        disk_read_bytes_total: figures.disk.read_bytes,
        disk_write_bytes_total: figures.disk.write_bytes,
        disk_reads_total: figures.disk.reads,
        disk_writes_total: figures.disk.writes,
        network_receive_bytes_total: network.receive_bytes,
        network_transmit_bytes_total: network.transmit_bytes,
        network_receive_packets_total: network.receive_packets,
        network_transmit_packets_total: network.transmit_packets,
        network_errors_total: network.receive_errors
            + network.transmit_errors
            + network.receive_drops
            + network.transmit_drops,
        network_receive_errors_total: network.receive_errors,
        network_transmit_errors_total: network.transmit_errors,
        network_receive_drops_total: network.receive_drops,
        network_transmit_drops_total: network.transmit_drops,
        processes: figures.processes,
        threads: figures.threads,
        open_files: figures.open_files,
        ..Usage::default()
    }
}

fn machine(figures: &MachineFigures) -> Machine {
    let MachineFigures {
        boot_time,
        load,
        cpu_mode_nanos,
        uname,
        memory,
        slab,
        kernel,
        pressure,
        disks,
        interfaces,
        filesystems,
    } = figures.clone();
    let interface = |one: tiphys_runtime::stats::Interface| InterfaceSample {
        device: one.name,
        receive_bytes: one.network.receive_bytes,
        receive_packets: one.network.receive_packets,
        receive_errors: one.network.receive_errors,
        receive_drops: one.network.receive_drops,
        transmit_bytes: one.network.transmit_bytes,
        transmit_packets: one.network.transmit_packets,
        transmit_errors: one.network.transmit_errors,
        transmit_drops: one.network.transmit_drops,
    };
    let filesystem = |one: tiphys_runtime::stats::MountedFilesystem| FilesystemSample {
        device: one.mount.device,
        mount_point: one.mount.point,
        kind: one.mount.kind,
        read_only: one.mount.is_read_only,
        size_bytes: one.space.capacity_bytes,
        free_bytes: one.space.capacity_bytes.saturating_sub(one.space.used_bytes),
        available_bytes: one.space.available_bytes,
        inodes: one.space.inodes,
        inodes_free: one.space.inodes_free,
    };
    Machine {
        boot_time,
        load,
        cpu_mode_nanos,
        uname,
        memory,
        slab,
        kernel: KernelSample {
            context_switches: kernel.context_switches,
            interrupts: kernel.interrupts,
            forks: kernel.forks,
            processes_running: kernel.processes_running,
            processes_blocked: kernel.processes_blocked,
            page_faults: kernel.page_faults,
            major_page_faults: kernel.major_page_faults,
            most_open_files: kernel.most_open_files,
            open_files: kernel.open_files,
            oom_kills: kernel.oom_kills,
            tcp_established: kernel.tcp_established,
            tcp_sent: kernel.tcp_sent,
            tcp_retransmitted: kernel.tcp_retransmitted,
            tcp_asked_again: kernel.tcp_asked_again,
            paged_in_kib: kernel.paged_in_kib,
            paged_out_kib: kernel.paged_out_kib,
            swapped_in: kernel.swapped_in,
            swapped_out: kernel.swapped_out,
            connections: kernel.connections,
            most_connections: kernel.most_connections,
        },
        pressure: PressureSample {
            cpu_some_nanos: pressure.cpu.some_nanos,
            memory_some_nanos: pressure.memory.some_nanos,
            memory_full_nanos: pressure.memory.full_nanos,
            io_some_nanos: pressure.io.some_nanos,
            io_full_nanos: pressure.io.full_nanos,
        },
        disks: disks.iter().map(device).collect(),
        interfaces: interfaces.into_iter().map(interface).collect(),
        filesystems: filesystems.into_iter().map(filesystem).collect(),
    }
}
