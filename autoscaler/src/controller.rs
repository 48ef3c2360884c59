//! Starts the autoscaler: a task an autoscaler, as long as it is there.
//!
//! ```text
//! HPAs (cache) ──> controller ──> one worker each ──> /scale, status, events, rows
//! ```
//!
//! One with a slow target holds up no other. Which Pods may have changed is told by
//! namespace, so that a worker looks through them only then.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{Api, Client, ResourceExt, runtime::watcher};
use parking_lot::RwLock;
use tiphys_client::{Cache, Change, Events, LeanPod, Reporter};
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_telemetry::Component;
use tokio::sync::watch;

use crate::{
    metric_names::Metrics,
    selectors::Selectors,
    source::{DecisionSink, MetricSource},
    targets::Targets,
    worker::Worker,
};

/// What holds for all autoscalers; upstream's defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// How far a ratio may be from 1 without any change, where an autoscaler has none of its own.
    pub tolerance: f64,
    /// The window for scaling down, where an autoscaler has none of its own.
    pub downscale_stabilization: Duration,
    /// How long after its start a Pod's CPU is taken with care.
    pub cpu_initialization: Duration,
    /// How long after its start an unready Pod may never have been ready.
    pub initial_readiness: Duration,
    /// How often is looked whether to go down.
    pub sync_period: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            tolerance: 0.1,
            downscale_stabilization: seconds(300),
            cpu_initialization: seconds(300),
            initial_readiness: seconds(30),
            sync_period: seconds(15),
        }
    }
}

/// A span of time as this crate counts it, microseconds.
pub fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// What all workers share.
pub struct Shared {
    pub config: Config,
    pub client: Client,
    pub targets: Targets,
    pub source: Arc<dyn MetricSource>,
    pub sink: Arc<dyn DecisionSink>,
    pub pods: Cache<LeanPod>,
    pub versions: Versions,
    pub selectors: Selectors,
    pub events: Events,
    pub metrics: Metrics,
}

/// Counts changes of Pods by namespace.
#[derive(Default)]
pub struct Versions {
    all: AtomicU64,
    namespaces: RwLock<HashMap<String, u64>>,
}

impl Versions {
    /// Another number than before if a Pod of the namespace may have changed.
    pub fn of(&self, namespace: &str) -> (u64, u64) {
        let own = self.namespaces.read().get(namespace).copied().unwrap_or_default();
        (self.all.load(Ordering::Acquire), own)
    }

    fn changed(&self, namespace: &str) {
        if let Some(version) = self.namespaces.write().get_mut(namespace) {
            *version += 1;
            return;
        }
        self.namespaces.write().insert(namespace.to_owned(), 1);
    }
}

/// Starts the autoscaler; it runs until `tasks` stops.
pub fn start(
    config: Config,
    client: Client,
    pods: Cache<LeanPod>,
    source: Arc<dyn MetricSource>,
    sink: Arc<dyn DecisionSink>,
    tasks: &Tasks,
    component: &Component,
) {
    let scalers = Cache::start(tasks, Api::all(client.clone()), watcher::Config::default());
    let reporter = Reporter { component: "horizontal-pod-autoscaler", host: None };
    let shared = Arc::new(Shared {
        config,
        events: Events::start(client.clone(), tasks, reporter),
        targets: Targets::new(client.clone()),
        client,
        source,
        sink,
        pods,
        versions: Versions::default(),
        selectors: Selectors::default(),
        metrics: Metrics::register(component),
    });
    tasks.spawn("autoscaler's Pods", OnError::Log, count_changes(shared.clone()));
    tasks.spawn("autoscaler", OnError::Log, run(shared, scalers, tasks.clone()));
}

async fn count_changes(shared: Arc<Shared>) -> Result<(), Infallible> {
    let mut changes = Box::pin(shared.pods.changes());
    while let Some(change) = changes.next().await {
        match change {
            Change::Applied(pod) | Change::Deleted(pod) => shared.versions.changed(&pod.namespace),
            Change::Resync => drop(shared.versions.all.fetch_add(1, Ordering::Release)),
        }
    }
    Ok(())
}

struct Running {
    tasks: Tasks,
    scaler: watch::Sender<Arc<HorizontalPodAutoscaler>>,
}

async fn run(
    shared: Arc<Shared>,
    scalers: Cache<HorizontalPodAutoscaler>,
    tasks: Tasks,
) -> Result<(), Infallible> {
    let mut changes = Box::pin(scalers.changes());
    scalers.ready().await;
    shared.pods.ready().await;
    let mut running: HashMap<String, Running> = HashMap::new();
    for scaler in scalers.list() {
        begin(&shared, &tasks, &mut running, scaler);
    }
    while let Some(change) = changes.next().await {
        match change {
            Change::Applied(scaler) => begin(&shared, &tasks, &mut running, scaler),
            Change::Deleted(scaler) => end(&shared, &mut running, &scaler),
            Change::Resync => {
                let all = scalers.list();
                let gone: Vec<_> = running
                    .values()
                    .map(|one| one.scaler.borrow().clone())
                    .filter(|one| !all.iter().any(|scaler| scaler.uid() == one.uid()))
                    .collect();
                gone.iter().for_each(|scaler| end(&shared, &mut running, scaler));
                all.into_iter().for_each(|scaler| begin(&shared, &tasks, &mut running, scaler));
            }
        }
    }
    Ok(())
}

/// A new autoscaler gets a worker; one that has its own gets the new object.
fn begin(
    shared: &Arc<Shared>,
    tasks: &Tasks,
    running: &mut HashMap<String, Running>,
    scaler: Arc<HorizontalPodAutoscaler>,
) {
    let uid = scaler.uid().unwrap_or_default();
    if let Some(one) = running.get(&uid) {
        one.scaler.send_replace(scaler);
        return;
    }
    let name = format!("autoscaler {}/{}", scaler.namespace().unwrap_or_default(), scaler.name_any());
    let (sender, receiver) = watch::channel(scaler);
    let own = tasks.child();
    own.spawn(name, OnError::Log, Worker::new(shared.clone(), receiver).run());
    running.insert(uid, Running { tasks: own, scaler: sender });
}

fn end(shared: &Shared, running: &mut HashMap<String, Running>, scaler: &HorizontalPodAutoscaler) {
    if let Some(one) = running.remove(&scaler.uid().unwrap_or_default()) {
        one.tasks.token().cancel();
    }
    shared.selectors.forget(&scaler.namespace().unwrap_or_default(), &scaler.name_any());
}

#[cfg(test)]
mod tests;
