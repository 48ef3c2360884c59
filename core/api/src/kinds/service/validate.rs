//! What is wrong with a Service, with a change of one, and with its status.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{is_external, is_seen_outside, needs_health_check};
use crate::{
    access::{has, int, list, present, text},
    field::FieldError,
    validate::{
        Errors, addresses, labels, names, obey, one_of, optional_one_of, port, port_or_name, required,
    },
};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const POLICIES: &[&str] = &["Cluster", "Local"];
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";
const LONGEST_AFFINITY: i64 = 86_400;

pub fn validate(service: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = service.get("spec").unwrap_or(&Value::Null);
    let ports = list(spec, "/ports");
    let kind = text(spec, "/type");
    let headless = text(spec, "/clusterIP") == "None";
    if kind == "ExternalName" {
        external_name(spec, &mut errors);
    } else if ports.is_empty() && !headless {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if headless && ["NodePort", "LoadBalancer"].contains(&kind) {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &"None".into(), detail));
    }
    validate_ports(ports, kind, &mut errors);
    labels::labels(spec.get("selector"), "spec.selector", &mut errors);
    affinity(spec, &mut errors);
    families(spec, &mut errors);
    for (index, address) in list(spec, "/externalIPs").iter().enumerate() {
        let field = format!("spec.externalIPs[{index}]");
        addresses::reachable(address.as_str().unwrap_or_default(), &field, &mut errors);
    }
    one_of(spec, "type", "spec", TYPES, &mut errors);
    balanced(spec, &mut errors);
    traffic(spec, &mut errors);
    errors
}

fn external_name(spec: &Value, errors: &mut Errors) {
    for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let given = present(spec, &format!("/{key}"));
        if given.is_some_and(|given| given.as_array().is_none_or(|all| !all.is_empty())) {
            let detail = "may not be set for ExternalName services";
            errors.push(FieldError::forbidden(format!("spec.{key}"), detail));
        }
    }
    let name = text(spec, "/externalName");
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.push(FieldError::required("spec.externalName", "")),
        name => obey(names::dns_subdomain, name, "spec.externalName", errors),
    }
}

fn validate_ports(ports: &[Value], kind: &str, errors: &mut Errors) {
    let mut names_seen = BTreeSet::new();
    for (index, given) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(given, "/name");
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !name.is_empty() {
            obey(names::dns_label, name, &format!("{path}.name"), errors);
            if !names_seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), &name.into()));
            }
        }
        port(given.get("port").unwrap_or(&json!(0)), &format!("{path}.port"), errors);
        one_of(given, "protocol", &path, &["SCTP", "TCP", "UDP"], errors);
        port_or_name(present(given, "/targetPort"), &format!("{path}.targetPort"), errors);
        if let Some(protocol) = present(given, "/appProtocol") {
            let protocol = protocol.as_str().unwrap_or_default();
            obey(names::qualified, protocol, &format!("{path}.appProtocol"), errors);
        }
    }
    let (mut node_ports, mut pairs) = (BTreeSet::new(), BTreeSet::new());
    for (index, given) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let protocol = text(given, "/protocol");
        if let Some(number) = int(given, "/nodePort").filter(|number| *number != 0) {
            if kind == "ClusterIP" {
                let detail = "may not be used when `type` is 'ClusterIP'";
                errors.push(FieldError::forbidden(format!("{path}.nodePort"), detail));
            }
            if !node_ports.insert((protocol, number)) {
                errors.push(FieldError::duplicate(format!("{path}.nodePort"), &number.into()));
            }
        }
        if !pairs.insert((protocol, int(given, "/port"))) {
            let twin = json!({"port": given.get("port"), "protocol": given.get("protocol")});
            errors.push(FieldError::duplicate(path, &twin));
        }
    }
}

fn affinity(spec: &Value, errors: &mut Errors) {
    one_of(spec, "sessionAffinity", "spec", &["ClientIP", "None"], errors);
    let path = "spec.sessionAffinityConfig";
    let config = present(spec, "/sessionAffinityConfig");
    match (text(spec, "/sessionAffinity"), config) {
        ("None", Some(_)) => {
            errors.push(FieldError::forbidden(path, "must not be set when session affinity is None"));
        }
        ("ClientIP", Some(config)) => {
            let field = format!("{path}.clientIP.timeoutSeconds");
            let seconds = int(config, "/clientIP/timeoutSeconds");
            if let Some(seconds) = seconds.filter(|seconds| !(1..=LONGEST_AFFINITY).contains(seconds)) {
                let detail = format!("must be greater than 0 and less than {LONGEST_AFFINITY}");
                errors.push(FieldError::invalid(field, &seconds.into(), detail));
            }
        }
        _ => {}
    }
}

fn families(spec: &Value, errors: &mut Errors) {
    let policies = &["PreferDualStack", "RequireDualStack", "SingleStack"];
    optional_one_of(spec, "ipFamilyPolicy", "spec", policies, errors);
    let mut seen = BTreeSet::new();
    for (index, family) in list(spec, "/ipFamilies").iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        let name = family.as_str().unwrap_or_default();
        if !["IPv4", "IPv6"].contains(&name) {
            errors.push(FieldError::not_supported(&field, name, &["IPv4", "IPv6"]));
        } else if !seen.insert(name) {
            errors.push(FieldError::duplicate(field, family));
        }
    }
    let all = list(spec, "/clusterIPs");
    if all.len() > 2 {
        let detail = "may only hold up to 2 values";
        errors.push(FieldError::invalid("spec.clusterIPs", &json!(all), detail));
    }
    let first = text(spec, "/clusterIP");
    if let Some(one) = all.first().and_then(Value::as_str).filter(|one| *one != first) {
        let detail = match first {
            "" => "must be empty when `clusterIP` is not specified",
            _ => "must match `clusterIP`",
        };
        let (field, value) = match first {
            "" => ("spec.clusterIPs", json!(all)),
            _ => ("spec.clusterIPs", json!([one])),
        };
        errors.push(FieldError::invalid(field, &value, detail));
    }
    for (index, address) in all.iter().enumerate() {
        let address = address.as_str().unwrap_or_default();
        let field = format!("spec.clusterIPs[{index}]");
        match address {
            "None" if all.len() > 1 => {
                let detail = "'None' must be the first and only value";
                errors.push(FieldError::invalid(field, &address.into(), detail));
            }
            "None" => {}
            address => obey(addresses::ip, address, &field, errors),
        }
    }
}

/// What only a load balancer reads.
fn balanced(spec: &Value, errors: &mut Errors) {
    let is_balanced = text(spec, "/type") == "LoadBalancer";
    let ranges = list(spec, "/loadBalancerSourceRanges");
    let field = "spec.LoadBalancerSourceRanges";
    if !ranges.is_empty() && !is_balanced {
        errors.push(FieldError::forbidden(field, ONLY_BALANCED));
    }
    for (index, range) in ranges.iter().enumerate() {
        let range = range.as_str().unwrap_or_default().trim();
        obey(addresses::cidr, range, &format!("{field}[{index}]"), errors);
    }
    if has(spec, "/allocateLoadBalancerNodePorts") && !is_balanced {
        errors.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", ONLY_BALANCED));
    }
    match present(spec, "/loadBalancerClass").and_then(Value::as_str) {
        Some(class) if is_balanced => obey(names::qualified, class, "spec.loadBalancerClass", errors),
        Some(_) => errors.push(FieldError::forbidden("spec.loadBalancerClass", ONLY_BALANCED)),
        None => {}
    }
}

fn traffic(spec: &Value, errors: &mut Errors) {
    let policy = text(spec, "/externalTrafficPolicy");
    if is_seen_outside(spec) {
        one_of(spec, "externalTrafficPolicy", "spec", POLICIES, errors);
    } else if !policy.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid("spec.externalTrafficPolicy", &policy.into(), detail));
    }
    if let Some(number) = int(spec, "/healthCheckNodePort").filter(|number| *number != 0) {
        let field = "spec.healthCheckNodePort";
        if needs_health_check(spec) {
            port(&number.into(), field, errors);
        } else {
            let detail =
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(field, &number.into(), detail));
        }
    }
    match text(spec, "/type") {
        "ExternalName" => optional_one_of(spec, "internalTrafficPolicy", "spec", POLICIES, errors),
        _ => one_of(spec, "internalTrafficPolicy", "spec", POLICIES, errors),
    }
    let spreads = &["PreferClose", "PreferSameZone", "PreferSameNode"];
    optional_one_of(spec, "trafficDistribution", "spec", spreads, errors);
}

pub fn validate_update(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let (before, after) = (text(old, "/spec/clusterIP"), text(new, "/spec/clusterIP"));
    let field = |service: &Value, key: &str| service.pointer(&format!("/spec/{key}")).cloned();
    if !before.is_empty() && before != after && !is_external(old) && !is_external(new) {
        let value = json!([after]);
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &value, "may not change once set"));
    }
    let balanced = |service: &Value| text(service, "/spec/type") == "LoadBalancer";
    let class = field(new, "loadBalancerClass");
    if balanced(old) && balanced(new) && class != field(old, "loadBalancerClass") {
        let class = class.unwrap_or_default();
        errors.push(FieldError::invalid("spec.loadBalancerClass", &class, "may not change once set"));
    }
    let checked = |service: &Value| service.get("spec").is_some_and(needs_health_check);
    let number = |service: &Value| int(service, "/spec/healthCheckNodePort").unwrap_or_default();
    if checked(old) && checked(new) && number(old) != number(new) {
        errors.push(FieldError::forbidden("spec.healthCheckNodePort", "field is immutable"));
    }
    errors
}

pub fn validate_status(new: &Value, _: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = "status.loadBalancer.ingress";
    let ingress = list(new, "/status/loadBalancer/ingress");
    if !ingress.is_empty() && text(new, "/spec/type") != "LoadBalancer" {
        let detail = "may only be used when `spec.type` is 'LoadBalancer'";
        return vec![FieldError::forbidden(path, detail)];
    }
    for (index, given) in ingress.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let has_ip = !text(given, "/ip").is_empty();
        ingress_point(given, &path, &mut errors);
        match (has(given, "/ipMode"), has_ip) {
            (true, false) => {
                let detail = "may not be specified when `ip` is not set";
                errors.push(FieldError::forbidden(format!("{path}.ipMode"), detail));
            }
            (true, true) => optional_one_of(given, "ipMode", &path, &["Proxy", "VIP"], &mut errors),
            (false, true) => required(given, "ipMode", &path, &mut errors),
            (false, false) => {}
        }
    }
    errors
}

/// Where traffic comes in, in the status of a Service or an Ingress.
pub fn ingress_point(given: &Value, path: &str, errors: &mut Errors) {
    let (ip, host) = (text(given, "/ip"), text(given, "/hostname"));
    if !ip.is_empty() {
        obey(addresses::ip, ip, &format!("{path}.ip"), errors);
    }
    if !host.is_empty() {
        let field = format!("{path}.hostname");
        obey(names::dns_subdomain, host, &field, errors);
        if host.parse::<std::net::IpAddr>().is_ok() {
            errors.push(FieldError::invalid(field, &host.into(), "must be a DNS name, not an IP address"));
        }
    }
}
