//! Leases: who leads, and which nodes live.

use k8s_openapi::api::coordination::v1::Lease;

use super::{
    Name,
    rows::{Rows, seconds},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_lease_owner", Gauge, "Who owns it and who holds it"),
    ("kube_lease_renew_time", Gauge, "When its holder last renewed it, since the Unix epoch"),
];

pub fn tell(object: &Lease) -> Rows {
    let mut rows = Rows::of("lease", &object.metadata);
    let spec = object.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let owners = object.metadata.owner_references.as_deref().unwrap_or_default();
    for owner in owners {
        let labels =
            [("owner_kind", owner.kind.as_str()), ("owner_name", &owner.name), ("lease_holder", holder)];
        rows.with("kube_lease_owner", &labels, 1.0);
    }
    if owners.is_empty() {
        rows.with("kube_lease_owner", &[("lease_holder", holder)], 1.0);
    }
    if let Some(time) = spec.and_then(|spec| spec.renew_time.as_ref()) {
        rows.with("kube_lease_renew_time", &[], seconds(time.0));
    }
    rows
}
