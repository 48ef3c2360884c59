//! What the node measures each second, kept for a minute as the lines in which
//! it travels.
//!
//! ```text
//! each second         the runtime's sampler, disks, volumes ─┐
//! each 15 s           the machine, disks of each container  ─┼─> sample (pure) ─> a line ─> whoever reads
//! as its cost allows  space (layers, files)                 ─┘
//! ```
//!
//! A line is encoded once, whoever reads it; a reader that comes back takes up
//! where it was.

mod asked;
mod memory;
mod sample;
mod space;
mod times;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tiphys_lifecycle::OnError;
use tiphys_runtime::stats::{ContainerTarget, PodTarget, Sampler};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use self::{asked::AskedOfPods, memory::UsedUp, sample::Moment, space::Looks, times::Times};
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
    lines: Arc<Mutex<VecDeque<Line>>>,
    /// The number of the newest line.
    newest: watch::Sender<u64>,
}

/// Readers go on by a line's number: its time may be earlier than that of the one before.
struct Line {
    number: u64,
    /// Microseconds since the Unix epoch.
    time: i64,
    text: Bytes,
}

impl Seconds {
    pub(crate) fn new() -> Self {
        Self { lines: Arc::default(), newest: watch::Sender::new(0) }
    }

    /// The number of the last line that a reader has who has all up to `time`, microseconds since
    /// the Unix epoch. Of a time that is yet to come a reader knows from before the clock was set
    /// back, and has none of these lines.
    pub(crate) fn number_at(&self, time: i64) -> u64 {
        let lines = self.lines.lock();
        if lines.back().is_none_or(|newest| newest.time < time) {
            return 0;
        }
        lines.iter().rev().find(|line| line.time <= time).map_or(0, |line| line.number)
    }

    /// Lines behind that one with their numbers, oldest first.
    pub(crate) fn after(&self, number: u64) -> Vec<(u64, Bytes)> {
        let lines = self.lines.lock();
        let later = lines.iter().filter(|line| line.number > number);
        later.map(|line| (line.number, line.text.clone())).collect()
    }

    /// Changes with each second.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn push(&self, time: i64, text: Bytes) {
        let mut lines = self.lines.lock();
        // The clock was set back: what was told until then is of a run that has ended.
        if lines.back().is_some_and(|newest| newest.time >= time) {
            lines.clear();
        }
        if lines.len() == KEPT {
            lines.pop_front();
        }
        let number = *self.newest.borrow() + 1;
        lines.push_back(Line { number, time, text });
        drop(lines);
        self.newest.send_replace(number);
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
        used_up: UsedUp::default(),
        space: Looks::start(context),
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
    used_up: UsedUp,
    space: Looks,
    seconds: Seconds,
}

impl Measurer {
    async fn run(mut self) -> Result<(), serde_json::Error> {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut measured: Vec<PodTarget> = Vec::new();
        let mut machine_at = 0;
        let (begun, mut times) = (Instant::now(), Times::default());
        loop {
            second.tick().await;
            let views = self.context.registry.views();
            let targets = self.targets(&views).await;
            if targets != measured {
                self.sampler.set_targets(&targets);
                measured = targets;
            }
            let running = i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
            let (time, anew) = times.next(jiff::Timestamp::now().as_microsecond(), running);
            let snapshot = self.sampler.read();
            let slot = time.div_euclid(MACHINE);
            let machine = (slot != machine_at).then(|| self.sampler.machine());
            let disks = machine.as_ref().map(|_| self.sampler.disks()).unwrap_or_default();
            let devices = self.sampler.devices();
            machine_at = slot;
            // Who keeps what is told of a machine keeps volumes at the same pace.
            let space = self.space.next(&views, machine.is_some());
            let config = &self.context.config;
            let moment = Moment {
                time,
                anew,
                config,
                snapshot: &snapshot,
                machine,
                disks,
                devices,
                views: &views,
                space: &space,
            };
            let mut line = serde_json::to_vec(&moment.samples(&mut self.asked, &mut self.used_up))?;
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
        assert_eq!(seconds.after(seconds.number_at(0)).len(), 60);
        assert_eq!(numbers(&seconds, seconds.number_at(68)), [69, 70]);
        assert!(numbers(&seconds, seconds.number_at(70)).is_empty());
    }

    fn numbers(seconds: &Seconds, after: u64) -> Vec<u64> {
        seconds.after(after).into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_line() {
        let seconds = Seconds::new();
        assert_eq!(seconds.number_at(5), 0);
        let push = |times: std::ops::RangeInclusive<i64>| {
            times.for_each(|time| seconds.push(time, Bytes::from_static(b"{}\n")));
        };
        push(4001..=4010);
        let reader = seconds.number_at(4008);
        assert_eq!(numbers(&seconds, reader), [9, 10]);
        // Who reads goes on, and who comes back with a time of the future gets what there is.
        push(401..=403);
        assert_eq!(numbers(&seconds, 10), [11, 12, 13]);
        assert_eq!(numbers(&seconds, seconds.number_at(4010)), [11, 12, 13]);
        assert_eq!(numbers(&seconds, seconds.number_at(402)), [13]);
        // A step ahead takes nothing away.
        push(9000..=9001);
        assert_eq!(numbers(&seconds, seconds.number_at(403)), [14, 15]);
    }
}
