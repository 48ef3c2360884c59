//! Variables of a container's environment, and the values of the Pod that they and files may carry.

use serde_json::Value;

use super::volume::local_path;
use crate::{
    access::{has, list, present, text},
    field::FieldError,
    validate::{Errors, labels, names, obey, quantity, required},
};

const VARIABLES: [&str; 9] = [
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
/// What a file may carry: the labels as a whole, too, since a file follows them.
pub const FILES: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Paths that a Pod has but that no variable may carry.
const OTHERS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const SIZES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub fn variables(container: &Value, path: &str, errors: &mut Errors) {
    for (index, variable) in list(container, "/env").iter().enumerate() {
        let path = format!("{path}[{index}]");
        match text(variable, "/name") {
            "" => errors.push(FieldError::required(format!("{path}.name"), "")),
            name => obey(names::env_name, name, &format!("{path}.name"), errors),
        }
        if let Some(from) = present(variable, "/valueFrom") {
            source(variable, from, &format!("{path}.valueFrom"), errors);
        }
    }
}

fn source(variable: &Value, from: &Value, path: &str, errors: &mut Errors) {
    if let Some(field) = present(from, "/fieldRef") {
        field_of(field, &VARIABLES, &format!("{path}.fieldRef"), errors);
    }
    if let Some(resource) = present(from, "/resourceFieldRef") {
        resource_of(resource, false, &format!("{path}.resourceFieldRef"), errors);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let Some(source) = present(from, &format!("/{kind}")) else { continue };
        let path = format!("{path}.{kind}");
        obey(names::dns_subdomain, text(source, "/name"), &format!("{path}.name"), errors);
        match text(source, "/key") {
            "" => errors.push(FieldError::required(format!("{path}.key"), "")),
            key => obey(names::config_key, key, &format!("{path}.key"), errors),
        }
    }
    if let Some(file) = present(from, "/fileKeyRef") {
        let path = format!("{path}.fileKeyRef");
        ["volumeName", "path", "key"].iter().for_each(|key| required(file, key, &path, errors));
        local_path(text(file, "/path"), &format!("{path}.path"), errors);
    }
    let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let count = kinds.iter().filter(|kind| has(from, &format!("/{kind}"))).count();
    let detail = match count {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !text(variable, "/value").is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(FieldError::invalid(path, &"".into(), detail));
}

/// Whole ConfigMaps and Secrets.
pub fn sources(container: &Value, path: &str, errors: &mut Errors) {
    for (index, source) in list(container, "/envFrom").iter().enumerate() {
        let at = format!("{path}[{index}]");
        if !text(source, "/prefix").is_empty() {
            obey(names::env_name, text(source, "/prefix"), &format!("{at}.prefix"), errors);
        }
        let kinds = ["configMapRef", "secretRef"];
        for kind in kinds.iter().filter(|kind| has(source, &format!("/{kind}"))) {
            let field = format!("{at}.{kind}.name");
            match text(source, &format!("/{kind}/name")) {
                "" => errors.push(FieldError::required(field, "")),
                name => obey(names::dns_subdomain, name, &field, errors),
            }
        }
        let detail = match kinds.iter().filter(|kind| has(source, &format!("/{kind}"))).count() {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        errors.push(FieldError::invalid(path, &"".into(), detail));
    }
}

/// A field of the Pod: one of `known`, or one label or annotation.
pub fn field_of(reference: &Value, known: &[&str], path: &str, errors: &mut Errors) {
    let (version, field) = (text(reference, "/apiVersion"), text(reference, "/fieldPath"));
    let at = format!("{path}.fieldPath");
    if version.is_empty() {
        return errors.push(FieldError::required(format!("{path}.apiVersion"), ""));
    }
    if field.is_empty() {
        return errors.push(FieldError::required(at, ""));
    }
    let refuse = |detail: String| FieldError::invalid(&*at, &field.into(), detail);
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        return errors.push(refuse(detail));
    }
    let subscript = field.split_once('[').and_then(|(path, rest)| Some((path, rest.strip_suffix(']')?)));
    if let Some((map, key)) = subscript {
        let key = key.strip_prefix('\'').and_then(|key| key.strip_suffix('\''));
        match (map, key) {
            ("metadata.annotations", Some(key)) => labels::key_of(&key.to_lowercase(), path, errors),
            ("metadata.labels", Some(key)) => labels::key_of(key, path, errors),
            _ => {
                let detail =
                    format!("error converting fieldPath: field label does not support subscript: {map}");
                errors.push(refuse(detail));
            }
        }
    } else if !VARIABLES.contains(&field) && !OTHERS.contains(&field) {
        errors.push(refuse(format!("error converting fieldPath: field label not supported: {field}")));
    } else if !known.contains(&field) {
        errors.push(FieldError::not_supported(at, field, known));
    }
}

/// What a container asks for; `named` says that it must be said which.
pub fn resource_of(reference: &Value, named: bool, path: &str, errors: &mut Errors) {
    let resource = text(reference, "/resource");
    let huge = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if named && text(reference, "/containerName").is_empty() {
        errors.push(FieldError::required(format!("{path}.containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
    } else if !RESOURCES.contains(&resource) && !huge {
        errors.push(FieldError::not_supported(format!("{path}.resource"), resource, &RESOURCES));
    }
    let divisor = reference.get("divisor").cloned().unwrap_or_else(|| "0".into());
    let Some(amount) = quantity(&divisor, &format!("{path}.divisor"), errors) else { return };
    let (what, allowed): (_, &[&str]) = match resource {
        "limits.cpu" | "requests.cpu" => ("cpu", &["1m", "1"]),
        "limits.memory" | "requests.memory" => ("memory", &SIZES),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => ("local ephemeral storage", &SIZES),
        _ if huge => ("hugepages", &SIZES),
        _ => return,
    };
    if !amount.is_zero() && !allowed.contains(&amount.to_string().as_str()) {
        let list = if what == "cpu" { "1m and 1".into() } else { SIZES.join(", ") };
        let detail = format!("only divisor's values {list} are supported with the {what} resource");
        errors.push(FieldError::invalid(format!("{path}.divisor"), &resource.into(), detail));
    }
}
