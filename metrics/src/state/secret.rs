//! Secrets, without their content; their type is part of that.

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_secret_info", Gauge, "A Secret"),
    ("kube_secret_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_secret_owner", Gauge, "Who owns it"),
    ("kube_secret_metadata_resource_version", Gauge, "The version of the object"),
];

pub fn tell(object: &PartialObjectMeta<Secret>) -> Rows {
    let mut rows = Rows::of("secret", &object.metadata);
    rows.put("kube_secret_info", 1);
    rows.time("kube_secret_created", object.metadata.creation_timestamp.as_ref());
    rows.owners("kube_secret_owner", &object.metadata);
    rows.version("kube_secret_metadata_resource_version", &object.metadata);
    rows
}
