//! ConfigMaps, without their content.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::PartialObjectMeta;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_configmap_info", Gauge, "A ConfigMap"),
    ("kube_configmap_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_configmap_metadata_resource_version", Gauge, "The version of the object"),
];

pub fn tell(object: &PartialObjectMeta<ConfigMap>) -> Rows {
    let mut rows = Rows::of("configmap", &object.metadata);
    rows.put("kube_configmap_info", 1);
    rows.time("kube_configmap_created", object.metadata.creation_timestamp.as_ref());
    rows.version("kube_configmap_metadata_resource_version", &object.metadata);
    rows
}
