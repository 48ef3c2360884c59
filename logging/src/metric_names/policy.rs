//! Counts of what annotations did to records: by namespace, and by Pod.
//!
//! A namespace's counts have all of it. Those of its Pods stand beside them, under names of
//! their own, so that nothing is there twice in a sum. Names of Pods come from whoever sends
//! records, too, so there is an end to them: a namespace has [`PODS_A_NAMESPACE`] at a time and
//! a collector [`PODS`], and one more takes the place of the Pod that had nothing to count for
//! the longest time, if that is [`IDLE`] or more. What finds no place is counted as such.
//!
//! A name that no Pod can have finds none either: values of labels are written as they are,
//! and a quote in one would make the whole page unreadable.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use tiphys_telemetry::Component;

use crate::record::StreamInfo;

/// Why records are not indexed.
pub const OPTED_OUT: &str = "opted out";
pub const SAMPLED: &str = "sampled";
pub const OVER_LIMIT: &str = "over the rate limit";

/// Pods of one namespace that are counted one by one. A node has 110, unless it is told otherwise.
const PODS_A_NAMESPACE: usize = 250;
/// Pods of all namespaces that are.
const PODS: usize = 1_000;
/// A Pod's counts were read often enough after that.
const IDLE: Duration = Duration::from_secs(600);
/// Bytes of a Pod's name.
const MAX_NAME: usize = 253;

/// Of which namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfNamespace {
    pub namespace: String,
}

/// Of which namespace records are not indexed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LeftOut {
    pub namespace: String,
    pub reason: &'static str,
}

/// Of which Pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfPod {
    pub namespace: String,
    pub pod: String,
}

/// Of which Pod records are not indexed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LeftOutOfPod {
    pub namespace: String,
    pub pod: String,
    pub reason: &'static str,
}

impl OfPod {
    fn left_out(&self, reason: &'static str) -> LeftOutOfPod {
        LeftOutOfPod { namespace: self.namespace.clone(), pod: self.pod.clone(), reason }
    }

    /// Whether a Pod can have the name.
    fn can_be(&self) -> bool {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        !self.pod.is_empty() && self.pod.len() <= MAX_NAME && self.pod.bytes().all(allowed)
    }
}

impl From<&StreamInfo> for OfPod {
    fn from(stream: &StreamInfo) -> Self {
        Self { namespace: stream.namespace.clone(), pod: stream.pod.clone() }
    }
}

/// What annotations did. Clones share it.
#[derive(Clone, Default)]
pub struct PolicyMetrics {
    left_out: Family<LeftOut, Counter>,
    redacted: Family<OfNamespace, Counter>,
    mistakes: Family<OfNamespace, Counter>,
    pod_left_out: Family<LeftOutOfPod, Counter>,
    pod_redacted: Family<OfPod, Counter>,
    pod_uncounted: Family<OfNamespace, Counter>,
    /// When each Pod that has a place had something to count.
    places: Arc<Mutex<HashMap<OfPod, Instant>>>,
}

impl PolicyMetrics {
    pub fn new(component: &Component) -> Self {
        let metrics = Self::default();
        component.registry(|registry| {
            let help = "Records that were read and are not indexed, as annotations ask";
            registry.register("tiphys_logs_left_out", help, metrics.left_out.clone());
            let help = "Records in which something was replaced, as annotations ask";
            registry.register("tiphys_logs_redacted", help, metrics.redacted.clone());
            let help = "Annotations of logs that are not understood, each when it is new";
            registry.register("tiphys_logs_policy_mistakes", help, metrics.mistakes.clone());
            let help = "Records of a Pod that were read and are not indexed, as annotations ask";
            registry.register("tiphys_logs_pod_left_out", help, metrics.pod_left_out.clone());
            let help = "Records of a Pod in which something was replaced, as annotations ask";
            registry.register("tiphys_logs_pod_redacted", help, metrics.pod_redacted.clone());
            let help = "Records left out or redacted of Pods beyond those that are counted one by one";
            registry.register("tiphys_logs_pod_uncounted", help, metrics.pod_uncounted.clone());
        });
        metrics
    }

    /// Counts records of a stream that are not indexed.
    pub fn left_out(&self, stream: &StreamInfo, reason: &'static str, records: u64) {
        if records == 0 {
            return;
        }
        let namespace = stream.namespace.clone();
        self.left_out.get_or_create(&LeftOut { namespace, reason }).inc_by(records);
        let pod = OfPod::from(stream);
        if self.has_place(&pod, records, Instant::now()) {
            self.pod_left_out.get_or_create(&pod.left_out(reason)).inc_by(records);
        }
    }

    /// Counts records of a stream in which something was replaced.
    pub fn redacted(&self, stream: &StreamInfo, records: u64) {
        if records == 0 {
            return;
        }
        self.redacted.get_or_create(&OfNamespace { namespace: stream.namespace.clone() }).inc_by(records);
        let pod = OfPod::from(stream);
        if self.has_place(&pod, records, Instant::now()) {
            self.pod_redacted.get_or_create(&pod).inc_by(records);
        }
    }

    /// Counts an annotation that is not understood.
    pub fn mistake(&self, namespace: &str) {
        self.mistakes.get_or_create(&OfNamespace { namespace: namespace.to_owned() }).inc();
    }

    /// Whether the Pod's records are counted for itself. Where they are not, that is counted.
    fn has_place(&self, pod: &OfPod, records: u64, now: Instant) -> bool {
        let has_place = pod.can_be() && self.take_place(pod, now);
        if !has_place {
            let namespace = pod.namespace.clone();
            self.pod_uncounted.get_or_create(&OfNamespace { namespace }).inc_by(records);
        }
        has_place
    }

    fn take_place(&self, pod: &OfPod, now: Instant) -> bool {
        let mut places = self.places.lock();
        if let Some(counted) = places.get_mut(pod) {
            *counted = now;
            return true;
        }
        let n_own = places.keys().filter(|other| other.namespace == pod.namespace).count();
        let is_full = n_own >= PODS_A_NAMESPACE;
        if is_full || places.len() >= PODS {
            // A namespace with many Pods takes no place from another's.
            let others = places.iter().filter(|(other, _)| !is_full || other.namespace == pod.namespace);
            let idlest = others.min_by_key(|(_, counted)| **counted);
            let idlest = idlest.filter(|(_, counted)| now.saturating_duration_since(**counted) >= IDLE);
            let Some(idlest) = idlest.map(|(other, _)| other.clone()) else { return false };
            places.remove(&idlest);
            self.forget(&idlest);
        }
        places.insert(pod.clone(), now);
        true
    }

    fn forget(&self, pod: &OfPod) {
        self.pod_redacted.remove(pod);
        for reason in [OPTED_OUT, SAMPLED, OVER_LIMIT] {
            self.pod_left_out.remove(&pod.left_out(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespace: &str, pod: &str) -> OfPod {
        OfPod { namespace: namespace.into(), pod: pod.into() }
    }

    fn stream(namespace: &str, pod: &str) -> StreamInfo {
        StreamInfo {
            namespace: namespace.into(),
            pod: pod.into(),
            uid: String::new(),
            container: "app".into(),
            restart: 0,
            node: "n1".into(),
        }
    }

    #[test]
    fn a_namespace_has_all_of_it_and_each_pod_its_own() {
        let component = Component::new("test");
        let metrics = PolicyMetrics::new(&component);
        metrics.left_out(&stream("shop", "web-1"), SAMPLED, 2);
        metrics.left_out(&stream("shop", "web-2"), SAMPLED, 3);
        metrics.left_out(&stream("shop", "web-2"), OPTED_OUT, 0);
        metrics.redacted(&stream("shop", "web-1"), 4);
        // What a sender calls its Pod may be anything.
        metrics.redacted(&stream("shop", "a\"} 1"), 5);
        metrics.redacted(&stream("shop", ""), 6);
        let text = component.render();
        let mut told: Vec<&str> = text.lines().filter(|line| line.starts_with("tiphys_logs")).collect();
        told.sort_unstable();
        let expected = [
            r#"tiphys_logs_left_out_total{namespace="shop",reason="sampled"} 5"#,
            r#"tiphys_logs_pod_left_out_total{namespace="shop",pod="web-1",reason="sampled"} 2"#,
            r#"tiphys_logs_pod_left_out_total{namespace="shop",pod="web-2",reason="sampled"} 3"#,
            r#"tiphys_logs_pod_redacted_total{namespace="shop",pod="web-1"} 4"#,
            r#"tiphys_logs_pod_uncounted_total{namespace="shop"} 11"#,
            r#"tiphys_logs_redacted_total{namespace="shop"} 15"#,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_pod_beyond_the_most_waits_until_another_was_idle() {
        let component = Component::new("test");
        let (metrics, start) = (PolicyMetrics::new(&component), Instant::now());
        for number in 0..PODS_A_NAMESPACE {
            metrics.redacted(&stream("shop", &format!("web-{number}")), 1);
            assert!(metrics.has_place(&of("shop", &format!("web-{number}")), 1, start));
        }
        let late = of("shop", "late");
        assert!(!metrics.has_place(&late, 7, start + IDLE / 2));
        assert!(component.render().contains(r#"tiphys_logs_pod_uncounted_total{namespace="shop"} 7"#));
        // The others have theirs, and those that go on keep them.
        assert!(metrics.has_place(&of("ops", "web-0"), 1, start));
        for number in 1..PODS_A_NAMESPACE {
            assert!(metrics.has_place(&of("shop", &format!("web-{number}")), 1, start + IDLE / 2));
        }
        let has = |pod: &str| component.render().contains(&format!(r#"pod="{pod}""#));
        assert!(has("web-0"));
        assert!(metrics.has_place(&late, 1, start + IDLE));
        assert!(!has("web-0") && has("web-1"), "its counts went with its place");
        assert!(!metrics.has_place(&of("shop", "later"), 1, start + IDLE));
    }

    #[test]
    fn all_namespaces_together_have_so_many_pods() {
        let (metrics, start) = (PolicyMetrics::default(), Instant::now());
        for number in 0..PODS {
            let pod = of(&format!("ns-{}", number / 100), &format!("web-{number}"));
            assert!(metrics.has_place(&pod, 1, start));
        }
        assert!(!metrics.has_place(&of("shop", "web"), 1, start));
        assert!(metrics.has_place(&of("shop", "web"), 1, start + IDLE));
        assert_eq!(metrics.places.lock().len(), PODS);
    }
}
