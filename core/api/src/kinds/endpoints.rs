//! Endpoints: the addresses behind a Service, in the old form that EndpointSlice replaces.

use serde_json::{Value, json};

use crate::{
    access::{default, each, int, list, present, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, first_few},
    validate::{Errors, addresses::reachable, names, obey, one_of, port},
};

pub static KIND: Kind = Kind {
    short_names: &["ep"],
    deprecation: Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
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
        let all = ["addresses", "notReadyAddresses"];
        if all.iter().all(|key| list(subset, &format!("/{key}")).is_empty()) {
            let detail = "must specify `addresses` or `notReadyAddresses`";
            errors.push(FieldError::required(&path, detail));
        }
        for key in all {
            for (index, given) in list(subset, &format!("/{key}")).iter().enumerate() {
                address(given, &format!("{path}.{key}[{index}]"), &mut errors);
            }
        }
        let ports = list(subset, "/ports");
        for (index, given) in ports.iter().enumerate() {
            let path = format!("{path}.ports[{index}]");
            match text(given, "/name") {
                "" if ports.len() > 1 => errors.push(FieldError::required(format!("{path}.name"), "")),
                "" => {}
                name => obey(names::dns_label, name, &format!("{path}.name"), &mut errors),
            }
            port(given.get("port").unwrap_or(&json!(0)), &format!("{path}.port"), &mut errors);
            one_of(given, "protocol", &path, &["SCTP", "TCP", "UDP"], &mut errors);
            if let Some(protocol) = present(given, "/appProtocol") {
                let protocol = protocol.as_str().unwrap_or_default();
                obey(names::qualified, protocol, &format!("{path}.appProtocol"), &mut errors);
            }
        }
    }
    errors
}

fn address(given: &Value, path: &str, errors: &mut Errors) {
    reachable(text(given, "/ip"), &format!("{path}.ip"), errors);
    for (key, rule) in [("hostname", names::dns_label as fn(&str) -> _), ("nodeName", names::dns_subdomain)] {
        let name = text(given, &format!("/{key}"));
        if !name.is_empty() {
            obey(rule, name, &format!("{path}.{key}"), errors);
        }
    }
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
