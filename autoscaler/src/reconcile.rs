//! The edge: reads caches and figures, asks [`decide`], writes `/scale`, status,
//! events and the decision's row.
//!
//! One task for all autoscalers: it wakes with new samples or a changed
//! autoscaler, and handles them one after the other; a round costs memory reads
//! and one `GET scale` each. Status is written when it says something new, and
//! the figures in it every 15 s.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::Arc,
};

use futures::StreamExt;
use k8s_openapi::{
    api::{
        autoscaling::v1::Scale,
        autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus},
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    runtime::watcher,
};
use serde_json::json;
use tiphys_api::{decisions::Decision, selector::LabelSelector};
use tiphys_client::{Cache, Events, LeanPod, Reporter};
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_telemetry::Component;

use crate::{
    decide::{Asked, Memory, Refusal, decide},
    formula::{Question, Rules, propose},
    metric_names::Metrics,
    pods::{belongs, view},
    source::{DecisionSink, MetricName, MetricSource},
    spec::{Metric, Spec},
    status,
};

const SECOND: i64 = 1_000_000;
/// How often figures alone are worth a status write or a row.
const FIGURES: i64 = 15 * SECOND;

/// Windows for Pods that start; upstream's defaults.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    pub cpu_initialization: std::time::Duration,
    pub initial_readiness: std::time::Duration,
}

impl Default for Config {
    fn default() -> Self {
        let seconds = std::time::Duration::from_secs;
        Self { cpu_initialization: seconds(300), initial_readiness: seconds(30) }
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
    let events = Events::start(client.clone(), tasks, reporter);
    let metrics = Metrics::register(component);
    let autoscaler = Autoscaler { config, client, source, sink, scalers, pods, events, metrics };
    tasks.spawn("autoscaler", OnError::Log, autoscaler.run());
}

struct Autoscaler {
    config: Config,
    client: Client,
    source: Arc<dyn MetricSource>,
    sink: Arc<dyn DecisionSink>,
    scalers: Cache<HorizontalPodAutoscaler>,
    pods: Cache<LeanPod>,
    events: Events,
    metrics: Metrics,
}

/// What is kept of one autoscaler from round to round.
#[derive(Default)]
struct Kept {
    memory: Memory,
    written_at: i64,
    recorded_at: i64,
    recorded: (i32, String),
}

impl Autoscaler {
    async fn run(self) -> Result<(), Infallible> {
        self.scalers.ready().await;
        self.pods.ready().await;
        let mut fresh = self.source.fresh();
        let mut changes = Box::pin(self.scalers.changes());
        let mut kept: HashMap<String, Kept> = HashMap::new();
        loop {
            tokio::select! {
                changed = fresh.changed() => if changed.is_err() { return Ok(()) },
                changed = changes.next() => if changed.is_none() { return Ok(()) },
            }
            let scalers = self.scalers.list();
            let uids: HashSet<_> = scalers.iter().filter_map(|scaler| scaler.uid()).collect();
            kept.retain(|uid, _| uids.contains(uid));
            for scaler in scalers {
                let kept = kept.entry(scaler.uid().unwrap_or_default()).or_default();
                self.metrics.rounds.inc();
                if let Err(error) = self.reconcile(&scaler, kept).await {
                    self.metrics.failures.inc();
                    tracing::warn!(namespace = ?scaler.namespace(), name = %scaler.name_any(), %error, "autoscaler could not act");
                }
            }
        }
    }

    async fn reconcile(&self, scaler: &HorizontalPodAutoscaler, kept: &mut Kept) -> Result<(), kube::Error> {
        let now = Timestamp::now().as_microsecond();
        let Some(target) = self.target(scaler) else { return Ok(()) };
        let name = scaler.spec.scale_target_ref.name.as_str();
        let scale = match target.get_scale(name).await {
            Ok(scale) => scale,
            Err(error) => return self.unreachable(scaler, kept, &error, now).await,
        };
        let current = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let spec = Spec::of(&scaler.spec);
        let (asked, newest) = self.ask(scaler, &spec, &scale, current, now);
        let mut decision = decide(&spec, current, &asked, &mut kept.memory, now);
        if let Ok(decision) = &mut decision {
            self.complete(decision, scaler, newest, now);
            if decision.desired_replicas != current {
                self.write_scale(&target, scaler, decision).await?;
                kept.memory.events.record(current, decision.desired_replicas, now);
            }
            self.record(decision, kept, now);
        }
        let status = self.status(scaler, &decision, &asked, current, now);
        self.write_status(scaler, status, kept, now).await
    }

    /// What each metric proposes, and when the newest sample was taken.
    fn ask(
        &self,
        scaler: &HorizontalPodAutoscaler,
        spec: &Spec,
        scale: &Scale,
        current: i32,
        now: i64,
    ) -> (Vec<Asked>, i64) {
        let namespace = scaler.namespace().unwrap_or_default();
        let selector = scale.status.as_ref().and_then(|status| status.selector.as_deref()).unwrap_or("");
        let pods = match LabelSelector::parse(selector) {
            Ok(selector) if !selector.selects_all() => belongs(&self.pods.list(), &namespace, &selector),
            _ => Vec::new(),
        };
        let mut newest = 0;
        let asked = spec
            .metrics
            .iter()
            .map(|metric| match metric {
                Err(error) => Asked { metric: None, result: Err(error.clone()) },
                Ok(metric) => {
                    let result = self.ask_one(metric, spec, &namespace, &pods, current, now, &mut newest);
                    Asked { metric: Some(metric.clone()), result }
                }
            })
            .collect();
        (asked, newest)
    }

    #[expect(clippy::too_many_arguments, reason = "one caller, which has them all at hand")]
    fn ask_one(
        &self,
        metric: &Metric,
        spec: &Spec,
        namespace: &str,
        pods: &[Arc<LeanPod>],
        current: i32,
        now: i64,
        newest: &mut i64,
    ) -> Result<crate::formula::Proposal, String> {
        let views: Vec<_> = pods.iter().map(|pod| view(pod, &metric.name)).collect();
        let names: Vec<_> = views.iter().map(|view| view.name.as_str()).collect();
        let readings = self.source.read(namespace, &names, &metric.name)?;
        *newest = readings.values().map(|reading| reading.time).max().unwrap_or(0).max(*newest);
        let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        propose(&Question {
            current_replicas: current,
            goal: metric.goal,
            pods: &views,
            readings: &readings,
            is_cpu: matches!(&metric.name, MetricName::Resource { resource, .. } if resource == "cpu"),
            rules: Rules {
                tolerance_up: spec.up.tolerance,
                tolerance_down: spec.down.tolerance,
                cpu_initialization: micros(self.config.cpu_initialization),
                initial_readiness: micros(self.config.initial_readiness),
            },
            now,
        })
    }

    fn complete(&self, decision: &mut Decision, scaler: &HorizontalPodAutoscaler, newest: i64, now: i64) {
        let target = &scaler.spec.scale_target_ref;
        decision.namespace = scaler.namespace().unwrap_or_default();
        decision.autoscaler = scaler.name_any();
        decision.target = format!("{}/{}", target.kind, target.name);
        decision.sample_age_ms = if newest > 0 { (now - newest) / 1000 } else { 0 };
        if newest > 0 {
            self.metrics.sample_age.observe(decision.sample_age_ms as f64 / 1000.0);
        }
    }

    /// A row for each change of the outcome, and one every 15 s.
    fn record(&self, decision: &Decision, kept: &mut Kept, now: i64) {
        let outcome = (decision.desired_replicas, decision.limited_by.clone());
        if decision.scaled || outcome != kept.recorded || now - kept.recorded_at >= FIGURES {
            kept.recorded = outcome;
            kept.recorded_at = now;
            self.sink.record(decision.clone());
        }
    }

    async fn write_scale(
        &self,
        target: &Api<DynamicObject>,
        scaler: &HorizontalPodAutoscaler,
        decision: &mut Decision,
    ) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({"spec": {"replicas": decision.desired_replicas}}));
        let name = &scaler.spec.scale_target_ref.name;
        target.patch_scale(name, &PatchParams::default(), &patch).await?;
        decision.scaled = true;
        let note = format!("New size: {}; reason: {}", decision.desired_replicas, decision.reason);
        self.events.normal(scaler, "SuccessfulRescale", note);
        self.metrics.scaled.inc();
        Ok(())
    }

    fn status(
        &self,
        scaler: &HorizontalPodAutoscaler,
        decision: &Result<Decision, Refusal>,
        asked: &[Asked],
        current: i32,
        now: i64,
    ) -> HorizontalPodAutoscalerStatus {
        let old = scaler.status.as_ref();
        let time = Time(Timestamp::from_microsecond(now).unwrap_or_default());
        let conditions = old.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let scaled = decision.as_ref().is_ok_and(|decision| decision.scaled);
        HorizontalPodAutoscalerStatus {
            conditions: Some(status::merge(conditions, &status::conditions(decision), &time)),
            current_metrics: Some(status::current_metrics(asked)),
            current_replicas: Some(current),
            desired_replicas: decision.as_ref().map_or(current, |decision| decision.desired_replicas),
            last_scale_time: if scaled {
                Some(time)
            } else {
                old.and_then(|status| status.last_scale_time.clone())
            },
            observed_generation: scaler.metadata.generation,
        }
    }

    async fn write_status(
        &self,
        scaler: &HorizontalPodAutoscaler,
        status: HorizontalPodAutoscalerStatus,
        kept: &mut Kept,
        now: i64,
    ) -> Result<(), kube::Error> {
        let old = scaler.status.as_ref();
        let figures = old.and_then(|old| old.current_metrics.as_ref()) != status.current_metrics.as_ref();
        let due = figures && now - kept.written_at >= FIGURES;
        if !due && !status::differs(old, &status) {
            return Ok(());
        }
        kept.written_at = now;
        let namespace = scaler.namespace().unwrap_or_default();
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), &namespace);
        let patch = Patch::Merge(json!({"status": status}));
        api.patch_status(&scaler.name_any(), &PatchParams::default(), &patch).await.map(drop)
    }

    /// The target's scale can't be read: said once in the conditions, not in each round.
    async fn unreachable(
        &self,
        scaler: &HorizontalPodAutoscaler,
        kept: &mut Kept,
        error: &kube::Error,
        now: i64,
    ) -> Result<(), kube::Error> {
        let time = Time(Timestamp::from_microsecond(now).unwrap_or_default());
        let mut new = scaler.status.clone().unwrap_or_default();
        // The API's own sentence; the client's wraps it in what it says already.
        let why = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        let text = format!("the HPA controller was unable to get the target's current scale: {why}");
        let failed = [("AbleToScale", false, "FailedGetScale", text)];
        new.conditions = Some(status::merge(new.conditions.as_deref().unwrap_or_default(), &failed, &time));
        self.write_status(scaler, new, kept, now).await
    }

    fn target(&self, scaler: &HorizontalPodAutoscaler) -> Option<Api<DynamicObject>> {
        let target = &scaler.spec.scale_target_ref;
        let (group, version) = match target.api_version.as_deref().unwrap_or("v1").split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", target.api_version.as_deref().unwrap_or("v1")),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &target.kind));
        Some(Api::namespaced_with(self.client.clone(), &scaler.namespace()?, &resource))
    }
}
