//! The API server's own metrics. Names and helps stand here, nowhere else.

use std::{sync::atomic::AtomicI64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tiphys_telemetry::Component;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub verb: String,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LatencyLabels {
    pub verb: String,
    pub resource: String,
}

/// Counts and times of requests.
#[derive(Clone)]
pub struct Metrics {
    pub component: Component,
    requests: Family<RequestLabels, Counter>,
    durations: Family<LatencyLabels, Histogram>,
    in_flight: Gauge<i64, AtomicI64>,
    watches: Gauge<i64, AtomicI64>,
}

/// Seconds: from a cached GET to a slow LIST.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            component: Component::new("apiserver"),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
            watches: Gauge::default(),
        };
        metrics.component.registry(|registry| {
            registry.register(
                "apiserver_request",
                "Requests by verb, resource and code",
                metrics.requests.clone(),
            );
            registry.register(
                "apiserver_request_duration_seconds",
                "Time to the response's head, watches left out",
                metrics.durations.clone(),
            );
            registry.register(
                "apiserver_current_inflight_requests",
                "Requests whose response hasn't begun",
                metrics.in_flight.clone(),
            );
            registry.register("apiserver_watches", "Watches that are open", metrics.watches.clone());
        });
        metrics
    }
}

impl Metrics {
    pub fn begin(&self) -> InFlight {
        InFlight::of(&self.in_flight)
    }

    /// Counts a watch until the value is dropped.
    pub fn watch(&self) -> InFlight {
        InFlight::of(&self.watches)
    }

    pub fn end(&self, labels: RequestLabels, took: Duration) {
        if labels.verb != "watch" {
            let key = LatencyLabels { verb: labels.verb.clone(), resource: labels.resource.clone() };
            self.durations.get_or_create(&key).observe(took.as_secs_f64());
        }
        self.requests.get_or_create(&labels).inc();
    }
}

/// One more while it lives.
pub struct InFlight(Gauge<i64, AtomicI64>);

impl InFlight {
    fn of(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
