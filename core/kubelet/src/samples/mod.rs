//! What the node measures each second, kept for a minute as the lines in which
//! it travels.
//!
//! ```text
//! each second   the runtime's sampler ─┐
//! each 15 s     the machine           ─┼─> sample (pure) ─> a line ─> whoever reads
//! each minute   space (volumes, layers)┘
//! ```
//!
//! A line is encoded once, whoever reads it; a reader that comes back takes up
//! where it was.

mod asked;
mod sample;
mod space;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tiphys_lifecycle::OnError;
use tiphys_runtime::stats::{ContainerTarget, PodTarget, Sampler};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use self::{asked::AskedOfPods, sample::Moment, space::Space};
use crate::{
    Error,
    pod::spec,
    workers::{Context, PodView},
};

/// Seconds that are kept.
const KEPT: usize = 60;
/// Between looks at the machine as a whole, in microseconds of the clock: who keeps what it is
/// told at this pace has a new word each time.
const MACHINE: i64 = 15_000_000;

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
    let measurer = Measurer {
        context: context.clone(),
        sampler,
        pids: HashMap::new(),
        asked: AskedOfPods::default(),
        space: space::start(context),
        seconds: seconds.clone(),
    };
    context.tasks.spawn("kubelet samples", OnError::Log, measurer.run());
    Ok(seconds)
}

struct Measurer {
    context: Arc<Context>,
    sampler: Sampler,
    /// The process that holds a sandbox's network, by the sandbox's id.
    pids: HashMap<String, i32>,
    asked: AskedOfPods,
    space: watch::Receiver<Arc<Space>>,
    seconds: Seconds,
}

impl Measurer {
    async fn run(mut self) -> Result<(), serde_json::Error> {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut measured: Vec<PodTarget> = Vec::new();
        let mut machine_at = 0;
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
            let slot = time.div_euclid(MACHINE);
            let machine = (slot != machine_at).then(|| self.sampler.machine());
            machine_at = slot;
            // Volumes are told when they were measured.
            let with_volumes = self.space.has_changed().unwrap_or(false);
            let space = self.space.borrow_and_update().clone();
            let config = &self.context.config;
            let moment = Moment {
                time,
                config,
                snapshot: &snapshot,
                machine,
                views: &views,
                space: &space,
                with_volumes,
            };
            let mut line = serde_json::to_vec(&moment.samples(&mut self.asked))?;
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
