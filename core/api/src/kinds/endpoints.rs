//! Endpoints: the addresses behind a Service, in the old form that EndpointSlice replaces.

use serde_json::Value;

use crate::{
    access::{default, each, int, list, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, first_few},
    validate::{Errors, port},
};

pub static KIND: Kind = Kind {
    short_names: &["ep"],
    default: |endpoints| {
        each(endpoints, "/subsets", |subset| each(subset, "/ports", |p| default(p, "protocol", "TCP")))
    },
    validate,
    columns: &[NAME, Column::text("Endpoints", |e, _| addresses(e)), AGE],
    ..Kind::namespaced("", "v1", "Endpoints", "endpoints", "endpoints", "io.k8s.api.core.v1.Endpoints")
};

fn validate(endpoints: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, subset) in list(endpoints, "/subsets").iter().enumerate() {
        let path = format!("subsets[{index}]");
        for key in ["addresses", "notReadyAddresses"] {
            for (index, address) in list(subset, &format!("/{key}")).iter().enumerate() {
                let ip = text(address, "/ip");
                if ip.parse::<std::net::IpAddr>().is_err() {
                    let field = format!("{path}.{key}[{index}].ip");
                    errors.push(FieldError::invalid(field, &ip.into(), "must be a valid IP address"));
                }
            }
        }
        for (index, given) in list(subset, "/ports").iter().enumerate() {
            port(
                given.get("port").unwrap_or(&Value::Null),
                &format!("{path}.ports[{index}].port"),
                &mut errors,
            );
        }
    }
    errors
}

fn addresses(endpoints: &Value) -> Value {
    let mut all = Vec::new();
    for subset in list(endpoints, "/subsets") {
        let ips = || list(subset, "/addresses").iter().map(|a| text(a, "/ip"));
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(ips().map(String::from));
        }
        for port in ports {
            let number = int(port, "/port").unwrap_or_default();
            all.extend(ips().map(|ip| format!("{ip}:{number}")));
        }
    }
    first_few(&all, 3).into()
}
