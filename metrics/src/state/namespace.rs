//! Namespaces.

use k8s_openapi::api::core::v1::Namespace;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_namespace_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_namespace_status_phase", Gauge, "Whether it is active or on its way out"),
    ("kube_namespace_status_condition", Gauge, "A condition in each of its states"),
];

pub fn tell(object: &Namespace) -> Rows {
    let mut rows = Rows::of("namespace", &object.metadata);
    rows.time("kube_namespace_created", object.metadata.creation_timestamp.as_ref());
    let phase = object.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Active");
    rows.one_of("kube_namespace_status_phase", "phase", &["Active", "Terminating"], phase);
    for condition in object.status.iter().flat_map(|status| status.conditions.iter().flatten()) {
        let labels = [("condition", condition.type_.as_str())];
        rows.condition("kube_namespace_status_condition", &labels, &condition.status);
    }
    rows
}
