//! Classes of Ingresses.

use k8s_openapi::api::networking::v1::IngressClass;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_ingressclass_info", Gauge, "A class, with who serves it"),
    ("kube_ingressclass_created", Gauge, "When it was made, since the Unix epoch"),
];

pub fn tell(object: &IngressClass) -> Rows {
    let mut rows = Rows::of("ingressclass", &object.metadata);
    let controller = object.spec.as_ref().and_then(|spec| spec.controller.as_deref()).unwrap_or_default();
    rows.with("kube_ingressclass_info", &[("controller", controller)], 1.0);
    rows.time("kube_ingressclass_created", object.metadata.creation_timestamp.as_ref());
    rows
}
