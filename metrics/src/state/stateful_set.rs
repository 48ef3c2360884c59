//! StatefulSets.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_statefulset_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_statefulset_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_statefulset_metadata_generation", Gauge, "The version of its spec"),
    ("kube_statefulset_replicas", Gauge, "Pods that are wanted"),
    ("kube_statefulset_ordinals_start", Gauge, "The number of its first Pod"),
    (
        "kube_statefulset_persistentvolumeclaim_retention_policy",
        Gauge,
        "What becomes of claims when it is deleted or made smaller",
    ),
    ("kube_statefulset_status_observed_generation", Gauge, "The version of the spec that was acted on"),
    ("kube_statefulset_status_replicas", Gauge, "Pods that there are"),
    ("kube_statefulset_status_replicas_available", Gauge, "Pods that are available"),
    ("kube_statefulset_status_replicas_current", Gauge, "Pods of the template before"),
    ("kube_statefulset_status_replicas_ready", Gauge, "Pods that are ready"),
    ("kube_statefulset_status_replicas_updated", Gauge, "Pods of the newest template"),
    ("kube_statefulset_status_current_revision", Gauge, "The template before"),
    ("kube_statefulset_status_update_revision", Gauge, "The newest template"),
];

pub fn tell(object: &StatefulSet) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("statefulset", meta);
    rows.time("kube_statefulset_created", meta.creation_timestamp.as_ref());
    rows.time("kube_statefulset_deletion_timestamp", meta.deletion_timestamp.as_ref());
    rows.whole("kube_statefulset_metadata_generation", meta.generation);
    let replicas = object.spec.replicas.unwrap_or(1);
    rows.put("kube_statefulset_replicas", replicas);
    let ordinals = object.spec.ordinals.as_ref();
    rows.some("kube_statefulset_ordinals_start", ordinals.map(|from| from.start.unwrap_or_default()));
    if let Some(policy) = &object.spec.persistent_volume_claim_retention_policy {
        let labels = [
            ("when_deleted", policy.when_deleted.as_deref().unwrap_or_default()),
            ("when_scaled", policy.when_scaled.as_deref().unwrap_or_default()),
        ];
        rows.with("kube_statefulset_persistentvolumeclaim_retention_policy", &labels, 1.0);
    }
    let Some(status) = &object.status else { return rows };
    rows.whole("kube_statefulset_status_observed_generation", status.observed_generation);
    rows.put("kube_statefulset_status_replicas", status.replicas);
    rows.put("kube_statefulset_status_replicas_available", status.available_replicas.unwrap_or_default());
    rows.put("kube_statefulset_status_replicas_current", status.current_replicas.unwrap_or_default());
    rows.put("kube_statefulset_status_replicas_ready", status.ready_replicas.unwrap_or_default());
    rows.put("kube_statefulset_status_replicas_updated", status.updated_replicas.unwrap_or_default());
    for (name, revision) in [
        ("kube_statefulset_status_current_revision", &status.current_revision),
        ("kube_statefulset_status_update_revision", &status.update_revision),
    ] {
        if let Some(revision) = revision {
            rows.with(name, &[("revision", revision)], 1.0);
        }
    }
    rows
}
