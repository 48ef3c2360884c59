//! What a second of 110 Pods costs the agent: real groups with a process each, read as the
//! kubelet reads them. Needs root. Nothing passes or fails here.

#![allow(clippy::print_stdout, reason = "its table is what it is run for")]

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tiphys_runtime::{
    cgroup::{Hierarchy, Limits},
    stats::{ContainerTarget, PodTarget, Sampler},
};

const PODS: usize = 110;
const SECONDS: u32 = 50;

/// Groups with a process each, which go with this.
struct World {
    hierarchy: Hierarchy,
    root: String,
    processes: Vec<Child>,
}

impl World {
    fn new() -> (Self, Vec<PodTarget>) {
        let hierarchy = Hierarchy::detect().expect("control groups are mounted");
        let root = format!("/tiphys-bench-{}", std::process::id());
        let mut world = Self { hierarchy, root, processes: Vec::new() };
        let targets = (0..PODS).map(|number| world.pod(number)).collect();
        (world, targets)
    }

    fn pod(&mut self, number: usize) -> PodTarget {
        let group = format!("{}/pod{number}", self.root);
        let inner = format!("{group}/box");
        self.hierarchy.create(&inner, &Limits::default()).expect("made");
        let child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("it runs");
        let pid = i32::try_from(child.id()).expect("a number of a process");
        self.hierarchy.enter(&inner, pid).expect("entered");
        self.processes.push(child);
        let containers = vec![ContainerTarget { id: number.to_string(), group: inner }];
        PodTarget { id: number.to_string(), group, network_pid: Some(pid), containers }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.hierarchy.remove(&self.root)).expect("removed");
    }
}

/// What this thread has used.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel tells");
    let nanos = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

fn main() {
    let (world, targets) = World::new();
    let mut sampler = Sampler::new(&world.root, "/").expect("a sampler");
    sampler.set_targets(&targets);
    sampler.read();
    let (before, started) = (cpu(), Instant::now());
    for _ in 0..SECONDS {
        let snapshot = sampler.read();
        assert_eq!(snapshot.pods.len(), PODS);
        assert!(snapshot.pods.iter().all(|pod| pod.containers.len() == 1));
    }
    let (spent, passed) = ((cpu() - before) / SECONDS, started.elapsed() / SECONDS);
    println!("| a second of {PODS} Pods with a container each, read | {spent:?} CPU, {passed:?} | 10 ms |");
    let before = cpu();
    for _ in 0..100 * SECONDS {
        sampler.machine();
    }
    println!("| the machine beside them, each 15 s | {:?} CPU | - |", (cpu() - before) / (100 * SECONDS));
}
