//! The loop: watch events in, decisions out.
//!
//! ```text
//! pods, nodes, namespaces ──> cluster (snapshot and queue) ──> schedule_one ──> assume ──> bind
//!                                 ^                                                        |
//!                                 └────── forgotten and tried again when it fails <────────┘
//! ```
//!
//! One task decides, so a decision needs no lock and sees the one before it.
//! Bindings are written beside it, at most [`IN_FLIGHT`] at a time.

use std::{convert::Infallible, sync::Arc};

use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::{Api, Client, runtime::watcher};
use tiphys_api::names::TRACEPARENT;
use tiphys_client::{Cache, Change, Events, LeanPod, Metadata, Reporter, Shared};
use tiphys_lifecycle::Tasks;
use tokio::{task::JoinSet, time::Instant};
use tracing::Instrument;

use crate::{
    binding::{Bound, bind, explain},
    cluster::Cluster,
    metric_names::Metrics,
    pod_info::PodInfo,
    select::{FitError, schedule_one},
};

/// Writes under way at most.
const IN_FLIGHT: usize = 512;
/// Events taken in before the next decision, at most.
const BATCH: usize = 1024;
/// Decisions between two looks at everything else.
const TURNS: usize = 16;

enum Input {
    Pod(Change<LeanPod>),
    Node(Change<Node>),
    Namespaces,
}

/// What a write has led to.
enum Outcome {
    /// `since` the decision began.
    Bound {
        uid: String,
        bound: Bound,
        since: Instant,
    },
    Explained,
}

pub struct Loop {
    client: Client,
    events: Events,
    metrics: Metrics,
    pods: Cache<LeanPod>,
    nodes: Cache<Node>,
    namespaces: Cache<Namespace>,
    cluster: Cluster,
    writes: JoinSet<Outcome>,
}

impl Loop {
    pub fn new(
        scheduler_name: String,
        client: Client,
        shared: &Shared,
        tasks: &Tasks,
        metrics: Metrics,
    ) -> Self {
        let reporter = Reporter { component: "default-scheduler", host: None };
        Self {
            events: Events::start(client.clone(), tasks, reporter),
            metrics,
            pods: shared.pods.clone(),
            nodes: shared.nodes.clone(),
            namespaces: Cache::start(tasks, Api::all(client.clone()), watcher::Config::default()),
            cluster: Cluster::new(scheduler_name),
            writes: JoinSet::new(),
            client,
        }
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) -> Result<(), Infallible> {
        let mut inputs = self.inputs();
        self.pods.ready().await;
        self.nodes.ready().await;
        self.namespaces.ready().await;
        self.cluster.namespaces(&self.namespaces.list());
        self.cluster.all_nodes(self.nodes.list());
        self.cluster.all_pods(self.pods.list(), Instant::now());
        loop {
            self.take_what_is_there(&mut inputs);
            self.cluster.settle(Instant::now());
            self.metrics.waiting(self.cluster.queue.sizes());
            if self.decide_some() {
                // Others of this thread get their turn.
                tokio::task::yield_now().await;
                continue;
            }
            let due = self.cluster.queue.next_due();
            tokio::select! {
                Some(input) = inputs.next() => self.take(input),
                Some(outcome) = self.writes.join_next() => self.conclude(outcome.ok()),
                () = sleep_until(due) => {}
                else => return Ok(()),
            }
        }
    }

    fn inputs(&self) -> impl Stream<Item = Input> + Send + Unpin + use<> {
        stream::select_all([
            self.nodes.changes().map(Input::Node).boxed(),
            self.namespaces.changes().map(|_| Input::Namespaces).boxed(),
            self.pods.changes().map(Input::Pod).boxed(),
        ])
    }

    fn take_what_is_there(&mut self, inputs: &mut (impl Stream<Item = Input> + Unpin)) {
        while let Some(outcome) = self.writes.try_join_next() {
            self.conclude(outcome.ok());
        }
        for _ in 0..BATCH {
            match inputs.next().now_or_never() {
                Some(Some(input)) => self.take(input),
                _ => return,
            }
        }
    }

    fn take(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Pod(Change::Applied(pod) | Change::Deleted(pod)) => self.take_pod(&pod, now),
            Input::Pod(Change::Resync) => self.cluster.all_pods(self.pods.list(), now),
            Input::Node(Change::Applied(node) | Change::Deleted(node)) => {
                let name = node.metadata.name.clone().unwrap_or_default();
                match self.nodes.get("", &name) {
                    Some(node) => self.cluster.node(node),
                    None => self.cluster.node_gone(&name),
                }
            }
            Input::Node(Change::Resync) => self.cluster.all_nodes(self.nodes.list()),
            Input::Namespaces => self.cluster.namespaces(&self.namespaces.list()),
        }
    }

    /// The cache is at least as new as the event, and its object is shared.
    fn take_pod(&mut self, event: &LeanPod, now: Instant) {
        let latest = self.pods.get(&event.namespace, &event.name);
        if latest.as_ref().is_none_or(|latest| latest.uid != event.uid) {
            self.cluster.pod_gone(&event.uid);
        }
        if let Some(latest) = latest {
            self.cluster.pod(latest, now);
        }
    }

    /// True when there may be more to decide at once.
    fn decide_some(&mut self) -> bool {
        for _ in 0..TURNS {
            if self.writes.len() >= IN_FLIGHT {
                return false;
            }
            let Some(pod) = self.cluster.queue.pop() else { return false };
            self.decide(pod);
        }
        true
    }

    fn decide(&mut self, pod: Arc<PodInfo>) {
        let span = tracing::info_span!("schedule", namespace = &*pod.namespace, pod = &*pod.name);
        if let Some(parent) = pod.annotation(TRACEPARENT) {
            tiphys_telemetry::trace::set_parent(&span, parent);
        }
        let started = Instant::now();
        let decision = span.in_scope(|| schedule_one(&pod, &self.cluster.snapshot));
        self.metrics.decided(started.elapsed());
        match decision {
            Ok(choice) => {
                let nodes = self.cluster.snapshot.nodes.len().max(1);
                self.cluster.snapshot.start = (self.cluster.snapshot.start + choice.evaluated) % nodes;
                self.cluster.assume(pod.clone(), &choice.node);
                let (client, events) = (self.client.clone(), self.events.clone());
                let write = async move {
                    let bound = bind(&client, &events, &pod, &choice.node).await;
                    Outcome::Bound { uid: pod.uid.to_string(), bound, since: started }
                };
                self.writes.spawn(write.instrument(span));
            }
            Err(refused) => {
                self.metrics.attempted("unschedulable", started.elapsed());
                self.refuse(&pod, &refused);
            }
        }
    }

    fn refuse(&mut self, pod: &Arc<PodInfo>, refused: &FitError) {
        self.cluster.queue.refused(&pod.uid, refused.changes, Instant::now());
        let (client, events) = (self.client.clone(), self.events.clone());
        let (pod, message) = (pod.clone(), refused.to_string());
        self.writes.spawn(async move {
            explain(&client, &events, &pod, message).await;
            Outcome::Explained
        });
    }

    fn conclude(&mut self, outcome: Option<Outcome>) {
        let Some(Outcome::Bound { uid, bound, since }) = outcome else { return };
        let result = if bound == Bound::Yes { "scheduled" } else { "error" };
        self.metrics.attempted(result, since.elapsed());
        if bound != Bound::Yes {
            self.cluster.forget(&uid, bound == Bound::Failed, Instant::now());
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
