//! The task that probes one container instance until it ends.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::time::Instant;

use super::{
    Board, Counting,
    machine::{Machine, Rules},
    run::{Target, run_probe},
};
use crate::{
    events::{Kind, Recorder},
    pod::{backoff, plan::Probed},
};

/// What a probing task needs.
pub(crate) struct ProbeContext {
    pub pod: Arc<Pod>,
    pub container: Container,
    /// The instance's id and address.
    pub target: Target,
    pub started_at: Timestamp,
    pub board: Board,
    pub events: Recorder,
    pub counting: Arc<Counting>,
    /// The instance was ready before this process began to watch it.
    pub was_ready: bool,
    /// The same of its startup probe.
    pub was_started: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Startup,
    Liveness,
    Readiness,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// Puts the instance on the board, and probes it until dropped.
pub(crate) async fn watch(context: ProbeContext) {
    let container = &context.container;
    let started = container.startup_probe.is_none() || context.was_started;
    let ready = container.readiness_probe.is_none() || context.was_ready;
    context.board.put(&context.target.container_id, Probed { started, ready, failed: None });
    if let Some(probe) = container.startup_probe.as_ref().filter(|_| !started) {
        follow(&context, probe, Purpose::Startup).await;
    }
    let of = |probe: &Option<Probe>, purpose: Purpose| {
        let probe = probe.clone();
        let context = &context;
        async move {
            if let Some(probe) = probe {
                follow(context, &probe, purpose).await;
            }
        }
    };
    tokio::join!(
        of(&container.liveness_probe, Purpose::Liveness),
        of(&container.readiness_probe, Purpose::Readiness)
    );
}

/// Probes at its period. A startup probe ends with its first verdict, a liveness
/// probe with its first failure: the instance is to die then.
async fn follow(context: &ProbeContext, probe: &Probe, purpose: Purpose) {
    let rules = Rules::of(probe);
    let mut machine = Machine::new(rules);
    let age = backoff::between(context.started_at, Timestamp::now());
    let first = rules.initial_delay.saturating_sub(age);
    let mut ticks = tokio::time::interval_at(Instant::now() + first, rules.period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let result = attempt(context, probe, rules.timeout).await;
        context.counting.count(&context.container.name, purpose.name(), result.is_ok());
        if let Err(message) = &result {
            let said = format!("{} probe failed: {message}", purpose.name());
            context.events.container(&context.pod, &context.container.name, Kind::Warning, "Unhealthy", said);
        }
        let Some(verdict) = machine.observe(result.is_ok()) else { continue };
        let id = &context.target.container_id;
        let name = &context.container.name;
        let fatal =
            format!("Container {name} failed {} probe, will be restarted", purpose.name().to_lowercase());
        match (purpose, verdict) {
            (Purpose::Readiness, ready) => context.board.update(id, |probed| probed.ready = ready),
            (Purpose::Startup, true) => return context.board.update(id, |probed| probed.started = true),
            (Purpose::Liveness, true) => {}
            (Purpose::Startup | Purpose::Liveness, false) => {
                return context.board.update(id, |probed| {
                    probed.failed = Some(fatal);
                    probed.ready = false;
                });
            }
        }
    }
}

async fn attempt(context: &ProbeContext, probe: &Probe, limit: Duration) -> Result<(), String> {
    match tokio::time::timeout(limit, run_probe(&context.target, &context.container, probe, limit)).await {
        Ok(result) => result,
        Err(_) => Err(format!("timed out after {} s", limit.as_secs())),
    }
}
