//! The metrics of the scheduler: their names, which are kube-scheduler's, and what they mean.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tiphys_telemetry::Component;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
    /// The scheduler's name.
    pub profile: String,
    /// `scheduled`, `unschedulable`, `error`.
    pub result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByQueue {
    /// `active`, `backoff`, `unschedulable`.
    pub queue: &'static str,
}

/// Clones share the figures.
#[derive(Clone)]
pub struct Metrics {
    profile: String,
    attempts: Family<ByResult, Counter>,
    attempt_seconds: Family<ByResult, Histogram>,
    decision_seconds: Histogram,
    pending: Family<ByQueue, Gauge>,
}

impl Metrics {
    /// Registers all of them with `component`; `profile` is the scheduler's name.
    pub fn register(component: &Component, profile: &str) -> Self {
        let metrics = Self {
            profile: profile.to_owned(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0])
            }),
            decision_seconds: Histogram::new([0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5]),
            pending: Family::default(),
        };
        component.registry(|registry| {
            registry.register(
                "scheduler_schedule_attempts",
                "Attempts to find a Pod a Node, by result",
                metrics.attempts.clone(),
            );
            registry.register(
                "scheduler_scheduling_attempt_duration_seconds",
                "Time of an attempt: the decision, and its binding where there is one",
                metrics.attempt_seconds.clone(),
            );
            registry.register(
                "scheduler_scheduling_algorithm_duration_seconds",
                "Time of a decision",
                metrics.decision_seconds.clone(),
            );
            registry.register("scheduler_pending_pods", "Pods that wait", metrics.pending.clone());
        });
        metrics
    }

    /// A decision was made, whichever.
    pub fn decided(&self, took: Duration) {
        self.decision_seconds.observe(took.as_secs_f64());
    }

    /// An attempt has ended.
    pub fn attempted(&self, result: &'static str, took: Duration) {
        let labels = ByResult { profile: self.profile.clone(), result };
        self.attempts.get_or_create(&labels).inc();
        self.attempt_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub fn waiting(&self, sizes: [usize; 3]) {
        for (queue, size) in ["active", "backoff", "unschedulable"].into_iter().zip(sizes) {
            self.pending.get_or_create(&ByQueue { queue }).set(size as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_told_under_kube_schedulers_names() {
        let component = Component::new("scheduler");
        let metrics = Metrics::register(&component, "default-scheduler");
        metrics.decided(Duration::from_millis(1));
        metrics.attempted("scheduled", Duration::from_millis(9));
        metrics.attempted("scheduled", Duration::from_millis(9));
        metrics.attempted("unschedulable", Duration::from_millis(1));
        metrics.waiting([1, 2, 3]);
        let text = component.render();
        let timed = "scheduler_scheduling_attempt_duration_seconds_count";
        let timed = format!(r#"{timed}{{profile="default-scheduler",result="scheduled"}} 2"#);
        for line in [
            r#"scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 2"#,
            r#"scheduler_schedule_attempts_total{profile="default-scheduler",result="unschedulable"} 1"#,
            timed.as_str(),
            "scheduler_scheduling_algorithm_duration_seconds_count 1",
            r#"scheduler_pending_pods{queue="unschedulable"} 3"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
    }
}
