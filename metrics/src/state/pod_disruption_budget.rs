//! Budgets of disruption.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_poddisruptionbudget_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_poddisruptionbudget_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_poddisruptionbudget_status_current_healthy", Gauge, "Pods that are well"),
    ("kube_poddisruptionbudget_status_desired_healthy", Gauge, "Pods that must be well"),
    ("kube_poddisruptionbudget_status_pod_disruptions_allowed", Gauge, "Pods that may be evicted"),
    ("kube_poddisruptionbudget_status_expected_pods", Gauge, "Pods that it counts"),
    (
        "kube_poddisruptionbudget_status_observed_generation",
        Gauge,
        "The version of the spec that was acted on",
    ),
];

pub fn tell(object: &PodDisruptionBudget) -> Rows {
    let mut rows = Rows::of("poddisruptionbudget", &object.metadata);
    rows.time("kube_poddisruptionbudget_created", object.metadata.creation_timestamp.as_ref());
    rows.time("kube_poddisruptionbudget_deletion_timestamp", object.metadata.deletion_timestamp.as_ref());
    if let Some(status) = &object.status {
        rows.put(
            "kube_poddisruptionbudget_status_current_healthy",
            status.current_healthy.unwrap_or_default(),
        );
        rows.put(
            "kube_poddisruptionbudget_status_desired_healthy",
            status.desired_healthy.unwrap_or_default(),
        );
        rows.put(
            "kube_poddisruptionbudget_status_pod_disruptions_allowed",
            status.disruptions_allowed.unwrap_or_default(),
        );
        rows.put("kube_poddisruptionbudget_status_expected_pods", status.expected_pods.unwrap_or_default());
        rows.whole("kube_poddisruptionbudget_status_observed_generation", status.observed_generation);
    }
    rows
}
