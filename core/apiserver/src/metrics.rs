//! The API server's own metrics. Names and helps stand here, nowhere else. Names and labels are
//! kube-apiserver's, so that its dashboards and recording rules are answered.

use std::{sync::atomic::AtomicI64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tiphys_telemetry::Component;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `GET`, `LIST`, `WATCH`, `POST`, `PUT`, `PATCH`, `APPLY`, `DELETE`, `DELETECOLLECTION`,
    /// `CONNECT`; what is no resource has its method, or `OTHER`.
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    /// `resource`, `namespace`, `cluster`; empty of what is no resource.
    pub scope: &'static str,
    pub code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LatencyLabels {
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub scope: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    /// `readOnly`, `mutating`.
    request_kind: &'static str,
}

/// Counts and times of requests.
#[derive(Clone)]
pub struct Metrics {
    pub component: Component,
    requests: Family<RequestLabels, Counter>,
    durations: Family<LatencyLabels, Histogram>,
    reading: Gauge<i64, AtomicI64>,
    writing: Gauge<i64, AtomicI64>,
    watches: Gauge<i64, AtomicI64>,
}

/// Seconds: from a cached GET to a slow LIST. Those of 1, 5 and 30 are what the usual rules take
/// for good enough, of an object, a namespace and the whole cluster.
const BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

impl Default for Metrics {
    fn default() -> Self {
        let in_flight = Family::<ByKind, Gauge<i64, AtomicI64>>::default();
        let of_kind = |request_kind| in_flight.get_or_create_owned(&ByKind { request_kind });
        let metrics = Self {
            component: Component::new("apiserver"),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            reading: of_kind("readOnly"),
            writing: of_kind("mutating"),
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
                "Time to the response's head, watches and streams left out",
                metrics.durations.clone(),
            );
            // The usual rules ask for it by this name. Webhooks' time isn't taken out of it.
            registry.register(
                "apiserver_request_sli_duration_seconds",
                "The same, under the name that objectives are measured by",
                metrics.durations.clone(),
            );
            registry.register(
                "apiserver_current_inflight_requests",
                "Requests whose response hasn't begun",
                in_flight,
            );
            registry.register("apiserver_watches", "Watches that are open", metrics.watches.clone());
        });
        metrics
    }
}

impl Metrics {
    /// Counts a request until the value is dropped.
    pub fn begin(&self, is_reading: bool) -> InFlight {
        InFlight::of(if is_reading { &self.reading } else { &self.writing })
    }

    /// Counts a watch until the value is dropped.
    pub fn watch(&self) -> InFlight {
        InFlight::of(&self.watches)
    }

    pub fn end(&self, labels: RequestLabels, took: Duration) {
        if !matches!(labels.verb, "WATCH" | "CONNECT") {
            let RequestLabels { verb, scope, .. } = labels;
            let key = LatencyLabels {
                verb,
                group: labels.group.clone(),
                version: labels.version.clone(),
                resource: labels.resource.clone(),
                subresource: labels.subresource.clone(),
                scope,
            };
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
