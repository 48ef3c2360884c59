//! Claims of volumes.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::{
    Name,
    rows::{Rows, number},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_persistentvolumeclaim_info", Gauge, "A claim, with its class and volume"),
    ("kube_persistentvolumeclaim_created", Gauge, "When it was made, since the Unix epoch"),
    (
        "kube_persistentvolumeclaim_deletion_timestamp",
        Gauge,
        "When its end was ordered, since the Unix epoch",
    ),
    ("kube_persistentvolumeclaim_access_mode", Gauge, "How it is used"),
    ("kube_persistentvolumeclaim_resource_requests_storage_bytes", Gauge, "The size that it asks for"),
    ("kube_persistentvolumeclaim_status_phase", Gauge, "Its phase, each as a row"),
    ("kube_persistentvolumeclaim_status_condition", Gauge, "A condition in each of its states"),
];

pub fn tell(object: &PersistentVolumeClaim) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("persistentvolumeclaim", meta);
    rows.time("kube_persistentvolumeclaim_created", meta.creation_timestamp.as_ref());
    rows.time("kube_persistentvolumeclaim_deletion_timestamp", meta.deletion_timestamp.as_ref());
    if let Some(spec) = &object.spec {
        let info = [
            ("storageclass", spec.storage_class_name.as_deref().unwrap_or_default()),
            ("volumename", spec.volume_name.as_deref().unwrap_or_default()),
            ("volumemode", spec.volume_mode.as_deref().unwrap_or("Filesystem")),
        ];
        rows.with("kube_persistentvolumeclaim_info", &info, 1.0);
        for mode in spec.access_modes.iter().flatten() {
            rows.with("kube_persistentvolumeclaim_access_mode", &[("access_mode", mode)], 1.0);
        }
        let asked = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let size = asked.and_then(|asked| asked.get("storage")).and_then(number);
        rows.some("kube_persistentvolumeclaim_resource_requests_storage_bytes", size);
    }
    let status = object.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let phases = ["Lost", "Bound", "Pending"];
    rows.one_of("kube_persistentvolumeclaim_status_phase", "phase", &phases, phase);
    for condition in status.into_iter().flat_map(|status| status.conditions.iter().flatten()) {
        let labels = [("condition", condition.type_.as_str())];
        rows.condition("kube_persistentvolumeclaim_status_condition", &labels, &condition.status);
    }
    rows
}
