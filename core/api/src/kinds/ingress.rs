//! Ingress and IngressClass: HTTP from outside, by host and path. Served; no gateway reads them yet.

use serde_json::{Value, json};

use super::service::ingress_point;
use crate::{
    access::{annotation, default, has, keep_status, list, present, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, first_few, text_or},
    validate::{Errors, domain_path, names, obey, one_of, port, unchanged},
};

/// The annotation that named the class before there was a field for it.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";
const GROUP: &str = "networking.k8s.io";
const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
/// What gateways read in different ways.
const NOT_WITHIN: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const NOT_AT_THE_END: [&str; 2] = ["/..", "/."];
const LONGEST_CONTROLLER: usize = 250;

pub static INGRESS: Kind = Kind {
    short_names: &["ing"],
    subresources: &[Subresource::Status],
    prepare_create: |ingress| set(ingress, "status", json!({"loadBalancer": {}})),
    prepare_update: keep_status,
    validate,
    validate_create,
    validate_status,
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Class", |i, _| class(i)),
        Column::text("Hosts", |i, _| hosts(i).into()),
        Column::text("Address", |i, _| address(i)),
        Column::text("Ports", |i, _| if list(i, "/spec/tls").is_empty() { "80" } else { "80, 443" }.into()),
        AGE,
    ],
    ..Kind::namespaced(GROUP, "v1", "Ingress", "ingresses", "ingress", "io.k8s.api.networking.v1.Ingress")
};

pub static INGRESS_CLASS: Kind = Kind {
    default: |class| with(class, "/spec/parameters", |parameters| default(parameters, "scope", "Cluster")),
    validate: validate_class,
    validate_update: |new, old| unchanged(new, old, &["/spec/controller"]),
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Controller", |c, _| text_or(c, "/spec/controller", "")),
        Column::text("Parameters", |c, _| parameters(c)),
        AGE,
    ],
    ..Kind::cluster(
        GROUP,
        "v1",
        "IngressClass",
        "ingressclasses",
        "ingressclass",
        "io.k8s.api.networking.v1.IngressClass",
    )
};

fn validate(ingress: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = ingress.get("spec").unwrap_or(&Value::Null);
    if list(spec, "/rules").is_empty() && !has(spec, "/defaultBackend") {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid("spec", spec, detail));
    }
    if let Some(default) = present(spec, "/defaultBackend") {
        backend(default, "spec.defaultBackend", &mut errors);
    }
    for (index, rule) in list(spec, "/rules").iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        host(text(rule, "/host"), &format!("{path}.host"), &mut errors);
        let Some(http) = present(rule, "/http") else { continue };
        let paths = list(http, "/paths");
        if paths.is_empty() {
            errors.push(FieldError::required(format!("{path}.http.paths"), ""));
        }
        for (index, given) in paths.iter().enumerate() {
            http_path(given, &format!("{path}.http.paths[{index}]"), &mut errors);
        }
    }
    for (index, tls) in list(spec, "/tls").iter().enumerate() {
        for (at, name) in list(tls, "/hosts").iter().enumerate() {
            let field = format!("spec.tls[{index}].hosts[{at}]");
            obey(form(name), name.as_str().unwrap_or_default(), &field, &mut errors);
        }
        let secret = text(tls, "/secretName");
        if !secret.is_empty() {
            obey(names::dns_subdomain, secret, &format!("spec.tls[{index}].secretName"), &mut errors);
        }
    }
    if let Some(class) = present(spec, "/ingressClassName") {
        let class = class.as_str().unwrap_or_default();
        obey(names::dns_subdomain, class, "spec.ingressClassName", &mut errors);
    }
    errors
}

/// The annotation of old names a class too, and it must be the same one.
fn validate_create(ingress: &Value) -> Errors {
    let mut errors = Vec::new();
    let old = annotation(ingress, OLD_CLASS);
    let class = present(ingress, "/spec/ingressClassName").and_then(Value::as_str);
    if let (Some(old), Some(class)) = (old, class)
        && old != class
    {
        let field = "metadata.annotations[kubernetes.io/ingress.class]";
        let detail = "must match `ingressClassName` when both are specified";
        errors.push(FieldError::invalid(field, &old.into(), detail));
    }
    errors
}

fn validate_status(new: &Value, _: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, given) in list(new, "/status/loadBalancer/ingress").iter().enumerate() {
        ingress_point(given, &format!("status.loadBalancer.ingress[{index}]"), &mut errors);
    }
    errors
}

fn form(name: &Value) -> fn(&str) -> Vec<String> {
    if name.as_str().unwrap_or_default().contains('*') {
        names::wildcard_subdomain
    } else {
        names::dns_subdomain
    }
}

fn host(name: &str, field: &str, errors: &mut Errors) {
    if name.is_empty() {
        return;
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        errors.push(FieldError::invalid(field, &name.into(), "must be a DNS name, not an IP address"));
    }
    obey(form(&name.into()), name, field, errors);
}

fn http_path(given: &Value, path: &str, errors: &mut Errors) {
    let kind = text(given, "/pathType");
    let place = text(given, "/path");
    let field = format!("{path}.path");
    let mut refuse = |detail: String| errors.push(FieldError::invalid(&field, &place.into(), detail));
    match kind {
        "" => {
            let detail = "pathType must be specified";
            return errors.push(FieldError::required(format!("{path}.pathType"), detail));
        }
        "Exact" | "Prefix" => {
            if !place.starts_with('/') {
                refuse("must be an absolute path".into());
            }
            for part in NOT_WITHIN.iter().filter(|part| place.contains(**part)) {
                refuse(format!("must not contain '{part}'"));
            }
            for end in NOT_AT_THE_END.iter().filter(|end| place.ends_with(**end)) {
                refuse(format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" if !place.is_empty() && !place.starts_with('/') => {
            refuse("must be an absolute path".into());
        }
        "ImplementationSpecific" => {}
        _ => one_of(given, "pathType", path, PATH_TYPES, errors),
    }
    backend(given.get("backend").unwrap_or(&Value::Null), &format!("{path}.backend"), errors);
}

fn backend(backend: &Value, path: &str, errors: &mut Errors) {
    let mut refuse = |detail: &str| errors.push(FieldError::invalid(path, &"".into(), detail));
    match (present(backend, "/service"), present(backend, "/resource")) {
        (None, None) => refuse("resource or service backend is required"),
        (Some(_), Some(_)) => refuse("cannot set both resource and service backends"),
        (Some(service), None) => service_backend(service, path, errors),
        (None, Some(resource)) => reference(resource, &format!("{path}.resource"), errors),
    }
}

fn service_backend(service: &Value, path: &str, errors: &mut Errors) {
    match text(service, "/name") {
        "" => errors.push(FieldError::required(format!("{path}.service.name"), "")),
        name => obey(names::dns_label, name, &format!("{path}.service.name"), errors),
    }
    let number = present(service, "/port/number").filter(|number| **number != json!(0));
    match (text(service, "/port/name"), number) {
        ("", None) => errors.push(FieldError::required(path, "port name or number is required")),
        ("", Some(number)) => port(number, &format!("{path}.service.port.number"), errors),
        (name, None) => obey(names::port_name, name, &format!("{path}.service.port.name"), errors),
        (_, Some(_)) => {
            errors.push(FieldError::invalid(path, &"".into(), "cannot set both port name & port number"));
        }
    }
}

/// An object of any kind, by its group, kind and name.
fn reference(reference: &Value, path: &str, errors: &mut Errors) {
    if let Some(group) = present(reference, "/apiGroup") {
        let group = group.as_str().unwrap_or_default();
        obey(names::dns_subdomain, group, &format!("{path}.apiGroup"), errors);
    }
    for key in ["kind", "name"] {
        let field = format!("{path}.{key}");
        match text(reference, &format!("/{key}")) {
            "" => errors.push(FieldError::required(field, &format!("{key} is required"))),
            name => obey(names::path_segment, name, &field, errors),
        }
    }
}

fn validate_class(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let controller = text(class, "/spec/controller");
    if controller.len() > LONGEST_CONTROLLER {
        errors.push(FieldError::too_long("spec.controller", LONGEST_CONTROLLER));
    }
    domain_path(controller, "spec.controller", &mut errors);
    let path = "spec.parameters";
    let Some(parameters) = present(class, "/spec/parameters") else { return errors };
    reference(parameters, path, &mut errors);
    let namespace = present(parameters, "/namespace");
    let field = format!("{path}.namespace");
    match (text(parameters, "/scope"), namespace) {
        ("Namespace", None) => {
            errors.push(FieldError::required(field, "`parameters.scope` is set to 'Namespace'"));
        }
        ("Namespace", Some(name)) => {
            obey(names::dns_label, name.as_str().unwrap_or_default(), &field, &mut errors);
        }
        ("Cluster", Some(_)) => {
            errors.push(FieldError::forbidden(field, "`parameters.scope` is set to 'Cluster'"));
        }
        _ => one_of(parameters, "scope", path, &["Cluster", "Namespace"], &mut errors),
    }
    errors
}

fn class(ingress: &Value) -> Value {
    match text(ingress, "/spec/ingressClassName") {
        "" => annotation(ingress, OLD_CLASS).filter(|old| !old.is_empty()).unwrap_or("<none>").into(),
        name => name.into(),
    }
}

fn hosts(ingress: &Value) -> String {
    let hosts: Vec<String> = list(ingress, "/spec/rules")
        .iter()
        .map(|rule| text(rule, "/host").to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    if hosts.is_empty() { "*".into() } else { first_few(&hosts, 3) }
}

fn address(ingress: &Value) -> Value {
    let ingress = list(ingress, "/status/loadBalancer/ingress").iter();
    let addresses: Vec<&str> = ingress
        .map(|i| if text(i, "/ip").is_empty() { text(i, "/hostname") } else { text(i, "/ip") })
        .collect();
    addresses.join(",").into()
}

fn parameters(class: &Value) -> Value {
    let Some(parameters) = present(class, "/spec/parameters") else { return "<none>".into() };
    let group = match text(parameters, "/apiGroup") {
        "" => String::new(),
        group => format!(".{group}"),
    };
    format!("{}{group}/{}", text(parameters, "/kind"), text(parameters, "/name")).into()
}
