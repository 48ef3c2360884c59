//! What a server asks of its store and what that holds, under the names that kube-apiserver has for
//! its etcd: dashboards of the control plane ask for these. They say the same of any store.

use std::{sync::atomic::AtomicI64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

use crate::Component;

/// Seconds, as kube-apiserver has them.
const BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOperation {
    /// `get`, `list`, `create`, `update`, `delete`.
    operation: &'static str,
    group: String,
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    group: String,
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResource {
    /// `pods`, `deployments.apps`.
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCluster {
    storage_cluster_id: String,
}

type Number = Gauge<i64, AtomicI64>;

/// The requests to one store, and its size. Clones share them.
#[derive(Debug, Clone)]
pub struct Storage {
    requests: Family<ByOperation, Counter>,
    failed: Family<ByOperation, Counter>,
    seconds: Family<ByOperation, Histogram>,
    objects: Family<ByResource, Number>,
    objects_by_group: Family<ByKind, Number>,
    bytes: Family<ByCluster, Number>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            failed: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            objects: Family::default(),
            objects_by_group: Family::default(),
            bytes: Family::default(),
        }
    }
}

impl Storage {
    /// From now on `component` tells of them.
    pub fn register(&self, component: &Component) {
        component.registry(|registry| {
            registry.register(
                "etcd_request_duration_seconds",
                "Time of requests to the store by operation and resource",
                self.seconds.clone(),
            );
            for (name, help, family) in [
                ("etcd_requests", "Requests to the store", &self.requests),
                ("etcd_request_errors", "Requests to the store that failed", &self.failed),
            ] {
                registry.register(name, help, family.clone());
            }
            registry.register(
                "apiserver_storage_objects",
                "Objects in the store when they were last counted, -1 where that failed",
                self.objects.clone(),
            );
            registry.register(
                "apiserver_resource_objects",
                "The same by group and resource",
                self.objects_by_group.clone(),
            );
            registry.register(
                "apiserver_storage_size_bytes",
                "Bytes that the store takes on disk",
                self.bytes.clone(),
            );
        });
    }

    /// A request has ended. One that lost against another write has not failed.
    pub fn count(
        &self,
        operation: &'static str,
        (group, resource): (&str, &str),
        took: Duration,
        has_failed: bool,
    ) {
        let labels = ByOperation { operation, group: group.to_owned(), resource: resource.to_owned() };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
        if has_failed {
            self.failed.get_or_create(&labels).inc();
        }
    }

    /// So many objects of a resource were counted; `None` where they couldn't be.
    pub fn objects(&self, (group, resource): (&str, &str), number: Option<u64>) {
        let number = number.map_or(-1, signed);
        let separator = if group.is_empty() { "" } else { "." };
        let labels = ByResource { resource: format!("{resource}{separator}{group}") };
        self.objects.get_or_create(&labels).set(number);
        let labels = ByKind { group: group.to_owned(), resource: resource.to_owned() };
        self.objects_by_group.get_or_create(&labels).set(number);
    }

    /// The store with this name takes so many bytes on disk.
    pub fn size(&self, store: &str, bytes: u64) {
        let labels = ByCluster { storage_cluster_id: store.to_owned() };
        self.bytes.get_or_create(&labels).set(signed(bytes));
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_sizes_have_the_names_of_kube_apiservers() {
        let (component, storage) = (Component::new("storage"), Storage::default());
        storage.register(&component);
        let deployments = ("apps", "deployments");
        storage.count("create", deployments, Duration::from_millis(3), false);
        storage.count("create", deployments, Duration::from_secs(61), true);
        storage.objects(deployments, Some(7));
        storage.objects(("", "pods"), None);
        storage.size("etcd-0", 4096);
        let text = component.render();
        let labels = r#"operation="create",group="apps",resource="deployments""#;
        for line in [
            format!("etcd_requests_total{{{labels}}} 2"),
            format!("etcd_request_errors_total{{{labels}}} 1"),
            format!("etcd_request_duration_seconds_count{{{labels}}} 2"),
            r#"apiserver_storage_objects{resource="deployments.apps"} 7"#.to_owned(),
            r#"apiserver_storage_objects{resource="pods"} -1"#.to_owned(),
            r#"apiserver_resource_objects{group="apps",resource="deployments"} 7"#.to_owned(),
            r#"apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} 4096"#.to_owned(),
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
        let buckets = text.lines().filter(|line| line.starts_with("etcd_request_duration_seconds_bucket"));
        assert_eq!(buckets.count(), BUCKETS.len() + 1);
    }
}
