//! What a node says is found under the names that others give it, at the times of the grid.

use std::{collections::BTreeSet, time::Duration};

use tiphys_api::{
    cadvisor::list as of_cadvisor,
    samples::{
        Capacity, ContainerSample, DiskSample, DiskUsage, FilesystemSample, KernelSample, Machine, PodSample,
        PressureSample, Usage,
    },
    ways::Way,
};

use super::*;
use crate::series::{Limits, Matcher, NAME, Select, way_of};

fn second(time: i64, is_first: bool, with_container: bool) -> NodeSamples {
    let usage = |nanos| Usage {
        cpu_usage_nanos_total: nanos,
        cpu_periods_total: 7,
        memory_working_set_bytes: 4096,
        network_receive_bytes_total: 55,
        cpu_limit_millicores: 250,
        ..Usage::default()
    };
    let container = ContainerSample {
        container: "app".into(),
        container_id: "c1".into(),
        started_at: 3_000_000,
        image: if is_first { "docker.io/web:1".into() } else { String::new() },
        usage: usage(1_500_000_000),
        disks: if is_first { vec![disk("vda", 3), disk("vdb", 4), disk("", 5)] } else { vec![] },
    };
    let pressure = PressureSample { io_some_nanos: 2_000_000_000, ..PressureSample::default() };
    let volume = VolumeSample {
        volume: "data".into(),
        claim: "claim".into(),
        used_bytes: 9,
        ..VolumeSample::default()
    };
    let pod = PodSample {
        namespace: "shop".into(),
        pod: "web".into(),
        uid: "u1".into(),
        usage: usage(2_000_000_000),
        containers: if with_container { vec![container] } else { vec![] },
        volumes: if with_container { vec![volume] } else { vec![] },
        disks: if is_first { vec![disk("vda", 7)] } else { vec![] },
    };
    let machine = Machine {
        boot_time: 100,
        load: [0.5, 0.25, 0.0],
        cpu_mode_nanos: vec![[1_000_000_000; 8], [2_000_000_000; 8]],
        memory: [1, 2, 3, 4, 5, 6, 7],
        slab: 8,
        kernel: KernelSample {
            context_switches: 77,
            tcp_sent: 78,
            tcp_asked_again: 79,
            swapped_out: 80,
            connections: 81,
            most_connections: 82,
            ..KernelSample::default()
        },
        pressure,
        disks: vec![DiskSample {
            device: "vda".into(),
            read_bytes: 5,
            weighted_nanos: 6_000_000_000,
            ..DiskSample::default()
        }],
        filesystems: vec![FilesystemSample {
            device: "/dev/vda".into(),
            mount_point: "/".into(),
            size_bytes: 8,
            read_only: true,
            ..FilesystemSample::default()
        }],
        ..Machine::default()
    };
    NodeSamples {
        time: time * 1_000_000,
        node: "n1".into(),
        usage: usage(9_000_000_000),
        capacity: Capacity { cpu_cores: 2.0, ..Capacity::default() },
        machine: is_first.then_some(machine),
        disks: vec![disk("vda", 9)],
        pods: vec![pod],
        ..NodeSamples::default()
    }
}

fn disk(device: &str, write_bytes: u64) -> DiskUsage {
    DiskUsage { device: device.into(), write_bytes, ..DiskUsage::default() }
}

async fn found(store: &Store, name: &str, labels: &[(&str, &str)]) -> Vec<(i64, Option<f64>)> {
    let mut matchers = vec![Matcher::equal(NAME, name)];
    matchers.extend(labels.iter().map(|(name, value)| Matcher::equal(name, value)));
    let found = store.all(&matchers, 0..i64::MAX).await;
    let [one] = found.as_slice() else { panic!("{name} {labels:?}: {found:?}") };
    let told =
        |(time, value): &(i64, crate::series::Value)| (*time, value.number().filter(|_| !value.is_stale()));
    one.samples.iter().map(told).collect()
}

#[tokio::test]
async fn a_nodes_seconds_are_series_of_the_grid() {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let names = Names::new(store.clone());
    for time in 1500..1516 {
        names.take(&second(time, time % 15 == 0, time < 1515));
    }
    let of_container =
        [("namespace", "shop"), ("pod", "web"), ("container", "app"), ("image", "docker.io/web:1")];
    let cpu = found(&store, "container_cpu_usage_seconds_total", &of_container).await;
    assert_eq!(cpu, [(1_500_000, Some(1.5)), (1_515_000, None)], "it is gone");
    let of_pod =
        [("pod", "web"), ("container", ""), ("job", "kubelet"), ("metrics_path", "/metrics/cadvisor")];
    let memory = found(&store, "container_memory_working_set_bytes", &of_pod).await;
    assert_eq!(memory, [(1_500_000, Some(4096.0)), (1_515_000, Some(4096.0))]);
    let first = async |name: &str, labels: &[(&str, &str)]| found(&store, name, labels).await[0].1;
    assert_eq!(first("container_network_receive_bytes_total", &[("pod", "web")]).await, Some(55.0));
    assert_eq!(first("container_spec_cpu_quota", &of_container).await, Some(25_000.0));
    assert_eq!(first("container_start_time_seconds", &of_container).await, Some(3.0));
    assert_eq!(first("container_cpu_cfs_periods_total", &of_container).await, Some(7.0));
    assert_eq!(first("container_cpu_usage_seconds_total", &[("id", "/")]).await, Some(9.0));
    assert_eq!(first("machine_cpu_cores", &[("node", "n1")]).await, Some(2.0));
    let written = "container_fs_writes_bytes_total";
    for (device, bytes) in [("/dev/vda", 3.0), ("/dev/vdb", 4.0), ("", 5.0)] {
        let of_device = [&of_container[..], &[("device", device)]].concat();
        assert_eq!(first(written, &of_device).await, Some(bytes), "{device}");
    }
    let of_node = [("id", "/"), ("device", "/dev/vda")];
    assert_eq!(first(written, &of_node).await, Some(9.0));
    assert_eq!(first(written, &[("pod", "web"), ("container", "")]).await, Some(7.0));
    let job = ("job", "node-exporter");
    assert_eq!(first("node_pressure_io_waiting_seconds_total", &[job]).await, Some(2.0));
    assert_eq!(first("node_cpu_seconds_total", &[job, ("cpu", "1"), ("mode", "idle")]).await, Some(2.0));
    assert_eq!(first("node_memory_MemAvailable_bytes", &[job, ("instance", "n1")]).await, Some(3.0));
    assert_eq!(first("node_context_switches_total", &[job]).await, Some(77.0));
    assert_eq!(first("node_time_seconds", &[job]).await, Some(1500.0));
    assert_eq!(first("node_disk_read_bytes_total", &[job, ("device", "vda")]).await, Some(5.0));
    assert_eq!(first("node_filesystem_size_bytes", &[job, ("mountpoint", "/")]).await, Some(8.0));
    for (name, value) in [
        ("node_exporter_build_info", 1.0),
        ("node_memory_Slab_bytes", 8.0),
        ("node_netstat_Tcp_OutSegs", 78.0),
        ("node_netstat_TcpExt_TCPSynRetrans", 79.0),
        ("node_vmstat_pswpout", 80.0),
        ("node_nf_conntrack_entries", 81.0),
        ("node_nf_conntrack_entries_limit", 82.0),
        ("node_disk_io_time_weighted_seconds_total", 6.0),
        ("node_filesystem_readonly", 1.0),
    ] {
        assert_eq!(first(name, &[job]).await, Some(value), "{name}");
    }
    let volume =
        found(&store, "kubelet_volume_stats_used_bytes", &[("persistentvolumeclaim", "claim")]).await;
    assert_eq!(volume, [(1_500_000, Some(9.0)), (1_515_000, None)], "it is missing");
    // The log has nothing but the labels to tell whose series they are.
    for series in store.all(&[], 0..i64::MAX).await {
        assert_eq!(way_of(&series.labels), Some(Way::Sampled), "{}", series.labels);
    }
    names.gone("n1");
    let ended = found(&store, "node_load1", &[job]).await;
    assert_eq!(ended.last().map(|(_, value)| *value), Some(None));
}

#[tokio::test]
async fn the_series_of_a_node_that_says_nothing_end_behind_its_last_word() {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let (names, begun) = (Names::new(store.clone()), Instant::now());
    let after = |seconds: u64| begun + Duration::from_secs(seconds);
    let take = |times: std::ops::Range<i64>, now: u64| {
        times.for_each(|time| names.take_at(&second(time, time % 15 == 0, true), after(now)));
    };
    let of_container = [("container", "app"), ("cpu", "total")];
    let load = async || found(&store, "node_load1", &[]).await;
    let cpu = async || found(&store, "container_cpu_usage_seconds_total", &of_container).await;
    take(1500..1520, 20);
    names.end_silent(after(34));
    assert_eq!(load().await, [(1_500_000, Some(0.5)), (1_515_000, Some(0.5))]);
    names.end_silent(after(35));
    names.end_silent(after(90));
    assert_eq!(load().await[1..], [(1_515_000, Some(0.5)), (1_519_001, None)], "once");
    assert_eq!(cpu().await[1..], [(1_515_000, Some(1.5)), (1_519_001, None)]);
    // What it measured meanwhile comes when it is heard again.
    take(1520..1545, 100);
    names.end_silent(after(114));
    assert_eq!(load().await[3..], [(1_530_000, Some(0.5))]);
    assert_eq!(cpu().await[3..], [(1_530_000, Some(1.5))]);
    // Its last word was of the grid's last second.
    names.end_silent(after(115));
    assert_eq!(load().await[4..], [(1_544_001, None)]);
}

#[tokio::test]
async fn a_clock_that_is_set_leaves_what_is_there_and_goes_on_behind_it() {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let counts = Counts::default();
    let names = Names::new(store.clone()).counting(counts.clone());
    let take = |times: &[i64], container| {
        times.iter().for_each(|time| names.take(&second(*time, true, container)));
    };
    take(&[1500, 1515, 1530], false);
    assert_eq!((counts.out_of_order.get(), counts.ahead.get()), (0, 0));
    // Back, and then ahead by thousands of years. A container that is new has series of its own.
    take(&[1485, 1500], true);
    assert!(counts.out_of_order.get() > 20);
    take(&[1515, 1530, 1545, 100_000_000_005], true);
    assert!(counts.ahead.get() > 20);
    take(&[1560], true);
    let times = async |name: &str, labels: &[(&str, &str)]| -> Vec<i64> {
        let found = found(&store, name, labels).await.into_iter();
        found.filter_map(|(time, value)| value.map(|_| time / 1000)).collect()
    };
    assert_eq!(times("node_load1", &[]).await, [1500, 1515, 1530, 1545, 1560]);
    let of_container = [("container", "app"), ("image", "docker.io/web:1")];
    let of_new = times("container_cpu_usage_seconds_total", &of_container).await;
    assert_eq!(of_new, [1485, 1500, 1515, 1530, 1545, 1560]);
}

#[test]
fn each_name_stands_once() {
    let store = Store::in_memory(Limits::default());
    list::describe(&store);
    let described = store.metadata();
    let names: BTreeSet<_> = described.iter().map(|one| one.metric.as_str()).collect();
    let count = of_cadvisor::USAGE.len()
        + of_cadvisor::DISK_USAGE.len()
        + of_cadvisor::NETWORK.len()
        + of_cadvisor::CONTAINER.len()
        + of_cadvisor::SPEC.len()
        + of_cadvisor::CAPACITY.len()
        + list::VOLUME.len()
        + list::MACHINE.len()
        + list::KERNEL.len()
        + list::CLOCK.len()
        + list::PRESSURE.len()
        + list::UNAME.len()
        + list::CPU_MODE.len()
        + list::DISK.len()
        + list::INTERFACE.len()
        + list::FILESYSTEM.len();
    assert_eq!(names.len(), count);
    assert!(described.iter().all(|one| !one.meta.help.is_empty()));
}
