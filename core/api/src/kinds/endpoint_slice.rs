//! EndpointSlice: some of the addresses behind a Service, with their readiness.

use serde_json::{Value, json};

use crate::{
    access::{default, each, has, int, list, set, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, first_few, text_or},
    validate::{Errors, one_of, port, unchanged},
};

const ENDPOINTS_LIMIT: usize = 1_000;

pub static KIND: Kind = Kind {
    default: |slice| {
        each(slice, "/ports", |port| {
            default(port, "protocol", "TCP");
            if !has(port, "/name") {
                set(port, "name", json!(""));
            }
        });
    },
    validate,
    validate_update: |new, old| unchanged(new, old, &["/addressType"]),
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("AddressType", |s, _| text_or(s, "/addressType", "")),
        Column::text("Ports", |s, _| ports(s)),
        Column::text("Endpoints", |s, _| endpoints(s)),
        AGE,
    ],
    ..Kind::namespaced(
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        "endpointslices",
        "endpointslice",
        "io.k8s.api.discovery.v1.EndpointSlice",
    )
};

fn validate(slice: &Value) -> Errors {
    let mut errors = Vec::new();
    match text(slice, "/addressType") {
        "" => errors.push(FieldError::required("addressType", "")),
        kind if !["FQDN", "IPv4", "IPv6"].contains(&kind) => {
            errors.push(FieldError::not_supported("addressType", kind, &["FQDN", "IPv4", "IPv6"]));
        }
        _ => {}
    }
    let endpoints = list(slice, "/endpoints");
    if endpoints.len() > ENDPOINTS_LIMIT {
        errors.push(FieldError::too_many("endpoints", endpoints.len(), ENDPOINTS_LIMIT));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        if list(endpoint, "/addresses").is_empty() {
            let detail = "must contain at least 1 address";
            errors.push(FieldError::required(format!("endpoints[{index}].addresses"), detail));
        }
    }
    for (index, given) in list(slice, "/ports").iter().enumerate() {
        let path = format!("ports[{index}]");
        one_of(given, "protocol", &path, &["SCTP", "TCP", "UDP"], &mut errors);
        if let Some(number) = given.get("port") {
            port(number, &format!("{path}.port"), &mut errors);
        }
    }
    errors
}

fn ports(slice: &Value) -> Value {
    let ports = list(slice, "/ports");
    if ports.is_empty() {
        return "<unset>".into();
    }
    let ports: Vec<String> =
        ports.iter().map(|p| int(p, "/port").map_or_else(|| "*".into(), |n| n.to_string())).collect();
    first_few(&ports, 3).into()
}

fn endpoints(slice: &Value) -> Value {
    let addresses = list(slice, "/endpoints").iter().flat_map(|e| list(e, "/addresses"));
    let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(String::from).collect();
    if addresses.is_empty() { "<unset>".into() } else { first_few(&addresses, 3).into() }
}
