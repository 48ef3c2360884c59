//! ReplicaSets.

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_replicaset_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_replicaset_metadata_generation", Gauge, "The version of its spec"),
    ("kube_replicaset_owner", Gauge, "Who owns it"),
    ("kube_replicaset_spec_replicas", Gauge, "Pods that are wanted"),
    ("kube_replicaset_status_fully_labeled_replicas", Gauge, "Pods with all labels of the template"),
    ("kube_replicaset_status_observed_generation", Gauge, "The version of the spec that was acted on"),
    ("kube_replicaset_status_ready_replicas", Gauge, "Pods that are ready"),
    ("kube_replicaset_status_replicas", Gauge, "Pods that there are"),
    ("kube_replicaset_status_terminating_replicas", Gauge, "Pods that are on their way out"),
];

pub fn tell(object: &ReplicaSet) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("replicaset", meta);
    rows.time("kube_replicaset_created", meta.creation_timestamp.as_ref());
    rows.whole("kube_replicaset_metadata_generation", meta.generation);
    rows.owners("kube_replicaset_owner", meta);
    let replicas = object.spec.replicas.unwrap_or(1);
    rows.put("kube_replicaset_spec_replicas", replicas);
    if let Some(status) = &object.status {
        let labelled = status.fully_labeled_replicas.unwrap_or_default();
        rows.put("kube_replicaset_status_fully_labeled_replicas", labelled);
        rows.whole("kube_replicaset_status_observed_generation", status.observed_generation);
        rows.put("kube_replicaset_status_ready_replicas", status.ready_replicas.unwrap_or_default());
        rows.put("kube_replicaset_status_replicas", status.replicas);
        rows.some("kube_replicaset_status_terminating_replicas", status.terminating_replicas);
    }
    rows
}
