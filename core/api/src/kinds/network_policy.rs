//! NetworkPolicy: which traffic Pods take. Served; nothing enforces it yet.

use serde_json::{Value, json};

use crate::{
    access::{default, each, ensure, has, list, present, set, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME},
    validate::{Errors, addresses, labels, names, obey, optional_one_of, port},
};

pub static KIND: Kind = Kind {
    short_names: &["netpol"],
    default: defaults,
    validate,
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Pod-Selector", |p, _| labels::to_text(p.pointer("/spec/podSelector")).into()),
        AGE,
    ],
    ..Kind::namespaced(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        "networkpolicy",
        "io.k8s.api.networking.v1.NetworkPolicy",
    )
};

fn defaults(policy: &mut Value) {
    let Some(spec) = ensure(policy, "spec") else { return };
    if !has(spec, "/policyTypes") {
        let with_egress = !list(spec, "/egress").is_empty();
        set(spec, "policyTypes", if with_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    }
    for rules in ["/ingress", "/egress"] {
        each(spec, rules, |rule| each(rule, "/ports", |port| default(port, "protocol", "TCP")));
    }
}

fn validate(policy: &Value) -> Errors {
    let mut errors = Vec::new();
    if let Some(selector) = present(policy, "/spec/podSelector") {
        labels::selector(selector, "spec.podSelector", &mut errors);
    }
    for (way, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(policy, &format!("/spec/{way}")).iter().enumerate() {
            let path = format!("spec.{way}[{index}]");
            for (at, given) in list(rule, "/ports").iter().enumerate() {
                port_rule(given, &format!("{path}.ports[{at}]"), &mut errors);
            }
            for (at, given) in list(rule, &format!("/{peers}")).iter().enumerate() {
                peer(given, &format!("{path}.{peers}[{at}]"), &mut errors);
            }
        }
    }
    let types = list(policy, "/spec/policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid("spec.policyTypes", &json!(types), detail));
        return errors;
    }
    for (index, name) in types.iter().enumerate() {
        let name = name.as_str().unwrap_or_default();
        if !["Ingress", "Egress"].contains(&name) {
            let field = format!("spec.policyTypes[{index}]");
            errors.push(FieldError::not_supported(field, name, &["Ingress", "Egress"]));
        }
    }
    errors
}

fn port_rule(given: &Value, path: &str, errors: &mut Errors) {
    optional_one_of(given, "protocol", path, &["TCP", "UDP", "SCTP"], errors);
    let (field, last) = (format!("{path}.port"), format!("{path}.endPort"));
    let end = present(given, "/endPort");
    let mut refuse = |value: &Value, detail: &str| {
        errors.push(FieldError::invalid(&last, value, detail));
    };
    match (present(given, "/port"), end) {
        (None, Some(end)) => refuse(end, "may not be specified when `port` is not specified"),
        (None, None) => {}
        (Some(Value::String(name)), end) => {
            if let Some(end) = end {
                refuse(end, "may not be specified when `port` is non-numeric");
            }
            obey(names::port_name, name, &field, errors);
        }
        (Some(number), end) => {
            port(number, &field, errors);
            let Some(end) = end else { return };
            if end.as_i64() < number.as_i64() {
                let detail = "must be greater than or equal to `port`";
                errors.push(FieldError::invalid(&last, number, detail));
            }
            port(end, &last, errors);
        }
    }
}

fn peer(peer: &Value, path: &str, errors: &mut Errors) {
    let mut count = 0;
    for key in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = present(peer, &format!("/{key}")) {
            count += 1;
            labels::selector(selector, &format!("{path}.{key}"), errors);
        }
    }
    match (present(peer, "/ipBlock"), count) {
        (None, 0) => errors.push(FieldError::required(path, "must specify a peer")),
        (None, _) => {}
        (Some(block), count) => {
            ip_block(block, &format!("{path}.ipBlock"), errors);
            if count > 0 {
                let detail = "may not specify both ipBlock and another peer";
                errors.push(FieldError::forbidden(path, detail));
            }
        }
    }
}

fn ip_block(block: &Value, path: &str, errors: &mut Errors) {
    let cidr = text(block, "/cidr");
    if cidr.is_empty() {
        return errors.push(FieldError::required(format!("{path}.cidr"), ""));
    }
    obey(addresses::cidr, cidr, &format!("{path}.cidr"), errors);
    for (index, except) in list(block, "/except").iter().enumerate() {
        let field = format!("{path}.except[{index}]");
        let text = except.as_str().unwrap_or_default();
        obey(addresses::cidr, text, &field, errors);
        if addresses::is_within(text, cidr) == Some(false) {
            errors.push(FieldError::invalid(field, except, "must be a strict subset of `cidr`"));
        }
    }
}
