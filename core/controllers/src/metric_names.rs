//! The metrics of the controllers: their names and what they mean.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tiphys_telemetry::Component;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByController {
    pub controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
    pub controller: &'static str,
    /// `ok`, `conflict`, `error`.
    pub result: &'static str,
}

/// Clones share the figures.
#[derive(Clone)]
pub struct Metrics {
    pub reconciles: Family<ByResult, Counter>,
    pub seconds: Family<ByController, Histogram>,
    pub depth: Family<ByController, Gauge>,
}

impl Metrics {
    pub fn register(component: &Component) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0])
            }),
            depth: Family::default(),
        };
        component.registry(|registry| {
            registry.register("controller_reconciles", "Reconciles by result", metrics.reconciles.clone());
            registry.register("controller_reconcile_seconds", "Time of a reconcile", metrics.seconds.clone());
            registry.register("controller_queue_depth", "Keys in line", metrics.depth.clone());
        });
        metrics
    }
}
