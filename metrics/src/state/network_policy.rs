//! Policies of the network.

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_networkpolicy_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_networkpolicy_spec_ingress_rules", Gauge, "Rules of what may come in"),
    ("kube_networkpolicy_spec_egress_rules", Gauge, "Rules of what may go out"),
];

pub fn tell(object: &NetworkPolicy) -> Rows {
    let mut rows = Rows::of("networkpolicy", &object.metadata);
    rows.time("kube_networkpolicy_created", object.metadata.creation_timestamp.as_ref());
    let spec = object.spec.as_ref();
    let ingress = spec.and_then(|spec| spec.ingress.as_ref()).map_or(0, Vec::len);
    rows.with("kube_networkpolicy_spec_ingress_rules", &[], ingress as f64);
    let egress = spec.and_then(|spec| spec.egress.as_ref()).map_or(0, Vec::len);
    rows.with("kube_networkpolicy_spec_egress_rules", &[], egress as f64);
    rows
}
