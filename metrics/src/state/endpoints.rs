//! Endpoints of Services, as they were before there were EndpointSlices.

use k8s_openapi::api::core::v1::Endpoints;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_endpoint_info", Gauge, "Endpoints of a Service"),
    ("kube_endpoint_created", Gauge, "When they were made, since the Unix epoch"),
    ("kube_endpoint_address", Gauge, "An address, with a port and whether it is ready"),
    ("kube_endpoint_ports", Gauge, "A port"),
];

pub fn tell(object: &Endpoints) -> Rows {
    let mut rows = Rows::of("endpoint", &object.metadata);
    rows.put("kube_endpoint_info", 1);
    rows.time("kube_endpoint_created", object.metadata.creation_timestamp.as_ref());
    for subset in object.subsets.iter().flatten() {
        for port in subset.ports.iter().flatten() {
            let number = port.port.to_string();
            let of_port = [
                ("port_name", port.name.as_deref().unwrap_or_default()),
                ("port_protocol", port.protocol.as_deref().unwrap_or_default()),
                ("port_number", number.as_str()),
            ];
            rows.with("kube_endpoint_ports", &of_port, 1.0);
            for (addresses, ready) in [(&subset.addresses, "true"), (&subset.not_ready_addresses, "false")] {
                for address in addresses.iter().flatten() {
                    let own = [("ip", address.ip.as_str()), ("ready", ready)];
                    rows.with("kube_endpoint_address", &[&of_port[..], &own[..]].concat(), 1.0);
                }
            }
        }
    }
    rows
}
