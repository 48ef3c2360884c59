//! What the proxy says about its own work.

use std::time::Duration;

use prometheus_client::metrics::{
    counter::Counter,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};
use tiphys_telemetry::Component;

/// The proxy's figures. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    sync_seconds: Histogram,
    full_syncs: Counter,
    failures: Counter,
    services: Gauge,
    endpoints: Gauge,
    elements: Gauge,
}

impl Metrics {
    /// Registers all of them with `component`.
    pub(crate) fn register(component: &Component) -> Self {
        let metrics = Self {
            sync_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            full_syncs: Counter::default(),
            failures: Counter::default(),
            services: Gauge::default(),
            endpoints: Gauge::default(),
            elements: Gauge::default(),
        };
        component.registry(|registry| {
            registry.register(
                "proxy_sync_seconds",
                "Time from computing the rules of a change to their being in the kernel",
                metrics.sync_seconds.clone(),
            );
            registry.register(
                "proxy_full_syncs",
                "Times the whole table was written",
                metrics.full_syncs.clone(),
            );
            registry.register("proxy_failures", "Transactions that nft refused", metrics.failures.clone());
            registry.register("proxy_services", "Services with rules", metrics.services.clone());
            registry.register(
                "proxy_endpoints",
                "Endpoints over all Service ports",
                metrics.endpoints.clone(),
            );
            registry.register("proxy_elements", "Elements in the shared maps", metrics.elements.clone());
        });
        metrics
    }

    pub(crate) fn synced(
        &self,
        took: Duration,
        is_full: bool,
        (services, endpoints, elements): (usize, usize, usize),
    ) {
        self.sync_seconds.observe(took.as_secs_f64());
        if is_full {
            self.full_syncs.inc();
        }
        for (gauge, value) in
            [(&self.services, services), (&self.endpoints, endpoints), (&self.elements, elements)]
        {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }
}
