//! Service: one address and name for many Pods.
//!
//! Addresses and node ports are allocated by the API server after
//! [`Kind::prepare_create`]; here only what follows from the object itself.

mod validate;

use serde_json::{Value, json};

pub use self::validate::ingress_point;
use crate::{
    access::{default, each, ensure, has, int, keep_status, list, remove, set, text},
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, joined, text_or, text_or_none},
    validate::names,
    workload::label_text,
};

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
    validate: validate::validate,
    validate_update: validate::validate_update,
    validate_status: validate::validate_status,
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
    if text(service, "/spec/type") == "LoadBalancer" {
        each(service, "/status/loadBalancer/ingress", |ingress| {
            if !text(ingress, "/ip").is_empty() {
                default(ingress, "ipMode", "VIP");
            }
        });
    }
    let Some(spec) = ensure(service, "spec") else { return };
    default(spec, "sessionAffinity", "None");
    default(spec, "type", "ClusterIP");
    let kind = text(spec, "/type").to_owned();
    if text(spec, "/sessionAffinity") == "ClientIP"
        && let Some(client) = ensure(spec, "sessionAffinityConfig").and_then(|c| ensure(c, "clientIP"))
    {
        default(client, "timeoutSeconds", 10_800);
    } else if text(spec, "/sessionAffinity") == "None" {
        remove(spec, "sessionAffinityConfig");
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
    if is_seen_outside(spec) {
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
    if is_external(new) || is_external(old) {
        return;
    }
    let checked = |service: &Value| service.get("spec").is_some_and(needs_health_check);
    let check_port = int(old, "/spec/healthCheckNodePort").filter(|_| checked(old) && checked(new));
    let old_ports = list(old, "/spec/ports").to_vec();
    let wants_node_ports = ["NodePort", "LoadBalancer"].contains(&text(new, "/spec/type"));
    let Some(spec) = new.get_mut("spec") else { return };
    for key in ["clusterIP", "clusterIPs"] {
        if let Some(value) = old.pointer(&format!("/spec/{key}")).filter(|_| !has(spec, &format!("/{key}"))) {
            set(spec, key, value.clone());
        }
    }
    if let Some(number) = check_port.filter(|_| int(spec, "/healthCheckNodePort").is_none_or(|n| n == 0)) {
        set(spec, "healthCheckNodePort", number.into());
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

/// Whether the spec's Service is a name for something outside.
fn is_external(service: &Value) -> bool {
    text(service, "/spec/type") == "ExternalName"
}

/// Whether traffic from outside can come to a Service of this spec.
fn is_seen_outside(spec: &Value) -> bool {
    match text(spec, "/type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !list(spec, "/externalIPs").is_empty(),
        _ => false,
    }
}

/// Whether load balancers ask each node if it has endpoints.
fn needs_health_check(spec: &Value) -> bool {
    text(spec, "/type") == "LoadBalancer" && text(spec, "/externalTrafficPolicy") == "Local"
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
        assert_eq!((KIND.validate_update)(&moved, &old)[0].field, "spec.clusterIPs[0]");
    }
}
