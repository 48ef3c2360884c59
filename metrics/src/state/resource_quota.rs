//! Quotas of namespaces.

use k8s_openapi::api::core::v1::ResourceQuota;

use super::{
    Name,
    rows::{Rows, number},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_resourcequota", Gauge, "What may be used and what is, by resource"),
    ("kube_resourcequota_created", Gauge, "When it was made, since the Unix epoch"),
];

pub fn tell(object: &ResourceQuota) -> Rows {
    let mut rows = Rows::of("resourcequota", &object.metadata);
    rows.time("kube_resourcequota_created", object.metadata.creation_timestamp.as_ref());
    let status = object.status.as_ref();
    let of = [
        ("hard", status.and_then(|status| status.hard.as_ref())),
        ("used", status.and_then(|status| status.used.as_ref())),
    ];
    for (kind, amounts) in of {
        for (resource, amount) in amounts.into_iter().flatten() {
            if let Some(amount) = number(amount) {
                rows.with("kube_resourcequota", &[("resource", resource), ("type", kind)], amount);
            }
        }
    }
    rows
}
