//! Changes on their way into the kernel: how many came, how many are still waited for, and how long
//! it took from what made an endpoint come or go to the rules. Under kube-proxy's names.
//!
//! That last time begins on another machine: whoever wrote an EndpointSlice says in an annotation
//! when its cause was, by its own clock. A slice without the annotation has no such time, and one
//! whose change asks for no other rules is not waited for.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use k8s_openapi::{api::discovery::v1::EndpointSlice, jiff::Timestamp};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tiphys_api::slices::ServiceKey;
use tiphys_telemetry::Component;

/// When the Pod or Service changed that a slice was written for.
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByFamily {
    /// `IPv4`: the proxy writes no other rules.
    pub ip_family: &'static str,
}

pub(crate) const IPV4: ByFamily = ByFamily { ip_family: "IPv4" };

/// The figures of changes. Clones share them.
#[derive(Clone)]
pub(crate) struct Pending {
    endpoint_changes: Counter,
    endpoints_pending: Gauge,
    service_changes: Counter,
    services_pending: Gauge,
    last_queued: Family<ByFamily, Gauge<f64, AtomicU64>>,
    programming_seconds: Family<ByFamily, Histogram>,
}

/// Kube-proxy's buckets: to the second for a minute, then coarser up to five minutes. The first is
/// for what the clocks of two machines make negative.
fn programming_seconds() -> Histogram {
    let seconds = (1..60).map(f64::from);
    let fives = (60..120).step_by(5).map(f64::from);
    let halves = (120..=300).step_by(30).map(f64::from);
    Histogram::new([0.0, 0.25, 0.5].into_iter().chain(seconds).chain(fives).chain(halves))
}

impl Pending {
    /// Registers all of them with `component`.
    pub(crate) fn register(component: &Component) -> Self {
        let pending = Self {
            endpoint_changes: Counter::default(),
            endpoints_pending: Gauge::default(),
            service_changes: Counter::default(),
            services_pending: Gauge::default(),
            last_queued: Family::default(),
            programming_seconds: Family::new_with_constructor(programming_seconds),
        };
        component.registry(|registry| {
            for (name, help, counter) in [
                (
                    "kubeproxy_sync_proxy_rules_endpoint_changes",
                    "Changes of EndpointSlices that were seen",
                    &pending.endpoint_changes,
                ),
                (
                    "kubeproxy_sync_proxy_rules_service_changes",
                    "Changes of Services that were seen",
                    &pending.service_changes,
                ),
            ] {
                registry.register(name, help, counter.clone());
            }
            for (name, help, gauge) in [
                (
                    "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
                    "Changes of EndpointSlices that are not in the kernel yet",
                    &pending.endpoints_pending,
                ),
                (
                    "kubeproxy_sync_proxy_rules_service_changes_pending",
                    "Changes of Services that are not in the kernel yet",
                    &pending.services_pending,
                ),
            ] {
                registry.register(name, help, gauge.clone());
            }
            registry.register(
                "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
                "When a change was last seen, since the Unix epoch",
                pending.last_queued.clone(),
            );
            registry.register(
                "kubeproxy_network_programming_duration_seconds",
                "From what made an endpoint come or go to its rules being in the kernel",
                pending.programming_seconds.clone(),
            );
        });
        pending
    }

    /// A slice came, changed or went.
    pub(crate) fn endpoints_changed(&self, now: Timestamp) {
        self.endpoint_changes.inc();
        self.endpoints_pending.inc();
        self.queued(now);
    }

    /// A Service came, changed or went.
    pub(crate) fn service_changed(&self, now: Timestamp) {
        self.service_changes.inc();
        self.services_pending.inc();
        self.queued(now);
    }

    fn queued(&self, now: Timestamp) {
        self.last_queued.get_or_create(&IPV4).set(now.as_duration().as_secs_f64());
    }

    /// The kernel has all that was seen.
    pub(crate) fn in_step(&self) {
        self.endpoints_pending.set(0);
        self.services_pending.set(0);
    }

    /// What was caused at each of `triggers` has come into the kernel at `now`. Once each: who tells
    /// this gives them away.
    pub(crate) fn programmed(&self, triggers: Vec<Timestamp>, now: Timestamp) {
        if triggers.is_empty() {
            return;
        }
        let seconds = self.programming_seconds.get_or_create(&IPV4);
        for trigger in triggers {
            seconds.observe(now.duration_since(trigger).as_secs_f64());
        }
    }
}

/// When what changed slices was, of one burst of changes: by Service, with the slice's name.
#[derive(Debug, Default)]
pub(crate) struct Triggers(BTreeMap<ServiceKey, Vec<(String, Timestamp)>>);

impl Triggers {
    /// A slice came or changed. What was caused until `since` was there before anybody looked.
    pub(crate) fn applied(&mut self, slice: &EndpointSlice, since: Timestamp) {
        let Some(service) = ServiceKey::of_slice(slice) else { return };
        if let Some(caused) = trigger(slice).filter(|caused| *caused > since) {
            let name = slice.metadata.name.clone().unwrap_or_default();
            self.0.entry(service).or_default().push((name, caused));
        }
    }

    /// A slice went: what it says is of an earlier change. Others of its Service are still waited for,
    /// such as the one that takes its place.
    pub(crate) fn removed(&mut self, slice: &EndpointSlice) {
        let of_service = ServiceKey::of_slice(slice).and_then(|service| self.0.get_mut(&service));
        if let Some(triggers) = of_service {
            triggers.retain(|(name, _)| Some(name) != slice.metadata.name.as_ref());
        }
    }

    /// Those of the Services whose rules are others now.
    pub(crate) fn of(self, is_changed: impl Fn(&ServiceKey) -> bool) -> Vec<Timestamp> {
        let changed = self.0.into_iter().filter(|(service, _)| is_changed(service));
        changed.flat_map(|(_, triggers)| triggers).map(|(_, caused)| caused).collect()
    }
}

/// When the cause of the slice's last change was, if that is said.
fn trigger(slice: &EndpointSlice) -> Option<Timestamp> {
    slice.metadata.annotations.as_ref()?.get(TRIGGER)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(annotations: serde_json::Value) -> EndpointSlice {
        let slice = json!({
            "metadata": {"name": "web", "annotations": annotations}, "addressType": "IPv4", "endpoints": [],
        });
        serde_json::from_value(slice).expect("a slice")
    }

    #[test]
    fn changes_wait_until_the_kernel_has_them() {
        let component = Component::new("proxy");
        let pending = Pending::register(&component);
        let has = |lines: &[&str]| {
            let text = component.render();
            for line in lines {
                assert!(text.lines().any(|told| told == *line), "{line} is not in {text}");
            }
        };
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        pending.endpoints_changed(now);
        pending.endpoints_changed(now);
        pending.service_changed(now);
        has(&[
            "kubeproxy_sync_proxy_rules_endpoint_changes_total 2",
            "kubeproxy_sync_proxy_rules_endpoint_changes_pending 2",
            "kubeproxy_sync_proxy_rules_service_changes_total 1",
            "kubeproxy_sync_proxy_rules_service_changes_pending 1",
            r#"kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"} 1700000000.0"#,
        ]);
        pending.in_step();
        has(&[
            "kubeproxy_sync_proxy_rules_endpoint_changes_total 2",
            "kubeproxy_sync_proxy_rules_endpoint_changes_pending 0",
            "kubeproxy_sync_proxy_rules_service_changes_pending 0",
        ]);
    }

    #[test]
    fn the_time_begins_when_the_slice_says_that_its_cause_was() {
        let component = Component::new("proxy");
        let pending = Pending::register(&component);
        let said = trigger(&slice(json!({TRIGGER: "2026-11-27T10:00:00.25Z"}))).expect("it is said");
        let now: Timestamp = "2026-11-27T10:00:03.25Z".parse().expect("a time");
        pending.programmed(Vec::new(), now);
        let name = "kubeproxy_network_programming_duration_seconds";
        assert!(!component.render().contains(&format!("{name}_count")), "nothing was caused");
        // The other one's clock is ahead.
        pending.programmed(vec![said, "2026-11-27T10:00:04.25Z".parse().expect("a time")], now);
        let text = component.render();
        assert!(text.contains(&format!("{name}_sum{{ip_family=\"IPv4\"}} 2.0\n")), "{text}");
        assert!(text.contains(&format!("{name}_count{{ip_family=\"IPv4\"}} 2\n")), "{text}");
        let buckets = text.lines().filter(|line| line.starts_with(&format!("{name}_bucket")));
        assert_eq!(buckets.count(), 82);
        assert_eq!(trigger(&slice(json!({TRIGGER: "yesterday"}))), None);
        assert_eq!(trigger(&slice(json!({}))), None);
    }

    /// A slice of a Service, with a cause at that second, if at any.
    fn of_service(name: &str, service: &str, second: Option<u8>) -> EndpointSlice {
        let mut slice = slice(match second {
            Some(second) => json!({TRIGGER: format!("2026-11-27T10:00:{second:02}Z")}),
            None => json!({}),
        });
        let labels = json!({"kubernetes.io/service-name": service});
        slice.metadata.name = Some(name.to_owned());
        slice.metadata.namespace = Some("shop".to_owned());
        slice.metadata.labels = Some(serde_json::from_value(labels).expect("labels"));
        slice
    }

    #[test]
    fn what_is_waited_for_is_what_changes_rules() {
        let since: Timestamp = "2026-11-27T10:00:10Z".parse().expect("a time");
        let told = |slices: &[EndpointSlice], gone: &[EndpointSlice], changed: &[&str]| {
            let mut triggers = Triggers::default();
            slices.iter().for_each(|slice| triggers.applied(slice, since));
            gone.iter().for_each(|slice| triggers.removed(slice));
            let times = triggers.of(|service| changed.contains(&service.name.as_str()));
            times.into_iter().map(|time| time.as_second() - since.as_second()).collect::<Vec<_>>()
        };
        let (a, b) = (of_service("a", "web", Some(12)), of_service("b", "web", Some(13)));
        let other = of_service("c", "other", Some(14));
        let all = [a.clone(), b.clone(), other.clone()];
        assert_eq!(told(&all, &[], &["web", "other"]), [4, 2, 3], "each once");
        assert_eq!(told(&all, &[], &["web"]), [2, 3], "the other one's rules are as before");
        assert_eq!(told(&all, &[b], &["web", "other"]), [4, 2], "the slice is gone, its neighbour is not");
        let old =
            [of_service("a", "web", Some(9)), of_service("b", "web", None), of_service("c", "web", Some(10))];
        assert_eq!(told(&old, &[], &["web"]), [0; 0], "before the proxy looked, and not said");
        assert_eq!(told(&[a], &[other], &["web"]), [2], "of another Service");
    }
}
