//! The metrics of the scheduler: their names and what they mean.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tiphys_telemetry::Component;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
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
    pub attempts: Family<ByResult, Counter>,
    pub seconds: Histogram,
    pub pending: Family<ByQueue, Gauge>,
}

impl Metrics {
    pub fn register(component: &Component) -> Self {
        let metrics = Self {
            attempts: Family::default(),
            seconds: Histogram::new([0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5]),
            pending: Family::default(),
        };
        component.registry(|registry| {
            registry.register("scheduler_attempts", "Decisions by result", metrics.attempts.clone());
            registry.register("scheduler_decision_seconds", "Time of a decision", metrics.seconds.clone());
            registry.register("scheduler_pending_pods", "Pods that wait", metrics.pending.clone());
        });
        metrics
    }

    pub fn count(&self, result: &'static str) {
        self.attempts.get_or_create(&ByResult { result }).inc();
    }

    pub fn waiting(&self, sizes: [usize; 3]) {
        for (queue, size) in ["active", "backoff", "unschedulable"].into_iter().zip(sizes) {
            self.pending.get_or_create(&ByQueue { queue }).set(size as i64);
        }
    }
}
