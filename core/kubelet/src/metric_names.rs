//! Every metric of the kubelet, with its help.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};
use tiphys_telemetry::Component;

/// Seconds, from a fast local start to a slow pull.
const START_BUCKETS: [f64; 10] = [0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0];

#[derive(Clone)]
pub(crate) struct Metrics {
    pub component: Component,
    pub workers: Gauge,
    pub containers_started: Counter,
    pub containers_failed: Counter,
    pub pod_start_seconds: Histogram,
    pub status_writes: Counter,
    pub safety_relists: Counter,
    /// Changes that only the slow relist found: should stay at zero.
    pub missed_events: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            component: Component::new("kubelet"),
            workers: Gauge::default(),
            containers_started: Counter::default(),
            containers_failed: Counter::default(),
            pod_start_seconds: Histogram::new(START_BUCKETS),
            status_writes: Counter::default(),
            safety_relists: Counter::default(),
            missed_events: Counter::default(),
        };
        metrics.component.registry(|registry| {
            registry.register(
                "tiphys_kubelet_pod_workers",
                "Pods that have a worker",
                metrics.workers.clone(),
            );
            registry.register(
                "tiphys_kubelet_containers_started",
                "Containers started",
                metrics.containers_started.clone(),
            );
            registry.register(
                "tiphys_kubelet_container_start_failures",
                "Containers that could not be started",
                metrics.containers_failed.clone(),
            );
            registry.register(
                "tiphys_kubelet_pod_start_seconds",
                "From the first sight of a Pod to its last container's start",
                metrics.pod_start_seconds.clone(),
            );
            registry.register(
                "tiphys_kubelet_status_writes",
                "Writes of Pods' status to the API",
                metrics.status_writes.clone(),
            );
            registry.register(
                "tiphys_kubelet_safety_relists",
                "Lists of all containers, in case an event was lost",
                metrics.safety_relists.clone(),
            );
            registry.register(
                "tiphys_kubelet_missed_events",
                "Changes of containers that only a relist found",
                metrics.missed_events.clone(),
            );
        });
        metrics
    }
}
