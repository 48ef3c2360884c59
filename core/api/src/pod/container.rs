//! What is wrong with a Pod's containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    env, mounts, probe, resources, security,
    validate::{Around, unique},
};
use crate::{
    access::{find, flag, has, int, list, text},
    field::FieldError,
    validate::{Errors, names, obey, one_of, optional_one_of, port},
};

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const RESTARTS: &[&str] = &["Always", "Never", "OnFailure"];
/// What a container that is added to a running Pod may not have.
const NOT_FOR_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "restartPolicy",
    "restartPolicyRules",
    "resizePolicy",
];

/// The containers of all three lists of the spec at `path`.
pub fn validate_all(around: &Around<'_>, path: &str, errors: &mut Errors) {
    if list(around.spec, "/containers").is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut seen = BTreeSet::new();
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = list(around.spec, &format!("/{key}"));
        for (index, container) in containers.iter().enumerate() {
            let path = format!("{path}.{key}[{index}]");
            validate(container, around, &path, errors);
            match key {
                "ephemeralContainers" => ephemeral(container, around, &path, errors),
                _ => {
                    restarts(container, &path, errors);
                    let once = key == "initContainers" && text(container, "/restartPolicy") != "Always";
                    probe::validate_all(container, around.grace_seconds(), &path, once, errors);
                }
            }
            if key == "initContainers" {
                host_ports(&containers[index..=index], &path, true, errors);
            }
        }
        let names = containers.iter().enumerate();
        unique(names.map(|(i, c)| (format!("{path}.{key}[{i}].name"), text(c, "/name"))), &mut seen, errors);
        if key == "containers" {
            host_ports(containers, &format!("{path}.containers"), false, errors);
        }
    }
}

fn validate(container: &Value, around: &Around<'_>, path: &str, errors: &mut Errors) {
    match text(container, "/name") {
        "" => errors.push(FieldError::required(format!("{path}.name"), "")),
        name => obey(names::dns_label, name, &format!("{path}.name"), errors),
    }
    let image = text(container, "/image");
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    } else if around.is_pod && image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(format!("{path}.image"), &image.into(), detail));
    }
    one_of(container, "terminationMessagePolicy", path, &["File", "FallbackToLogsOnError"], errors);
    ports(container, &format!("{path}.ports"), errors);
    env::variables(container, &format!("{path}.env"), errors);
    env::sources(container, &format!("{path}.envFrom"), errors);
    mounts::volumes(container, around, &format!("{path}.volumeMounts"), errors);
    mounts::devices(container, around, &format!("{path}.volumeDevices"), errors);
    one_of(container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"], errors);
    let wanted = container.get("resources").unwrap_or(&Value::Null);
    resources::of_container(wanted, &around.claims, &format!("{path}.resources"), errors);
    resources::resize_policy(container, around.spec, &format!("{path}.resizePolicy"), errors);
    security::of_container(container, around.host_users(), &format!("{path}.securityContext"), errors);
    optional_one_of_signal(container, around.spec, path, errors);
}

/// A stop signal is the system's own: so the system must be named.
fn optional_one_of_signal(container: &Value, spec: &Value, path: &str, errors: &mut Errors) {
    let (signal, field) = (text(container, "/lifecycle/stopSignal"), format!("{path}.lifecycle.stopSignal"));
    if signal.is_empty() {
        return;
    }
    match text(spec, "/os/name") {
        "" => errors
            .push(FieldError::forbidden(field, "may not be set for containers with empty `spec.os.name`")),
        "windows" if !["SIGKILL", "SIGTERM"].contains(&signal) => {
            errors.push(FieldError::not_supported(field, signal, &["SIGKILL", "SIGTERM"]));
        }
        _ if !signal.starts_with("SIG") => {
            errors.push(FieldError::not_supported(field, signal, &["SIGTERM"]))
        }
        _ => {}
    }
}

fn ports(container: &Value, path: &str, errors: &mut Errors) {
    let ports = list(container, "/ports");
    let mut seen = BTreeSet::new();
    for (index, given) in ports.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = text(given, "/name");
        if !name.is_empty() {
            let wrong = names::port_name(name);
            if wrong.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), &name.into()));
            }
            obey(names::port_name, name, &format!("{path}.name"), errors);
        }
        match given.get("containerPort").filter(|number| number.as_i64() != Some(0)) {
            None => errors.push(FieldError::required(format!("{path}.containerPort"), "")),
            Some(number) => port(number, &format!("{path}.containerPort"), errors),
        }
        if let Some(number) = given.get("hostPort").filter(|n| !n.is_null() && n.as_i64() != Some(0)) {
            port(number, &format!("{path}.hostPort"), errors);
        }
        one_of(given, "protocol", &path, PROTOCOLS, errors);
    }
}

/// Ports of the node that are asked for twice. `one` says that `path` is the container's own.
fn host_ports(containers: &[Value], path: &str, one: bool, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = if one { path.to_owned() } else { format!("{path}[{index}]") };
        for (at, port) in list(container, "/ports").iter().enumerate() {
            let Some(number) = int(port, "/hostPort").filter(|number| *number != 0) else { continue };
            let key = format!("{}/{}/{number}", text(port, "/protocol"), text(port, "/hostIP"));
            if !seen.insert(key.clone()) {
                errors.push(FieldError::duplicate(format!("{path}.ports[{at}].hostPort"), &key.into()));
            }
        }
    }
}

/// On the node's own network a container's port is the node's.
pub fn host_network(around: &Around<'_>, path: &str, errors: &mut Errors) {
    if !flag(around.spec, "/hostNetwork") {
        return;
    }
    for (index, container) in list(around.spec, "/containers").iter().enumerate() {
        for (at, port) in list(container, "/ports").iter().enumerate() {
            let host = int(port, "/hostPort").unwrap_or(0);
            if (around.is_pod || host != 0) && host != int(port, "/containerPort").unwrap_or(0) {
                let field = format!("{path}.containers[{index}].ports[{at}].hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(field, &host.into(), detail));
            }
        }
    }
}

/// A container's own policy, and the exits that it makes an exception for.
fn restarts(container: &Value, path: &str, errors: &mut Errors) {
    optional_one_of(container, "restartPolicy", path, RESTARTS, errors);
    let rules = list(container, "/restartPolicyRules");
    if !rules.is_empty() && !has(container, "/restartPolicy") {
        let detail = "must specify restartPolicy when restart rules are used";
        errors.push(FieldError::required(format!("{path}.restartPolicy"), detail));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}.restartPolicyRules[{index}]");
        one_of(rule, "action", &path, &["Restart", "RestartAllContainers"], errors);
        let exits = rule.get("exitCodes").unwrap_or(&Value::Null);
        if exits.is_null() {
            errors.push(FieldError::required(format!("{path}.exitCodes"), "must be specified"));
            continue;
        }
        one_of(exits, "operator", &format!("{path}.exitCodes"), &["In", "NotIn"], errors);
        if list(exits, "/values").len() > 255 {
            let field = format!("{path}.exitCodes.values");
            errors.push(FieldError::too_many(field, list(exits, "/values").len(), 255));
        }
    }
}

fn ephemeral(container: &Value, around: &Around<'_>, path: &str, errors: &mut Errors) {
    let detail = "cannot be set for an Ephemeral Container";
    let target = text(container, "/targetContainerName");
    let known = ["/containers", "/initContainers"]
        .iter()
        .any(|at| find(list(around.spec, at), "name", target).is_some());
    if !target.is_empty() && !known {
        errors.push(FieldError::not_found(format!("{path}.targetContainerName"), target));
    }
    let is_empty = |value: &Value| match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    };
    for key in NOT_FOR_EPHEMERAL {
        if container.get(key).is_some_and(|value| !is_empty(value)) {
            errors.push(FieldError::forbidden(format!("{path}.{key}"), detail));
        }
    }
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        for key in ["subPath", "subPathExpr"] {
            if !text(mount, &format!("/{key}")).is_empty() {
                errors.push(FieldError::forbidden(format!("{path}.volumeMounts[{index}].{key}"), detail));
            }
        }
    }
}
