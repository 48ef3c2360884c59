//! One autoscaler: reads caches and figures, asks [`decide`], writes `/scale`, status,
//! events and the decision's row.
//!
//! It wakes with new samples, with its object's changes, and when something that holds it
//! back lets go. A look costs memory reads; the target's scale is read when something may
//! have changed it, and always before it is written. What a look rests on is compared with
//! the look before: the same again decides nothing. Status is written when it says
//! something new, and the figures in it every 15 s.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{
    api::{
        autoscaling::v1::Scale,
        autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus},
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tiphys_api::{decisions::Decision, selector::LabelSelector};
use tiphys_client::LeanPod;
use tokio::{sync::watch, time::Instant};

use crate::{
    ask::Asking,
    clock::Clock,
    conditions,
    controller::{Shared, micros},
    course::{self, Course},
    decide::{Asked, Look, Memory, Verdict, decide},
    forecast,
    pods::belong,
    selectors,
    spec::Spec,
    status,
    targets::{self, TargetError, sentence},
    trouble::Trouble,
    warned::Warned,
    zero::ScaledToZero,
};

const SECOND: i64 = 1_000_000;
/// What the newest rates are taken over: long enough to be calm, short enough that a load step
/// shows in the next decision.
const WINDOW: i64 = 2 * SECOND;
/// How often figures alone are worth a status write or a row.
const FIGURES: i64 = 15 * SECOND;
/// How long a scale counts as read, where nothing tells of a change.
const SCALE: i64 = 10 * SECOND;
/// Samples of several nodes that come this close together are one look.
const TOGETHER: Duration = Duration::from_millis(250);
/// How often the past is asked.
const FORECAST: i64 = 60 * SECOND;

pub struct Worker {
    shared: Arc<Shared>,
    object: watch::Receiver<Arc<HorizontalPodAutoscaler>>,
    namespace: String,
    name: String,
    begun: Instant,
    clock: Clock,
    kept: Kept,
}

/// What is kept from look to look. Times are of the clock, microseconds.
#[derive(Default)]
struct Kept {
    memory: Memory,
    scale: Option<(Scale, i64)>,
    pods: Vec<Arc<LeanPod>>,
    pods_of: Option<(LabelSelector, (u64, u64), i64)>,
    rivals: Vec<String>,
    rivals_of: Option<(u64, u64)>,
    /// What the last decision rested on.
    stamp: u64,
    due: i64,
    written_at: i64,
    recorded_at: i64,
    recorded: (i32, i32, String, String),
    zero: ScaledToZero,
    warned: Warned,
    /// Of statuses that could not be written.
    unwritten: Warned,
    forecast: Option<i32>,
    forecast_at: i64,
}

impl Kept {
    /// The clock was set by so much: all that is kept is as old as it was.
    fn shift(&mut self, by: i64) {
        self.memory.shift(by);
        let scale = self.scale.as_mut().map(|(_, at)| at);
        let pods = self.pods_of.as_mut().map(|(_, _, since)| since);
        [&mut self.warned, &mut self.unwritten].into_iter().for_each(|warned| warned.shift(by));
        let own = [&mut self.due, &mut self.written_at, &mut self.recorded_at, &mut self.forecast_at];
        let all = own.into_iter().chain(scale).chain(pods);
        all.for_each(|time| *time = time.saturating_add(by));
    }
}

impl Worker {
    pub fn new(shared: Arc<Shared>, object: watch::Receiver<Arc<HorizontalPodAutoscaler>>) -> Self {
        let scaler = object.borrow().clone();
        let (namespace, name) = (scaler.namespace().unwrap_or_default(), scaler.name_any());
        let course = Course::with_looks_each(micros(shared.config.sync_period).max(SECOND));
        let kept = Kept { memory: Memory { course, ..Memory::default() }, ..Kept::default() };
        let (begun, clock) = (Instant::now(), Clock::default());
        Self { shared, object, namespace, name, begun, clock, kept }
    }

    pub async fn run(mut self) -> Result<(), Infallible> {
        let mut fresh = self.shared.source.fresh();
        loop {
            self.shared.metrics.rounds.inc();
            let looked = Instant::now();
            if let Err(error) = self.look().await {
                self.shared.metrics.failures.inc();
                self.kept.scale = None;
                let (namespace, name) = (&self.namespace, &self.name);
                tracing::warn!(namespace, name, %error, "autoscaler could not act");
            }
            let wait = self.kept.due.saturating_sub(Timestamp::now().as_microsecond());
            let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0)).max(TOGETHER);
            tokio::select! {
                changed = fresh.changed() => if changed.is_err() { return Ok(()) },
                changed = self.object.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep(wait) => {}
            }
            tokio::time::sleep_until(looked + TOGETHER).await;
            fresh.mark_unchanged();
        }
    }

    async fn look(&mut self) -> Result<(), TargetError> {
        let now = Timestamp::now().as_microsecond();
        let running = i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.kept.shift(self.clock.set_by(now, running));
        let scaler = self.object.borrow_and_update().clone();
        let spec = Spec::of(&scaler.spec, &self.shared.config);
        self.foretell(&scaler, now).await;
        // Twice: what is to be written is decided on a scale that was just read.
        for is_second in [false, true] {
            if is_second {
                self.kept.scale = None;
            }
            let scale = match self.scale(&scaler, now).await {
                Ok(scale) => scale,
                Err(error) => {
                    let told = self.unreachable(&scaler, error.to_string(), now).await;
                    return told.map_err(TargetError::Api);
                }
            };
            let numbers = Numbers::of(&scale);
            let scaled_to_zero = self.kept.zero.find(status::scaled_to_zero(&scaler), numbers.spec);
            let (asked, blocked, newest) =
                self.ask(&spec, &scale, numbers, scaled_to_zero, WINDOW, now).await;
            let stamp = stamp(&scaler, numbers, newest, blocked.is_some());
            if !is_second && stamp == self.kept.stamp && now < self.kept.due {
                return Ok(());
            }
            self.kept.stamp = stamp;
            let slow = match self.kept.memory.course.is_due(now) {
                true => Some(self.ask(&spec, &scale, numbers, scaled_to_zero, course::LOOK, now).await.0),
                false => None,
            };
            let look = Look {
                spec: &spec,
                current: numbers.spec,
                asked: &asked,
                slow: slow.as_deref(),
                blocked,
                forecast: self.kept.forecast,
                scaled_to_zero,
                now,
            };
            let mut memory = self.kept.memory.clone();
            let mut verdict = decide(&look, &mut memory);
            if verdict.decision.desired_replicas != numbers.spec && !is_second {
                continue;
            }
            self.kept.memory = memory;
            self.complete(&mut verdict, &scaler, newest, now);
            let written = match verdict.decision.desired_replicas == numbers.spec {
                true => Ok(()),
                false => {
                    if verdict.decision.desired_replicas == 0 {
                        self.announce_zero(&scaler, now).await?;
                    }
                    self.write_scale(&scaler, &scale, &mut verdict, now).await
                }
            };
            // Again, as the status may not have been written when it came about.
            verdict.conditions.extend(self.kept.zero.condition());
            let mistake = forecast::mistake_of(&scaler).map(|mistake| ("InvalidPredictAnnotation", mistake));
            verdict.warnings.extend(mistake);
            self.warn(&scaler, &verdict, now);
            self.record(&verdict, now);
            let status = new_status(&scaler, &verdict, &asked, numbers.spec, now);
            self.kept.due = now + FIGURES;
            if let Some(until) = verdict.decision.held_until {
                self.kept.due = self.kept.due.min(until.max(now + SECOND));
            }
            self.write_status(&scaler, status, now).await?;
            return written;
        }
        Ok(())
    }

    /// Says it before it is done: who is killed in between must not find the target switched off.
    async fn announce_zero(&self, scaler: &HorizontalPodAutoscaler, now: i64) -> Result<(), TargetError> {
        let old = scaler.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let conditions = conditions::merge(old, &[conditions::scaled_to_zero(true)], &time(now));
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.shared.client.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
        api.patch_status(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Asks the past, where the autoscaler's annotation wants it.
    async fn foretell(&mut self, scaler: &HorizontalPodAutoscaler, now: i64) {
        let Some(days) = forecast::days(scaler) else {
            self.kept.forecast = None;
            return;
        };
        if now - self.kept.forecast_at < FORECAST {
            return;
        }
        let ranges = forecast::ranges(days, now);
        let asked = self.shared.sink.asked(&self.namespace, &self.name, &ranges).await;
        self.kept.forecast = forecast::of(&asked);
        self.kept.forecast_at = now;
    }

    /// The target's scale: as it was read, unless something may have changed it.
    async fn scale(&mut self, scaler: &HorizontalPodAutoscaler, now: i64) -> Result<Scale, TargetError> {
        if let Some((scale, at)) = &self.kept.scale
            && now - at < SCALE
        {
            return Ok(scale.clone());
        }
        let scale = self.shared.targets.scale(&self.namespace, &scaler.spec.scale_target_ref).await?;
        self.kept.scale = Some((scale.clone(), now));
        Ok(scale)
    }

    /// What each metric proposes, what forbids to ask them, and when the newest sample was taken.
    async fn ask(
        &mut self,
        spec: &Spec,
        scale: &Scale,
        numbers: Numbers,
        scaled_to_zero: bool,
        window: i64,
        now: i64,
    ) -> (Vec<Asked>, Option<Trouble>, i64) {
        let is_asked = match numbers.spec {
            0 => spec.wakes(scaled_to_zero),
            some => some <= spec.max && some >= spec.min,
        };
        if !is_asked {
            return (Vec::new(), None, 0);
        }
        let text = scale.status.as_ref().and_then(|status| status.selector.as_deref()).unwrap_or("");
        let selector = match selectors::parse(text) {
            Ok(selector) => selector,
            Err(trouble) => return (Vec::new(), Some(trouble), 0),
        };
        self.find_pods(&selector, now);
        if self.kept.rivals.len() > 1 {
            return (Vec::new(), Some(selectors::ambiguous(&self.namespace, text, &self.kept.rivals)), 0);
        }
        let asking = Asking {
            source: &*self.shared.source,
            config: self.shared.config,
            spec,
            namespace: &self.namespace,
            pods: &self.kept.pods,
            current: numbers.spec,
            status: numbers.status,
            window,
            now,
        };
        let (asked, newest) = asking.all().await;
        (asked, None, newest)
    }

    /// Finds the target's Pods again if any of the namespace may have changed.
    fn find_pods(&mut self, selector: &LabelSelector, now: i64) {
        let version = self.shared.versions.of(&self.namespace);
        let known = self.kept.pods_of.as_ref();
        if !known.is_some_and(|(of, at, since)| of == selector && *at == version && now - since < FIGURES) {
            let pods = belong(self.shared.pods.in_namespace(&self.namespace), selector);
            let same = pods.len() == self.kept.pods.len()
                && pods.iter().zip(&self.kept.pods).all(|(new, old)| new.uid == old.uid);
            self.kept.pods = pods;
            self.kept.pods_of = Some((selector.clone(), version, now));
            if !same {
                // Somebody may have scaled the target.
                self.kept.scale = self.kept.scale.take().map(|(scale, _)| (scale, 0));
            }
            self.kept.rivals_of = None;
        }
        let claims = self.shared.selectors.set(&self.namespace, &self.name, selector);
        let generation = Some((claims, 0));
        if self.kept.rivals_of != generation {
            self.kept.rivals = self.shared.selectors.claiming(&self.namespace, &self.kept.pods);
            self.kept.rivals_of = generation;
        }
    }

    fn complete(&self, verdict: &mut Verdict, scaler: &HorizontalPodAutoscaler, newest: i64, now: i64) {
        let target = &scaler.spec.scale_target_ref;
        let decision = &mut verdict.decision;
        decision.namespace.clone_from(&self.namespace);
        decision.autoscaler.clone_from(&self.name);
        decision.target = format!("{}/{}", target.kind, target.name);
        // Not of the future: another node's clock may be ahead, and ours may just have been set back.
        decision.sample_age_ms = if newest > 0 { (now - newest).max(0) / 1000 } else { 0 };
        if newest > 0 {
            self.shared.metrics.sample_age.observe(decision.sample_age_ms as f64 / 1000.0);
        }
    }

    async fn write_scale(
        &mut self,
        scaler: &HorizontalPodAutoscaler,
        scale: &Scale,
        verdict: &mut Verdict,
        now: i64,
    ) -> Result<(), TargetError> {
        let (current, desired) = (verdict.decision.current_replicas, verdict.decision.desired_replicas);
        self.kept.scale = None;
        let target = &scaler.spec.scale_target_ref;
        let because = std::mem::take(&mut verdict.because);
        match self.shared.targets.write(&self.namespace, target, scale, desired).await {
            Ok(()) => {
                verdict.decision.scaled = true;
                verdict.conditions.push(conditions::rescaled(desired));
                self.kept.zero.scaled(current, desired);
                self.kept.memory.events.record(current, desired, now);
                self.shared.metrics.scaled.inc();
                let note = format!("New size: {desired}; reason: {because}");
                self.shared.events.normal(scaler, "SuccessfulRescale", note);
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                verdict.decision.failure = format!("the scale could not be written: {why}");
                verdict.conditions.push(conditions::not_rescaled(&why));
                let note = format!("New size: {desired}; reason: {because}; error: {why}");
                verdict.warnings.push(("FailedRescale", note));
                Err(error)
            }
        }
    }

    /// Events of trouble: when it is new, and now and then.
    fn warn(&mut self, scaler: &HorizontalPodAutoscaler, verdict: &Verdict, now: i64) {
        for (reason, message) in self.kept.warned.news(&verdict.warnings, now) {
            self.shared.events.warning(scaler, reason, message.clone());
        }
    }

    /// A row for each change of the outcome, and one every 15 s.
    fn record(&mut self, verdict: &Verdict, now: i64) {
        let decision = &verdict.decision;
        let (current, desired) = (decision.current_replicas, decision.desired_replicas);
        let outcome = (current, desired, decision.limited_by.clone(), decision.failure.clone());
        if decision.scaled || outcome != self.kept.recorded || now - self.kept.recorded_at >= FIGURES {
            self.kept.recorded = outcome;
            self.kept.recorded_at = now;
            self.shared.sink.record(decision.clone());
        }
    }

    async fn write_status(
        &mut self,
        scaler: &HorizontalPodAutoscaler,
        status: HorizontalPodAutoscalerStatus,
        now: i64,
    ) -> Result<(), kube::Error> {
        let old = scaler.status.as_ref();
        let due = status::reads_differently(old, &status) && now - self.kept.written_at >= FIGURES;
        if !due && !status::differs(old, &status) {
            return Ok(());
        }
        self.kept.written_at = now;
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.shared.client.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"status": status}));
        let written = match api.patch_status(&self.name, &PatchParams::default(), &patch).await {
            // It was deleted in between.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            written => written.map(drop),
        };
        let failure = written.as_ref().err().map(|error| ("FailedUpdateStatus", sentence(error)));
        for (reason, message) in self.kept.unwritten.news(failure.as_slice(), now) {
            self.shared.events.warning(scaler, reason, message.clone());
        }
        written
    }

    /// The target's scale can't be read: said in the conditions and an event, not in each look.
    async fn unreachable(
        &mut self,
        scaler: &HorizontalPodAutoscaler,
        why: String,
        now: i64,
    ) -> Result<(), kube::Error> {
        let mut new = scaler.status.clone().unwrap_or_default();
        let failed = [conditions::scale_was_not_read(&why)];
        let old = new.conditions.as_deref().unwrap_or_default();
        new.conditions = Some(conditions::merge(old, &failed, &time(now)));
        let verdict = Verdict {
            decision: Decision {
                time: now,
                current_replicas: new.current_replicas.unwrap_or_default(),
                desired_replicas: new.current_replicas.unwrap_or_default(),
                min_replicas: scaler.spec.min_replicas.unwrap_or(1),
                max_replicas: scaler.spec.max_replicas,
                limited_by: "failure".to_owned(),
                reason: format!("the target's scale can't be read: {why}"),
                failure: why.clone(),
                ..Default::default()
            },
            conditions: Vec::new(),
            warnings: vec![("FailedGetScale", why)],
            because: String::new(),
            failed: true,
        };
        let mut verdict = verdict;
        self.complete(&mut verdict, scaler, 0, now);
        self.warn(scaler, &verdict, now);
        self.record(&verdict, now);
        self.kept.due = now + SCALE;
        self.write_status(scaler, new, now).await
    }
}

/// A scale's two numbers of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Numbers {
    spec: i32,
    status: i32,
}

impl Numbers {
    fn of(scale: &Scale) -> Self {
        Self {
            spec: targets::replicas(scale),
            status: scale.status.as_ref().map_or(0, |status| status.replicas),
        }
    }
}

/// What a decision rests on, beside the time.
fn stamp(scaler: &HorizontalPodAutoscaler, numbers: Numbers, newest: i64, blocked: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    (scaler.metadata.generation, numbers, newest, blocked).hash(&mut hasher);
    hasher.finish()
}

fn new_status(
    scaler: &HorizontalPodAutoscaler,
    verdict: &Verdict,
    asked: &[Asked],
    current: i32,
    now: i64,
) -> HorizontalPodAutoscalerStatus {
    let old = scaler.status.as_ref();
    let conditions = old.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let Decision { scaled, desired_replicas, .. } = verdict.decision;
    // What could not be written leaves them, too.
    let desired = match verdict.failed || (desired_replicas != current && !scaled) {
        true => old.map_or(0, |status| status.desired_replicas),
        false => desired_replicas,
    };
    HorizontalPodAutoscalerStatus {
        conditions: Some(conditions::merge(conditions, &verdict.conditions, &time(now))),
        current_metrics: Some(status::current_metrics(asked)),
        current_replicas: Some(current),
        desired_replicas: desired,
        last_scale_time: match scaled {
            true => Some(time(now)),
            false => old.and_then(|status| status.last_scale_time.clone()),
        },
        observed_generation: scaler.metadata.generation,
    }
}

fn time(micros: i64) -> Time {
    Time(Timestamp::from_microsecond(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_as_old_after_the_clock_was_set_as_before() {
        let mut kept = Kept {
            scale: Some((Scale::default(), 1)),
            pods_of: Some((LabelSelector::default(), (0, 0), 2)),
            due: 3,
            written_at: 4,
            recorded_at: 5,
            forecast_at: 6,
            ..Kept::default()
        };
        kept.shift(-3_600_000_000);
        kept.shift(7_200_000_000);
        let times = [
            kept.scale.as_ref().map_or(0, |(_, at)| *at),
            kept.pods_of.as_ref().map_or(0, |(_, _, since)| *since),
            kept.due,
            kept.written_at,
            kept.recorded_at,
            kept.forecast_at,
        ];
        assert_eq!(times.map(|time| time - 3_600_000_000), [1, 2, 3, 4, 5, 6]);
    }
}
