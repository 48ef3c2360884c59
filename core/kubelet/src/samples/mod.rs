//! What the node measures each second, kept for a minute as the lines in which
//! it travels.
//!
//! A line is encoded once, whoever reads it; a reader that comes back takes up
//! where it was.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tiphys_api::samples::{Capacity, ContainerSample, NodeSamples, PodSample, Usage};
use tiphys_lifecycle::OnError;
use tiphys_runtime::stats::{ContainerTarget, Figures, Network, PodFigures, PodTarget, Sampler, Snapshot};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    Error,
    pod::{
        runtime::{Container, State},
        spec,
    },
    workers::{Context, PodView},
};

/// Seconds that are kept.
const KEPT: usize = 60;

/// The last minute. Clones share it.
#[derive(Clone)]
pub(crate) struct Seconds {
    lines: Arc<Mutex<VecDeque<(i64, Bytes)>>>,
    newest: watch::Sender<i64>,
}

impl Seconds {
    pub(crate) fn new() -> Self {
        Self { lines: Arc::default(), newest: watch::Sender::new(0) }
    }

    /// Lines newer than `time` (microseconds since the Unix epoch), oldest first.
    pub(crate) fn since(&self, time: i64) -> Vec<(i64, Bytes)> {
        self.lines.lock().iter().filter(|(at, _)| *at > time).cloned().collect()
    }

    /// Changes with each second.
    pub(crate) fn newest(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    fn push(&self, time: i64, line: Bytes) {
        let mut lines = self.lines.lock();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back((time, line));
        drop(lines);
        self.newest.send_replace(time);
    }
}

/// Measures each second until the kubelet stops.
///
/// # Errors
/// The node's control group can't be made.
pub(crate) fn start(context: &Arc<Context>) -> Result<Seconds, Error> {
    let config = &context.config;
    context.hierarchy.create(&config.node_group, &Default::default())?;
    let sampler = Sampler::new(&config.node_group, &config.root)?;
    let seconds = Seconds::new();
    let measurer =
        Measurer { context: context.clone(), sampler, pids: HashMap::new(), seconds: seconds.clone() };
    context.tasks.spawn("kubelet samples", OnError::Log, measurer.run());
    Ok(seconds)
}

struct Measurer {
    context: Arc<Context>,
    sampler: Sampler,
    /// The process that holds a sandbox's network, by the sandbox's id.
    pids: HashMap<String, i32>,
    seconds: Seconds,
}

impl Measurer {
    async fn run(mut self) -> Result<(), serde_json::Error> {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut measured: Vec<PodTarget> = Vec::new();
        loop {
            second.tick().await;
            let views = self.context.registry.views();
            let targets = self.targets(&views).await;
            if targets != measured {
                self.sampler.set_targets(&targets);
                measured = targets;
            }
            let time = jiff::Timestamp::now().as_microsecond();
            let snapshot = self.sampler.read();
            let samples = samples(&self.context, time, &snapshot, &views);
            let mut line = serde_json::to_vec(&samples)?;
            line.push(b'\n');
            self.seconds.push(time, line.into());
        }
    }

    async fn targets(&mut self, views: &[Arc<PodView>]) -> Vec<PodTarget> {
        let mut targets = Vec::with_capacity(views.len());
        for view in views {
            let Some(sandbox) = view.runtime.ready_sandbox() else { continue };
            let network_pid = match spec::uses_host_network(&view.pod) {
                true => None,
                false => self.network_pid(&sandbox.id).await,
            };
            let containers = view.runtime.running().map(|container| ContainerTarget {
                id: container.id.clone(),
                // The runtime makes a group of the container's id below its Pod's.
                group: format!("{}/{}", sandbox.group, container.id),
            });
            targets.push(PodTarget {
                id: spec::uid(&view.pod).to_owned(),
                group: sandbox.group.clone(),
                network_pid,
                containers: containers.collect(),
            });
        }
        targets.sort_by(|a, b| a.id.cmp(&b.id));
        let alive =
            |id: &String| views.iter().any(|view| view.runtime.sandboxes.iter().any(|one| one.id == *id));
        self.pids.retain(|id, _| alive(id));
        targets
    }

    async fn network_pid(&mut self, sandbox: &str) -> Option<i32> {
        if let Some(pid) = self.pids.get(sandbox) {
            return Some(*pid);
        }
        match self.context.cri.sandbox_pid(sandbox).await {
            Ok(pid) => {
                self.pids.extend(pid.map(|pid| (sandbox.to_owned(), pid)));
                pid
            }
            Err(error) => {
                tracing::debug!(sandbox, %error, "process of a sandbox is not known");
                None
            }
        }
    }
}

fn samples(context: &Context, time: i64, snapshot: &Snapshot, views: &[Arc<PodView>]) -> NodeSamples {
    let config = &context.config;
    let mut node = usage(&snapshot.node, &snapshot.network);
    node.filesystem_used_bytes = snapshot.filesystem.used_bytes;
    let by_uid: HashMap<_, _> = views.iter().map(|view| (spec::uid(&view.pod), view)).collect();
    NodeSamples {
        time,
        node: config.node_name.clone(),
        usage: node,
        capacity: Capacity {
            cpu_cores: config.capacity.cpu_millis as f64 / 1000.0,
            memory_bytes: config.capacity.memory_bytes,
            filesystem_bytes: snapshot.filesystem.capacity_bytes,
        },
        pods: snapshot
            .pods
            .iter()
            .filter_map(|pod| Some(pod_sample(pod, by_uid.get(pod.id.as_str())?)))
            .collect(),
    }
}

fn pod_sample(figures: &PodFigures, view: &PodView) -> PodSample {
    let containers = figures.containers.iter().filter_map(|(id, figures)| {
        let container = view.runtime.containers.iter().find(|container| container.id == *id)?;
        Some(ContainerSample {
            container: container.name.clone(),
            container_id: id.clone(),
            started_at: started_at(container),
            usage: usage(figures, &Network::default()),
        })
    });
    PodSample {
        namespace: spec::namespace(&view.pod).to_owned(),
        pod: spec::name(&view.pod).to_owned(),
        uid: figures.id.clone(),
        usage: usage(&figures.figures, &figures.network),
        containers: containers.collect(),
    }
}

fn started_at(container: &Container) -> i64 {
    match &container.state {
        State::Running { started_at, .. } => started_at.as_microsecond(),
        _ => container.created_at / 1000,
    }
}

fn usage(figures: &Figures, network: &Network) -> Usage {
    Usage {
        cpu_usage_nanos_total: figures.cpu_usage_nanos,
        cpu_throttled_nanos_total: figures.cpu_throttled_nanos,
        memory_usage_bytes: figures.memory_usage_bytes,
        memory_working_set_bytes: figures.memory_working_set_bytes,
        memory_rss_bytes: figures.memory_rss_bytes,
        disk_read_bytes_total: figures.disk.read_bytes,
        disk_write_bytes_total: figures.disk.write_bytes,
        disk_reads_total: figures.disk.reads,
        disk_writes_total: figures.disk.writes,
        network_receive_bytes_total: network.receive_bytes,
        network_transmit_bytes_total: network.transmit_bytes,
        network_receive_packets_total: network.receive_packets,
        network_transmit_packets_total: network.transmit_packets,
        network_errors_total: network.errors,
        filesystem_used_bytes: 0,
        processes: figures.processes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_kept_and_taken_up_where_it_was_left() {
        let seconds = Seconds::new();
        (1..=70).for_each(|time| seconds.push(time, Bytes::from_static(b"{}\n")));
        assert_eq!(seconds.since(0).len(), 60);
        let times: Vec<_> = seconds.since(68).into_iter().map(|(time, _)| time).collect();
        assert_eq!(times, [69, 70]);
    }
}
