//! Classes of storage.

use k8s_openapi::api::storage::v1::StorageClass;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_storageclass_info", Gauge, "A class, with who provisions it"),
    ("kube_storageclass_created", Gauge, "When it was made, since the Unix epoch"),
];

pub fn tell(object: &StorageClass) -> Rows {
    let mut rows = Rows::of("storageclass", &object.metadata);
    rows.time("kube_storageclass_created", object.metadata.creation_timestamp.as_ref());
    let info = [
        ("provisioner", object.provisioner.as_str()),
        ("reclaim_policy", object.reclaim_policy.as_deref().unwrap_or("Delete")),
        ("volume_binding_mode", object.volume_binding_mode.as_deref().unwrap_or("Immediate")),
    ];
    rows.with("kube_storageclass_info", &info, 1.0);
    rows
}
