//! What the proxy says about its own work, under kube-proxy's names where it is the same thing.

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};
use tiphys_telemetry::Component;

use super::pending::{IPV4, Pending};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPolicy {
    ip_family: &'static str,
    /// `internal`, `external`.
    traffic_policy: &'static str,
}

/// The proxy's figures. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub pending: Pending,
    /// Of all syncs, of those that write the whole table, and of the others.
    seconds: Histogram,
    full_seconds: Histogram,
    partial_seconds: Histogram,
    last_sync: Gauge<f64, AtomicU64>,
    failures: Counter,
    no_local_endpoints: Family<ByPolicy, Gauge>,
    services: Gauge,
    endpoints: Gauge,
    elements: Gauge,
}

/// From a millisecond to sixteen seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Metrics {
    /// Registers all of them with `component`.
    pub(crate) fn register(component: &Component) -> Self {
        let metrics = Self {
            pending: Pending::register(component),
            seconds: seconds(),
            full_seconds: seconds(),
            partial_seconds: seconds(),
            last_sync: Gauge::default(),
            failures: Counter::default(),
            no_local_endpoints: Family::default(),
            services: Gauge::default(),
            endpoints: Gauge::default(),
            elements: Gauge::default(),
        };
        component.registry(|registry| {
            for (name, help, histogram) in [
                (
                    "kubeproxy_sync_proxy_rules_duration_seconds",
                    "Time from computing the rules of a change to their being in the kernel",
                    &metrics.seconds,
                ),
                (
                    "kubeproxy_sync_full_proxy_rules_duration_seconds",
                    "The same where the whole table was written",
                    &metrics.full_seconds,
                ),
                (
                    "kubeproxy_sync_partial_proxy_rules_duration_seconds",
                    "The same where only what had changed was written",
                    &metrics.partial_seconds,
                ),
            ] {
                registry.register(name, help, histogram.clone());
            }
            registry.register(
                "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                "When rules were last brought into the kernel, since the Unix epoch",
                metrics.last_sync.clone(),
            );
            registry.register(
                "kubeproxy_sync_proxy_rules_nftables_sync_failures",
                "Transactions that nft refused",
                metrics.failures.clone(),
            );
            registry.register(
                "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
                "Ports of Services that reach nobody from here: all endpoints are on other nodes, and the \
                 traffic policy is Local",
                metrics.no_local_endpoints.clone(),
            );
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

    /// The kernel has the rules: of so many Services, endpoints and elements.
    pub(crate) fn synced(
        &self,
        took: Duration,
        is_full: bool,
        (services, endpoints, elements): (usize, usize, usize),
    ) {
        let took = took.as_secs_f64();
        self.seconds.observe(took);
        let of_kind = if is_full { &self.full_seconds } else { &self.partial_seconds };
        of_kind.observe(took);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_sync.set(now.as_secs_f64());
        for (gauge, value) in
            [(&self.services, services), (&self.endpoints, endpoints), (&self.elements, elements)]
        {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.pending.in_step();
    }

    /// So many ports reach nobody from here under the policy of what comes to a ClusterIP, and under
    /// that of what comes from outside.
    pub(crate) fn without_local_endpoints(&self, internal: usize, external: usize) {
        for (traffic_policy, ports) in [("internal", internal), ("external", external)] {
            let policy = ByPolicy { ip_family: IPV4.ip_family, traffic_policy };
            let ports = i64::try_from(ports).unwrap_or(i64::MAX);
            self.no_local_endpoints.get_or_create(&policy).set(ports);
        }
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    #[test]
    fn syncs_are_told_under_kube_proxys_names() {
        let component = Component::new("proxy");
        let metrics = Metrics::register(&component);
        metrics.pending.service_changed(Timestamp::now());
        metrics.synced(Duration::from_millis(3), true, (1, 2, 3));
        metrics.synced(Duration::from_millis(5), false, (4, 5, 6));
        metrics.synced(Duration::from_millis(7), false, (4, 5, 6));
        metrics.failed();
        metrics.without_local_endpoints(1, 2);
        let text = component.render();
        for line in [
            "kubeproxy_sync_proxy_rules_duration_seconds_count 3",
            "kubeproxy_sync_full_proxy_rules_duration_seconds_count 1",
            "kubeproxy_sync_partial_proxy_rules_duration_seconds_count 2",
            "kubeproxy_sync_proxy_rules_nftables_sync_failures_total 1",
            r#"kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="internal"} 1"#,
            r#"kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"} 2"#,
            "kubeproxy_sync_proxy_rules_service_changes_pending 0",
            "proxy_services 4",
            "proxy_endpoints 5",
            "proxy_elements 6",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
        let last = text.lines().find_map(|line| {
            line.strip_prefix("kubeproxy_sync_proxy_rules_last_timestamp_seconds ")?.parse::<f64>().ok()
        });
        assert!(last.is_some_and(|last| last > 1.7e9), "{text}");
    }
}
