//! DaemonSets.

use k8s_openapi::api::apps::v1::DaemonSet;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_daemonset_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_daemonset_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_daemonset_metadata_generation", Gauge, "The version of its spec"),
    ("kube_daemonset_status_observed_generation", Gauge, "The version of the spec that was acted on"),
    ("kube_daemonset_status_current_number_scheduled", Gauge, "Nodes that run its Pod and should"),
    ("kube_daemonset_status_desired_number_scheduled", Gauge, "Nodes that should run its Pod"),
    ("kube_daemonset_status_number_available", Gauge, "Nodes whose Pod is available"),
    ("kube_daemonset_status_number_misscheduled", Gauge, "Nodes that run its Pod and shouldn't"),
    ("kube_daemonset_status_number_ready", Gauge, "Nodes whose Pod is ready"),
    ("kube_daemonset_status_number_unavailable", Gauge, "Nodes whose Pod is not available"),
    ("kube_daemonset_status_updated_number_scheduled", Gauge, "Nodes that run its newest Pod"),
];

pub fn tell(object: &DaemonSet) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("daemonset", meta);
    rows.time("kube_daemonset_created", meta.creation_timestamp.as_ref());
    rows.time("kube_daemonset_deletion_timestamp", meta.deletion_timestamp.as_ref());
    rows.whole("kube_daemonset_metadata_generation", meta.generation);
    if let Some(status) = &object.status {
        rows.whole("kube_daemonset_status_observed_generation", status.observed_generation);
        rows.put("kube_daemonset_status_current_number_scheduled", status.current_number_scheduled);
        rows.put("kube_daemonset_status_desired_number_scheduled", status.desired_number_scheduled);
        rows.put("kube_daemonset_status_number_available", status.number_available.unwrap_or_default());
        rows.put("kube_daemonset_status_number_misscheduled", status.number_misscheduled);
        rows.put("kube_daemonset_status_number_ready", status.number_ready);
        rows.put("kube_daemonset_status_number_unavailable", status.number_unavailable.unwrap_or_default());
        let updated = status.updated_number_scheduled.unwrap_or_default();
        rows.put("kube_daemonset_status_updated_number_scheduled", updated);
    }
    rows
}
