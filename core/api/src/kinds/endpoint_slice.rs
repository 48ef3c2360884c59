//! EndpointSlice: some of the addresses behind a Service, with their readiness.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::{Value, json};

use crate::{
    access::{default, each, has, int, list, present, set, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, first_few, text_or},
    validate::{Errors, addresses, labels, names, obey, one_of, unchanged},
};

const ENDPOINTS_LIMIT: usize = 1_000;
const ADDRESSES_LIMIT: usize = 100;
const PORTS_LIMIT: usize = 20_000;
const HINTS_LIMIT: usize = 8;

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
    let kind = text(slice, "/addressType");
    for (index, given) in endpoints.iter().enumerate() {
        endpoint(given, kind, &format!("endpoints[{index}]"), &mut errors);
    }
    let ports = list(slice, "/ports");
    if ports.len() > PORTS_LIMIT {
        errors.push(FieldError::too_many("ports", ports.len(), PORTS_LIMIT));
        return errors;
    }
    let mut seen = BTreeSet::new();
    for (index, given) in ports.iter().enumerate() {
        let path = format!("ports[{index}]");
        let name = text(given, "/name");
        if !name.is_empty() {
            obey(names::dns_label, name, &format!("{path}.name"), &mut errors);
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), &name.into()));
        }
        one_of(given, "protocol", &path, &["SCTP", "TCP", "UDP"], &mut errors);
        if let Some(protocol) = present(given, "/appProtocol") {
            let protocol = protocol.as_str().unwrap_or_default();
            obey(names::qualified, protocol, &format!("{path}.appProtocol"), &mut errors);
        }
    }
    errors
}

fn endpoint(endpoint: &Value, kind: &str, path: &str, errors: &mut Errors) {
    let all = list(endpoint, "/addresses");
    let field = format!("{path}.addresses");
    if all.is_empty() {
        errors.push(FieldError::required(&field, "must contain at least 1 address"));
    } else if all.len() > ADDRESSES_LIMIT {
        errors.push(FieldError::too_many(&field, all.len(), ADDRESSES_LIMIT));
    }
    for (index, address) in all.iter().enumerate() {
        let text = address.as_str().unwrap_or_default();
        let one = format!("{field}[{index}]");
        let family = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => "IPv4",
            Ok(IpAddr::V6(_)) => "IPv6",
            Err(_) => kind,
        };
        match kind {
            "FQDN" => domain(text, &one, errors),
            "IPv4" | "IPv6" => {
                if family != kind {
                    let detail = format!("must be an {kind} address");
                    errors.push(FieldError::invalid(&field, address, detail));
                }
                addresses::reachable(text, &one, errors);
            }
            _ => {}
        }
    }
    for (key, rule) in [("nodeName", names::dns_subdomain as fn(&str) -> _), ("hostname", names::dns_label)] {
        if let Some(name) = present(endpoint, &format!("/{key}")) {
            obey(rule, name.as_str().unwrap_or_default(), &format!("{path}.{key}"), errors);
        }
    }
    let topology = present(endpoint, "/deprecatedTopology");
    labels::labels(topology, &format!("{path}.deprecatedTopology"), errors);
    for (key, rule) in [("forZones", names::label_value as fn(&str) -> _), ("forNodes", names::dns_subdomain)]
    {
        let hints = list(endpoint, &format!("/hints/{key}"));
        let field = format!("{path}.hints.{key}");
        if hints.len() > HINTS_LIMIT {
            errors.push(FieldError::too_many(field, hints.len(), HINTS_LIMIT));
            continue;
        }
        let mut seen = BTreeSet::new();
        for (index, hint) in hints.iter().enumerate() {
            let name = text(hint, "/name");
            let field = format!("{field}[{index}].name");
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(&field, &name.into()));
            }
            obey(rule, name, &field, errors);
        }
    }
}

fn domain(name: &str, field: &str, errors: &mut Errors) {
    if name.is_empty() {
        return errors.push(FieldError::required(field, ""));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let before = errors.len();
    obey(names::dns_subdomain, name, field, errors);
    if errors.len() == before && !name.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(field, &name.into(), detail));
    }
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
