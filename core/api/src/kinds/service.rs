//! Service: one address and name for many Pods.
//!
//! Addresses and node ports are allocated by the API server after
//! [`Kind::prepare_create`]; here only what follows from the object itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    access::{default, each, ensure, has, int, keep_status, list, present, set, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, joined, text_or, text_or_none},
    validate::{Errors, labels, names, one_of, optional_one_of, port, port_or_name},
    workload::label_text,
};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub static KIND: Kind = Kind {
    short_names: &["svc"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Named("proxy")],
    validate_name: names::dns_1035_label,
    default: defaults,
    prepare_create: |service| set(service, "status", json!({"loadBalancer": {}})),
    prepare_update: |new, old| {
        keep_status(new, old);
        keep_allocated(new, old);
    },
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::text("Type", |s, _| text_or(s, "/spec/type", "")),
        Column::text("Cluster-IP", |s, _| text_or_none(s, "/spec/clusterIP")),
        Column::text("External-IP", |s, _| external_ip(s)),
        Column::text("Port(s)", |s, _| ports_text(s)),
        AGE,
        Column::text("Selector", |s, _| label_text(s, "/spec/selector")).wide(),
    ],
    selectable: &["spec.clusterIP", "spec.type"],
    ..Kind::namespaced("", "v1", "Service", "services", "service", "io.k8s.api.core.v1.Service")
};

fn defaults(service: &mut Value) {
    let Some(spec) = ensure(service, "spec") else { return };
    default(spec, "sessionAffinity", "None");
    default(spec, "type", "ClusterIP");
    let kind = text(spec, "/type").to_owned();
    if text(spec, "/sessionAffinity") == "ClientIP"
        && let Some(client) = ensure(spec, "sessionAffinityConfig").and_then(|c| ensure(c, "clientIP"))
    {
        default(client, "timeoutSeconds", 10_800);
    }
    each(spec, "/ports", |port| {
        default(port, "protocol", "TCP");
        if let Some(number) = port.get("port").cloned() {
            let unset = port.get("targetPort").is_some_and(|t| *t == json!(0));
            if unset {
                set(port, "targetPort", number);
            } else {
                default(port, "targetPort", number);
            }
        }
    });
    if ["NodePort", "LoadBalancer"].contains(&kind.as_str()) {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", "Cluster");
        default(spec, "ipFamilyPolicy", "SingleStack");
        if !has(spec, "/ipFamilies") {
            set(spec, "ipFamilies", json!(["IPv4"]));
        }
        let address = text(spec, "/clusterIP").to_owned();
        if !address.is_empty() && !has(spec, "/clusterIPs") {
            set(spec, "clusterIPs", json!([address]));
        }
    }
}

/// An update that doesn't name what was allocated keeps it.
fn keep_allocated(new: &mut Value, old: &Value) {
    if text(new, "/spec/type") == "ExternalName" || text(old, "/spec/type") == "ExternalName" {
        return;
    }
    let old_ports = list(old, "/spec/ports").to_vec();
    let wants_node_ports = ["NodePort", "LoadBalancer"].contains(&text(new, "/spec/type"));
    let Some(spec) = new.get_mut("spec") else { return };
    for key in ["clusterIP", "clusterIPs"] {
        if let Some(value) = old.pointer(&format!("/spec/{key}")).filter(|_| !has(spec, &format!("/{key}"))) {
            set(spec, key, value.clone());
        }
    }
    each(spec, "/ports", |port| {
        let same =
            |p: &&Value| p.get("port") == port.get("port") && p.get("protocol") == port.get("protocol");
        let before = old_ports.iter().find(same).and_then(|p| int(p, "/nodePort"));
        if let Some(number) = before.filter(|_| wants_node_ports) {
            default(port, "nodePort", number);
        }
    });
}

fn validate(service: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = service.get("spec").unwrap_or(&Value::Null);
    one_of(spec, "type", "spec", TYPES, &mut errors);
    one_of(spec, "sessionAffinity", "spec", &["ClientIP", "None"], &mut errors);
    for key in ["internalTrafficPolicy", "externalTrafficPolicy"] {
        optional_one_of(spec, key, "spec", &["Cluster", "Local"], &mut errors);
    }
    labels::labels(spec.get("selector"), "spec.selector", &mut errors);
    let kind = text(spec, "/type");
    let ports = list(spec, "/ports");
    let headless = text(spec, "/clusterIP") == "None";
    if kind == "ExternalName" {
        let name = text(spec, "/externalName");
        let wrong = names::dns_subdomain(name.trim_end_matches('.'));
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid("spec.externalName", &name.into(), w)));
    } else if ports.is_empty() && !headless {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if headless && ["NodePort", "LoadBalancer"].contains(&kind) {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &"None".into(), detail));
    }
    validate_ports(ports, kind, &mut errors);
    for (index, address) in list(spec, "/externalIPs").iter().enumerate() {
        if address.as_str().unwrap_or_default().parse::<std::net::IpAddr>().is_err() {
            errors.push(FieldError::invalid(
                format!("spec.externalIPs[{index}]"),
                address,
                "must be a valid IP address",
            ));
        }
    }
    errors
}

fn validate_ports(ports: &[Value], kind: &str, errors: &mut Errors) {
    let (mut names_seen, mut ports_seen) = (BTreeSet::new(), BTreeSet::new());
    for (index, given) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(given, "/name");
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !name.is_empty() {
            let wrong = names::dns_label(name);
            errors.extend(
                wrong.into_iter().map(|w| FieldError::invalid(format!("{path}.name"), &name.into(), w)),
            );
            if !names_seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), &name.into()));
            }
        }
        port(given.get("port").unwrap_or(&json!(0)), &format!("{path}.port"), errors);
        one_of(given, "protocol", &path, &["SCTP", "TCP", "UDP"], errors);
        port_or_name(present(given, "/targetPort"), &format!("{path}.targetPort"), errors);
        if int(given, "/nodePort").is_some_and(|n| n != 0) && kind == "ClusterIP" {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(format!("{path}.nodePort"), detail));
        }
        if !ports_seen.insert((text(given, "/protocol"), int(given, "/port"))) {
            let twin = json!({"port": given.get("port"), "protocol": given.get("protocol")});
            errors.push(FieldError::duplicate(path, &twin));
        }
    }
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let (before, after) = (text(old, "/spec/clusterIP"), text(new, "/spec/clusterIP"));
    let external = |service| text(service, "/spec/type") == "ExternalName";
    if before.is_empty() || before == after || external(old) || external(new) {
        return Vec::new();
    }
    let mut error = FieldError::invalid("spec.clusterIPs[0]", &json!([after]), "");
    error.message = format!("Invalid value: {}: may not change once set", json!([after]));
    vec![error]
}

fn external_ip(service: &Value) -> Value {
    let given = list(service, "/spec/externalIPs").iter().filter_map(Value::as_str);
    match text(service, "/spec/type") {
        "ExternalName" => text_or_none(service, "/spec/externalName"),
        "LoadBalancer" => {
            let ingress = list(service, "/status/loadBalancer/ingress").iter();
            let address = |i: &'_ Value| -> String {
                let ip = text(i, "/ip");
                if ip.is_empty() { text(i, "/hostname").to_owned() } else { ip.to_owned() }
            };
            let all: Vec<String> = ingress.map(address).chain(given.map(str::to_owned)).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",").into() }
        }
        _ => joined(given),
    }
}

fn ports_text(service: &Value) -> Value {
    let ports: Vec<String> = list(service, "/spec/ports")
        .iter()
        .map(|port| {
            let number = int(port, "/port").unwrap_or_default();
            let protocol = text(port, "/protocol");
            match int(port, "/nodePort").filter(|n| *n > 0) {
                Some(node_port) => format!("{number}:{node_port}/{protocol}"),
                None => format!("{number}/{protocol}"),
            }
        })
        .collect();
    joined(ports.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_keeps_what_was_allocated() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        (KIND.prepare_update)(&mut new, &old);
        assert_eq!(new["spec"]["clusterIP"], "10.96.0.7");
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30_080);
        assert_eq!(ports_text(&new), "80:30080/TCP");
        let moved = json!({"spec": {"clusterIP": "10.96.0.8"}});
        assert_eq!(validate_update(&moved, &old)[0].field, "spec.clusterIPs[0]");
    }
}
