//! What the seconds of a node with 110 Pods cost: the agent that writes them down, and the
//! server that takes them in. Nothing passes or fails here.

#![allow(clippy::print_stdout, reason = "its table is what it is run for")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tiphys_api::samples::{ContainerSample, Machine, NodeSamples, PodSample, Usage};
use tiphys_metrics::{
    Disks, Memory, Names, Takers, Volumes,
    series::{Limits, Store},
};

const PODS: u64 = 110;
const SECONDS: u64 = 3900;

/// Numbers by chance, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// As a container that works a little changes in a second.
fn go_on(usage: &mut Usage, dice: &mut Dice) {
    usage.cpu_usage_nanos_total += dice.below(50_000_000);
    usage.cpu_user_nanos_total += dice.below(4) * 10_000_000;
    usage.cpu_system_nanos_total += dice.below(2) * 10_000_000;
    usage.memory_usage_bytes = 100_000_000 + dice.below(1000) * 4096;
    usage.memory_working_set_bytes = usage.memory_usage_bytes - 10_000_000;
    usage.memory_rss_bytes = 60_000_000 + dice.below(100) * 4096;
    usage.memory_cache_bytes = 30_000_000;
    usage.disk_write_bytes_total += dice.below(3) * 4096;
    usage.network_receive_bytes_total += dice.below(10_000);
    usage.network_transmit_bytes_total += dice.below(10_000);
    usage.network_receive_packets_total += dice.below(20);
    usage.network_transmit_packets_total += dice.below(20);
    (usage.processes, usage.threads, usage.open_files) = (3, 17, 40);
    (usage.cpu_request_millicores, usage.memory_request_bytes) = (100, 128 << 20);
}

fn node() -> NodeSamples {
    let pod = |number: u64| {
        let container = ContainerSample {
            container: "application".into(),
            container_id: format!("{number:064x}"),
            started_at: 1_700_000_000_000_000,
            ..ContainerSample::default()
        };
        PodSample {
            namespace: format!("team-{}", number % 10),
            pod: format!("application-{number}-7f9c8d5b6-abcde"),
            uid: format!("00000000-0000-0000-0000-{number:012}"),
            containers: vec![container],
            ..PodSample::default()
        }
    };
    NodeSamples { node: "node-1".into(), pods: (0..PODS).map(pod).collect(), ..NodeSamples::default() }
}

fn main() {
    let (mut samples, mut dice) = (node(), Dice(0x9e37_79b9_7f4a_7c15));
    let memory = Arc::new(Memory::default());
    let store = Arc::new(Store::in_memory(Limits::default()));
    let takers = Takers {
        memory: memory.clone(),
        names: Arc::new(Names::new(store)),
        volumes: Arc::new(Volumes::default()),
        disks: Arc::new(Disks::default()),
    };
    let (mut written, mut taken, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for second in 0..SECONDS {
        samples.time = (1_700_000_010 + second as i64) * 1_000_000;
        samples.machine = (samples.time / 1_000_000 % 15 == 0).then(Machine::default);
        for pod in &mut samples.pods {
            go_on(&mut pod.usage, &mut dice);
            pod.containers.iter_mut().for_each(|container| go_on(&mut container.usage, &mut dice));
        }
        let started = Instant::now();
        let line = serde_json::to_vec(&samples).expect("it has a JSON form");
        written += started.elapsed();
        bytes += line.len();
        let started = Instant::now();
        let read: NodeSamples = serde_json::from_slice(&line).expect("what was written");
        takers.take(&read);
        taken += started.elapsed();
    }
    let seconds = SECONDS as u32;
    println!(
        "| a second of {PODS} Pods, written as a line of {} kB | {:?} | - |",
        bytes as u64 / SECONDS / 1000,
        written / seconds
    );
    println!("| a second of {PODS} Pods, taken in by the server | {:?} | - |", taken / seconds);
    let each = memory.size() / memory.series_count() / Usage::COUNT;
    println!("| memory of an hour of one figure of one container | {each} bytes | 1 kB |");
}
