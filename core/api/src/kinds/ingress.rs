//! Ingress and IngressClass: HTTP from outside, by host and path. Served; no gateway reads them yet.

use serde_json::{Value, json};

use crate::{
    access::{has, keep_status, list, present, set, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, first_few, text_or, text_or_none},
    validate::{Errors, one_of, required, unchanged},
};

const GROUP: &str = "networking.k8s.io";

pub static INGRESS: Kind = Kind {
    short_names: &["ing"],
    subresources: &[Subresource::Status],
    prepare_create: |ingress| set(ingress, "status", json!({"loadBalancer": {}})),
    prepare_update: keep_status,
    validate,
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
    validate: |class| {
        let mut errors = Vec::new();
        required(class.get("spec").unwrap_or(&Value::Null), "controller", "spec", &mut errors);
        errors
    },
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
        if text(rule, "/host").parse::<std::net::IpAddr>().is_ok() {
            let host = text(rule, "/host").into();
            errors.push(FieldError::invalid(
                format!("{path}.host"),
                &host,
                "must be a DNS name, not an IP address",
            ));
        }
        for (index, given) in list(rule, "/http/paths").iter().enumerate() {
            let path = format!("{path}.http.paths[{index}]");
            let types = &["Exact", "ImplementationSpecific", "Prefix"];
            one_of(given, "pathType", &path, types, &mut errors);
            let place = text(given, "/path");
            if ["Exact", "Prefix"].contains(&text(given, "/pathType")) && !place.starts_with('/') {
                errors.push(FieldError::invalid(
                    format!("{path}.path"),
                    &place.into(),
                    "must be an absolute path",
                ));
            }
            backend(given.get("backend").unwrap_or(&Value::Null), &format!("{path}.backend"), &mut errors);
        }
    }
    errors
}

fn backend(backend: &Value, path: &str, errors: &mut Errors) {
    match (present(backend, "/service"), has(backend, "/resource")) {
        (None, false) => {
            errors.push(FieldError::required(path, "backend must have either service or resource"));
        }
        (Some(_), true) => errors.push(FieldError::invalid(
            path,
            &"".into(),
            "cannot set both resource and service backends",
        )),
        (Some(service), false) => {
            required(service, "name", &format!("{path}.service"), errors);
            if !has(service, "/port/name") && !has(service, "/port/number") {
                let detail = "port name or number is required";
                errors.push(FieldError::required(format!("{path}.service.port"), detail));
            }
        }
        (None, true) => {}
    }
}

fn class(ingress: &Value) -> Value {
    let old = "/metadata/annotations/kubernetes.io~1ingress.class";
    match text(ingress, "/spec/ingressClassName") {
        "" => text_or_none(ingress, old),
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
