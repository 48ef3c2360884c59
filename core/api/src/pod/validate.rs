//! What is wrong with a Pod's spec, in a Pod or in a template.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{RESTART_POLICIES, container, placing, volume};
use crate::{
    access::{flag, list, present, text},
    field::FieldError,
    validate::{Errors, names, not_negative, one_of, required},
};

const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// A spec at `path`, defaulted.
pub fn spec(spec: &Value, path: &str, errors: &mut Errors) {
    let volumes = volume::validate(list(spec, "/volumes"), path, errors);
    container::validate_all(spec, &volumes, path, errors);
    one_of(spec, "restartPolicy", path, RESTART_POLICIES, errors);
    one_of(spec, "dnsPolicy", path, DNS_POLICIES, errors);
    dns(spec, path, errors);
    not_negative(spec, "terminationGracePeriodSeconds", path, errors);
    if let Some(seconds) = present(spec, "/activeDeadlineSeconds")
        && seconds.as_i64().is_none_or(|n| n <= 0)
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid(format!("{path}.activeDeadlineSeconds"), seconds, detail));
    }
    named(spec, "serviceAccountName", names::dns_subdomain, path, errors);
    named(spec, "nodeName", names::dns_subdomain, path, errors);
    named(spec, "hostname", names::dns_label, path, errors);
    named(spec, "subdomain", names::dns_label, path, errors);
    named(spec, "priorityClassName", names::dns_subdomain, path, errors);
    placing::validate(spec, path, errors);
    host_aliases(spec, path, errors);
    image_pull_secrets(spec, path, errors);
    if flag(spec, "/hostPID") && flag(spec, "/shareProcessNamespace") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(format!("{path}.shareProcessNamespace"), &json!(true), detail));
    }
}

fn named(spec: &Value, key: &str, rule: fn(&str) -> Vec<String>, path: &str, errors: &mut Errors) {
    if let Some(name) = spec.get(key).and_then(Value::as_str).filter(|n| !n.is_empty()) {
        let wrong = rule(name);
        errors
            .extend(wrong.into_iter().map(|w| FieldError::invalid(format!("{path}.{key}"), &name.into(), w)));
    }
}

fn dns(spec: &Value, path: &str, errors: &mut Errors) {
    let servers = list(spec, "/dnsConfig/nameservers");
    let path = format!("{path}.dnsConfig");
    if text(spec, "/dnsPolicy") == "None" && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(FieldError::required(format!("{path}.nameservers"), detail));
    }
    if servers.len() > 3 {
        errors.push(FieldError::too_many(format!("{path}.nameservers"), servers.len(), 3));
    }
    for (index, server) in servers.iter().enumerate() {
        if server.as_str().unwrap_or_default().parse::<std::net::IpAddr>().is_err() {
            errors.push(FieldError::invalid(
                format!("{path}.nameservers[{index}]"),
                server,
                "must be a valid IP address",
            ));
        }
    }
}

fn host_aliases(spec: &Value, path: &str, errors: &mut Errors) {
    for (index, alias) in list(spec, "/hostAliases").iter().enumerate() {
        let ip = alias.get("ip").unwrap_or(&Value::Null);
        if ip.as_str().unwrap_or_default().parse::<std::net::IpAddr>().is_err() {
            errors.push(FieldError::invalid(
                format!("{path}.hostAliases[{index}].ip"),
                ip,
                "must be a valid IP address",
            ));
        }
    }
}

fn image_pull_secrets(spec: &Value, path: &str, errors: &mut Errors) {
    for (index, secret) in list(spec, "/imagePullSecrets").iter().enumerate() {
        required(secret, "name", &format!("{path}.imagePullSecrets[{index}]"), errors);
    }
}

/// Names that are there twice, each named at its second place.
pub(super) fn unique<'a>(
    items: impl IntoIterator<Item = (String, &'a str)>,
    seen: &mut BTreeSet<&'a str>,
    errors: &mut Errors,
) {
    for (field, name) in items {
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(field, &name.into()));
        }
    }
}
