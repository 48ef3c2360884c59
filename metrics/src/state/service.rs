//! Services.

use k8s_openapi::api::core::v1::Service;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_service_info", Gauge, "A Service, with its address"),
    ("kube_service_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_service_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_service_spec_type", Gauge, "How it is reached"),
    ("kube_service_spec_external_ip", Gauge, "An address of its own outside"),
    ("kube_service_status_load_balancer_ingress", Gauge, "Where a load balancer takes it in"),
];

pub fn tell(object: &Service) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("service", meta);
    rows.own("uid", meta.uid.as_deref());
    rows.time("kube_service_created", meta.creation_timestamp.as_ref());
    rows.time("kube_service_deletion_timestamp", meta.deletion_timestamp.as_ref());
    if let Some(spec) = &object.spec {
        let info = [
            ("cluster_ip", spec.cluster_ip.as_deref().unwrap_or_default()),
            ("external_name", spec.external_name.as_deref().unwrap_or_default()),
            ("load_balancer_ip", spec.load_balancer_ip.as_deref().unwrap_or_default()),
        ];
        rows.with("kube_service_info", &info, 1.0);
        let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
        rows.with("kube_service_spec_type", &[("type", kind)], 1.0);
        for address in spec.external_ips.iter().flatten() {
            rows.with("kube_service_spec_external_ip", &[("external_ip", address)], 1.0);
        }
    }
    let balancer = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    for ingress in balancer.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten()) {
        let labels = [
            ("ip", ingress.ip.as_deref().unwrap_or_default()),
            ("hostname", ingress.hostname.as_deref().unwrap_or_default()),
        ];
        rows.with("kube_service_status_load_balancer_ingress", &labels, 1.0);
    }
    rows
}
