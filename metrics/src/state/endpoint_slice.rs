//! EndpointSlices: where the traffic of Services goes.

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::{
    Name,
    rows::{Rows, said},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_endpointslice_info", Gauge, "A slice, with the kind of its addresses"),
    ("kube_endpointslice_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_endpointslice_endpoints", Gauge, "An address, with what it is of and the state it is in"),
    ("kube_endpointslice_endpoints_hints", Gauge, "A zone that an address is for"),
    ("kube_endpointslice_ports", Gauge, "A port"),
];

pub fn tell(object: &EndpointSlice) -> Rows {
    let mut rows = Rows::of("endpointslice", &object.metadata);
    rows.with("kube_endpointslice_info", &[("addresstype", &object.address_type)], 1.0);
    rows.time("kube_endpointslice_created", object.metadata.creation_timestamp.as_ref());
    object.endpoints.iter().flatten().for_each(|endpoint| one(&mut rows, endpoint));
    for port in object.ports.iter().flatten() {
        let number = port.port.map(|number| number.to_string()).unwrap_or_default();
        let labels = [
            ("port_name", port.name.as_deref().unwrap_or_default()),
            ("port_protocol", port.protocol.as_deref().unwrap_or_default()),
            ("port_number", number.as_str()),
        ];
        rows.with("kube_endpointslice_ports", &labels, 1.0);
    }
    rows
}

fn one(rows: &mut Rows, endpoint: &Endpoint) {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let target = endpoint.target_ref.clone().unwrap_or_default();
    let labels = [
        ("ready", said(conditions.ready)),
        ("serving", said(conditions.serving)),
        ("terminating", said(conditions.terminating)),
        ("hostname", endpoint.hostname.as_deref().unwrap_or_default()),
        ("targetref_kind", target.kind.as_deref().unwrap_or_default()),
        ("targetref_name", target.name.as_deref().unwrap_or_default()),
        ("targetref_namespace", target.namespace.as_deref().unwrap_or_default()),
        ("endpoint_nodename", endpoint.node_name.as_deref().unwrap_or_default()),
        ("endpoint_zone", endpoint.zone.as_deref().unwrap_or_default()),
    ];
    for address in &endpoint.addresses {
        let own = [("address", address.as_str())];
        rows.with("kube_endpointslice_endpoints", &[&labels[..], &own[..]].concat(), 1.0);
    }
    // The first address stands for all of an endpoint.
    let Some(address) = endpoint.addresses.first() else { return };
    let zones = endpoint.hints.as_ref().and_then(|hints| hints.for_zones.as_deref()).unwrap_or_default();
    for zone in zones {
        let labels = [("address", address.as_str()), ("for_zone", &zone.name)];
        rows.with("kube_endpointslice_endpoints_hints", &labels, 1.0);
    }
}
