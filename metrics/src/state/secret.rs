//! Secrets, without their content.

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_secret_info", Gauge, "A Secret"),
    ("kube_secret_created", Gauge, "When it was made, since the Unix epoch"),
];

pub fn tell(object: &PartialObjectMeta<Secret>) -> Rows {
    let mut rows = Rows::of("secret", &object.metadata);
    rows.put("kube_secret_info", 1);
    rows.time("kube_secret_created", object.metadata.creation_timestamp.as_ref());
    rows
}
