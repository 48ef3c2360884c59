//! ReplicationControllers.

use k8s_openapi::api::core::v1::ReplicationController;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_replicationcontroller_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_replicationcontroller_metadata_generation", Gauge, "The version of its spec"),
    ("kube_replicationcontroller_owner", Gauge, "Who owns it"),
    ("kube_replicationcontroller_spec_replicas", Gauge, "Pods that are wanted"),
    ("kube_replicationcontroller_status_available_replicas", Gauge, "Pods that are available"),
    (
        "kube_replicationcontroller_status_fully_labeled_replicas",
        Gauge,
        "Pods with all labels of the template",
    ),
    (
        "kube_replicationcontroller_status_observed_generation",
        Gauge,
        "The version of the spec that was acted on",
    ),
    ("kube_replicationcontroller_status_ready_replicas", Gauge, "Pods that are ready"),
    ("kube_replicationcontroller_status_replicas", Gauge, "Pods that there are"),
];

pub fn tell(object: &ReplicationController) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("replicationcontroller", meta);
    rows.time("kube_replicationcontroller_created", meta.creation_timestamp.as_ref());
    rows.whole("kube_replicationcontroller_metadata_generation", meta.generation);
    rows.owners("kube_replicationcontroller_owner", meta);
    let wanted = object.spec.as_ref().and_then(|spec| spec.replicas);
    rows.some("kube_replicationcontroller_spec_replicas", wanted);
    if let Some(status) = &object.status {
        let available = status.available_replicas.unwrap_or_default();
        rows.put("kube_replicationcontroller_status_available_replicas", available);
        let labelled = status.fully_labeled_replicas.unwrap_or_default();
        rows.put("kube_replicationcontroller_status_fully_labeled_replicas", labelled);
        rows.whole("kube_replicationcontroller_status_observed_generation", status.observed_generation);
        let ready = status.ready_replicas.unwrap_or_default();
        rows.put("kube_replicationcontroller_status_ready_replicas", ready);
        rows.put("kube_replicationcontroller_status_replicas", status.replicas);
    }
    rows
}
