//! Persistent volumes.

use k8s_openapi::api::core::v1::PersistentVolume;

use super::{
    Name,
    rows::{Rows, number},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_persistentvolume_info", Gauge, "A volume, with its class"),
    ("kube_persistentvolume_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_persistentvolume_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_persistentvolume_access_mode", Gauge, "How it may be used"),
    ("kube_persistentvolume_volume_mode", Gauge, "Whether it has files or is a device"),
    ("kube_persistentvolume_capacity_bytes", Gauge, "Its size"),
    ("kube_persistentvolume_status_phase", Gauge, "Its phase, each as a row"),
    ("kube_persistentvolume_claim_ref", Gauge, "The claim that has it"),
];

const PHASES: [&str; 5] = ["Pending", "Available", "Bound", "Released", "Failed"];

pub fn tell(object: &PersistentVolume) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("persistentvolume", meta);
    rows.time("kube_persistentvolume_created", meta.creation_timestamp.as_ref());
    rows.time("kube_persistentvolume_deletion_timestamp", meta.deletion_timestamp.as_ref());
    if let Some(spec) = &object.spec {
        let mode = spec.volume_mode.as_deref().unwrap_or("Filesystem");
        rows.with("kube_persistentvolume_volume_mode", &[("volumemode", mode)], 1.0);
        for mode in spec.access_modes.iter().flatten() {
            rows.with("kube_persistentvolume_access_mode", &[("access_mode", mode)], 1.0);
        }
        let csi = spec.csi.as_ref();
        let info = [
            ("storageclass", spec.storage_class_name.as_deref().unwrap_or_default()),
            ("volume_mode", mode),
            ("reclaim_policy", spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default()),
            ("csi_driver", csi.map_or("", |csi| &csi.driver)),
            ("csi_volume_handle", csi.map_or("", |csi| &csi.volume_handle)),
        ];
        rows.with("kube_persistentvolume_info", &info, 1.0);
        let size = spec.capacity.as_ref().and_then(|capacity| capacity.get("storage")).and_then(number);
        rows.some("kube_persistentvolume_capacity_bytes", size);
        if let Some(claim) = &spec.claim_ref {
            let labels = [
                ("claim_namespace", claim.namespace.as_deref().unwrap_or_default()),
                ("name", claim.name.as_deref().unwrap_or_default()),
            ];
            rows.with("kube_persistentvolume_claim_ref", &labels, 1.0);
        }
    }
    let phase = object.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    rows.one_of("kube_persistentvolume_status_phase", "phase", &PHASES, phase);
    rows
}
