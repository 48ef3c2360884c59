//! Ingresses.

use k8s_openapi::api::networking::v1::Ingress;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_ingress_info", Gauge, "An Ingress, with its class"),
    ("kube_ingress_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_ingress_metadata_resource_version", Gauge, "The version of the object"),
    ("kube_ingress_path", Gauge, "Where a path leads"),
    ("kube_ingress_tls", Gauge, "A host with a certificate"),
];

pub fn tell(object: &Ingress) -> Rows {
    let mut rows = Rows::of("ingress", &object.metadata);
    rows.time("kube_ingress_created", object.metadata.creation_timestamp.as_ref());
    rows.version("kube_ingress_metadata_resource_version", &object.metadata);
    let Some(spec) = &object.spec else { return rows };
    let class = spec.ingress_class_name.as_deref().unwrap_or_default();
    rows.with("kube_ingress_info", &[("ingressclass", class)], 1.0);
    for rule in spec.rules.iter().flatten() {
        let host = rule.host.as_deref().unwrap_or_default();
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            let Some(service) = &path.backend.service else { continue };
            let number = service.port.as_ref().and_then(|port| port.number).map(|number| number.to_string());
            let name = service.port.as_ref().and_then(|port| port.name.clone());
            let labels = [
                ("host", host),
                ("path", path.path.as_deref().unwrap_or_default()),
                ("path_type", &path.path_type),
                ("service_name", &service.name),
                ("service_port", &number.or(name).unwrap_or_default()),
            ];
            rows.with("kube_ingress_path", &labels, 1.0);
        }
    }
    for tls in spec.tls.iter().flatten() {
        for host in tls.hosts.iter().flatten() {
            let secret = tls.secret_name.as_deref().unwrap_or_default();
            rows.with("kube_ingress_tls", &[("tls_host", host), ("secret_name", secret)], 1.0);
        }
    }
    rows
}
