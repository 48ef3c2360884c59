//! What is wrong with a Pod's containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{probe, validate::unique, volume};
use crate::{
    access::{entries, list, present, text},
    field::FieldError,
    validate::{Errors, labels, names, one_of, optional_one_of, port, quantity, required},
};

/// The containers of all three lists of the spec at `path`.
pub fn validate_all(spec: &Value, volumes: &BTreeSet<&str>, path: &str, errors: &mut Errors) {
    if list(spec, "/containers").is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut seen = BTreeSet::new();
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = list(spec, &format!("/{key}"));
        let names = containers.iter().enumerate();
        unique(names.map(|(i, c)| (format!("{path}.{key}[{i}].name"), text(c, "/name"))), &mut seen, errors);
        for (index, container) in containers.iter().enumerate() {
            let path = format!("{path}.{key}[{index}]");
            validate(container, volumes, &path, errors);
            let is_init = key == "initContainers" && text(container, "/restartPolicy") != "Always";
            probe::validate_all(container, &path, is_init, errors);
        }
    }
}

fn validate(container: &Value, volumes: &BTreeSet<&str>, path: &str, errors: &mut Errors) {
    match text(container, "/name") {
        "" => errors.push(FieldError::required(format!("{path}.name"), "")),
        name => {
            let wrong = names::dns_label(name);
            errors.extend(
                wrong.into_iter().map(|w| FieldError::invalid(format!("{path}.name"), &name.into(), w)),
            );
        }
    }
    let image = text(container, "/image");
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(format!("{path}.image"), &image.into(), detail));
    }
    one_of(container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"], errors);
    one_of(container, "terminationMessagePolicy", path, &["File", "FallbackToLogsOnError"], errors);
    ports(container, path, errors);
    env(container, path, errors);
    mounts(container, volumes, path, errors);
    resources(container.get("resources").unwrap_or(&Value::Null), &format!("{path}.resources"), errors);
}

fn ports(container: &Value, path: &str, errors: &mut Errors) {
    let ports = list(container, "/ports");
    let mut seen = BTreeSet::new();
    let names = ports.iter().enumerate();
    unique(names.map(|(i, p)| (format!("{path}.ports[{i}].name"), text(p, "/name"))), &mut seen, errors);
    for (index, given) in ports.iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(given, "/name");
        if !name.is_empty() {
            let wrong = names::port_name(name);
            errors.extend(
                wrong.into_iter().map(|w| FieldError::invalid(format!("{path}.name"), &name.into(), w)),
            );
        }
        match given.get("containerPort") {
            None => errors.push(FieldError::required(format!("{path}.containerPort"), "")),
            Some(number) => port(number, &format!("{path}.containerPort"), errors),
        }
        if let Some(number) = present(given, "/hostPort").filter(|n| n.as_i64() != Some(0)) {
            port(number, &format!("{path}.hostPort"), errors);
        }
        one_of(given, "protocol", &path, &["SCTP", "TCP", "UDP"], errors);
    }
}

fn env(container: &Value, path: &str, errors: &mut Errors) {
    for (index, variable) in list(container, "/env").iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        match text(variable, "/name") {
            "" => errors.push(FieldError::required(format!("{path}.name"), "")),
            name => {
                let wrong = names::env_name(name);
                errors.extend(
                    wrong.into_iter().map(|w| FieldError::invalid(format!("{path}.name"), &name.into(), w)),
                );
            }
        }
        let Some(from) = present(variable, "/valueFrom") else { continue };
        if !text(variable, "/value").is_empty() {
            let detail = "may not be specified when `value` is not empty";
            errors.push(FieldError::invalid(format!("{path}.valueFrom"), &"".into(), detail));
        }
        env_source(from, &format!("{path}.valueFrom"), errors);
    }
    for (index, source) in list(container, "/envFrom").iter().enumerate() {
        let path = format!("{path}.envFrom[{index}]");
        let given: Vec<&str> =
            ["configMapRef", "secretRef"].into_iter().filter(|k| source.get(k).is_some()).collect();
        match given.as_slice() {
            [] => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(path, &"".into(), detail));
            }
            [one] => required(&source[one], "name", &format!("{path}.{one}"), errors),
            _ => errors.push(FieldError::invalid(
                path,
                &"".into(),
                "may not have more than one field specified at a time",
            )),
        }
    }
}

fn env_source(from: &Value, path: &str, errors: &mut Errors) {
    let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let given: Vec<&str> = kinds.into_iter().filter(|k| from.get(k).is_some_and(|v| !v.is_null())).collect();
    let detail = match given.len() {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        1 => "",
        _ => "may not have more than one field specified at a time",
    };
    if !detail.is_empty() {
        errors.push(FieldError::invalid(path, &"".into(), detail));
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(source) = present(from, &format!("/{kind}")) {
            required(source, "name", &format!("{path}.{kind}"), errors);
            required(source, "key", &format!("{path}.{kind}"), errors);
        }
    }
    if let Some(field) = present(from, "/fieldRef") {
        field_reference(text(field, "/fieldPath"), &format!("{path}.fieldRef.fieldPath"), errors);
    }
}

fn field_reference(field: &str, path: &str, errors: &mut Errors) {
    let plain = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let keyed = ["metadata.labels['", "metadata.annotations['"];
    let known =
        plain.contains(&field) || (keyed.iter().any(|k| field.starts_with(k)) && field.ends_with("']"));
    if field.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !known {
        errors.push(FieldError::not_supported(path, field, &plain));
    }
}

fn mounts(container: &Value, volumes: &BTreeSet<&str>, path: &str, errors: &mut Errors) {
    let mut places = BTreeSet::new();
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        let name = text(mount, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !volumes.contains(name) {
            let mut missing = FieldError::invalid(format!("{path}.name"), &name.into(), "");
            missing.message = format!("Not found: {name:?}");
            errors.push(missing);
        }
        let place = text(mount, "/mountPath");
        if place.is_empty() {
            errors.push(FieldError::required(format!("{path}.mountPath"), ""));
        } else if !places.insert(place) {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), &place.into(), "must be unique"));
        }
        volume::local_path(text(mount, "/subPath"), &format!("{path}.subPath"), errors);
        let propagations = &["Bidirectional", "HostToContainer", "None"];
        optional_one_of(mount, "mountPropagation", &path, propagations, errors);
    }
}

/// Requests and limits at `path`: amounts, and no request above its limit.
pub fn resources(resources: &Value, path: &str, errors: &mut Errors) {
    for kind in ["limits", "requests"] {
        for (name, amount) in entries(resources, &format!("/{kind}")) {
            let path = format!("{path}.{kind}");
            labels::key_of(name, &path, errors);
            let field = format!("{path}[{name}]");
            let Some(request) = quantity(amount, &field, errors) else { continue };
            if !matches!(name.as_str(), "cpu") && !request.is_whole() {
                errors.push(FieldError::invalid(&*field, amount, "must be an integer"));
            }
            let limit = resources.get("limits").and_then(|l| l.get(name)).and_then(Value::as_str);
            let limit = limit.and_then(|l| l.parse().ok());
            if kind == "requests" && limit.is_some_and(|limit| request > limit) {
                let detail =
                    format!("must be less than or equal to {name} limit of {}", limit.unwrap_or(request));
                errors.push(FieldError::invalid(path, amount, detail));
            }
        }
    }
}
