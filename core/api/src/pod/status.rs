//! What is wrong with a Pod's status: what its node says of it, and what may not be unsaid.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    access::{find, has, int, list, present, text},
    field::FieldError,
    validate::{Errors, addresses, labels, names, obey, unchanged},
};

const SYSTEM: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

pub fn validate(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, condition) in list(new, "/status/conditions").iter().enumerate() {
        let kind = text(condition, "/type");
        if !SYSTEM.contains(&kind) {
            labels::key_of(kind, &format!("metadata.conditions[{index}].Type"), &mut errors);
        }
    }
    let nominated = text(new, "/status/nominatedNodeName");
    if !nominated.is_empty() && nominated != text(old, "/status/nominatedNodeName") {
        obey(names::dns_subdomain, nominated, "status.nominatedNodeName", &mut errors);
    }
    if has(old, "/status/qosClass") {
        errors.extend(unchanged(new, old, &["/status/qosClass"]));
    }
    let policy = text(old, "/spec/restartPolicy");
    ended(new, old, "containerStatuses", "containers", policy, &mut errors);
    ended(new, old, "initContainerStatuses", "initContainers", policy, &mut errors);
    ended(new, old, "ephemeralContainerStatuses", "ephemeralContainers", "Never", &mut errors);
    claims(new, &mut errors);
    ips(list(new, "/status/podIPs"), "status.podIPs", &mut errors);
    let hosts = list(new, "/status/hostIPs");
    if let Some(first) = hosts.first()
        && text(first, "/ip") != text(new, "/status/hostIP")
    {
        let ip = text(first, "/ip").into();
        errors.push(FieldError::invalid("status.hostIPs[0].ip", &ip, "must be equal to `hostIP`"));
    }
    ips(hosts, "status.hostIPs", &mut errors);
    errors
}

/// A container that ended for good doesn't run again.
fn ended(new: &Value, old: &Value, key: &str, specs: &str, policy: &str, errors: &mut Errors) {
    let now = list(new, &format!("/status/{key}"));
    for (index, before) in list(old, &format!("/status/{key}")).iter().enumerate() {
        let Some(end) = present(before, "/state/terminated") else { continue };
        let name = text(before, "/name");
        let spec = find(list(old, &format!("/spec/{specs}")), "name", name).unwrap_or(&Value::Null);
        let own_policy = match text(spec, "/restartPolicy") {
            "" => policy,
            own => own,
        };
        let failed = int(end, "/exitCode") != Some(0);
        // By its rules a container may restart whatever its policy.
        let may_restart = own_policy == "Always"
            || (own_policy == "OnFailure" && failed)
            || !list(spec, "/restartPolicyRules").is_empty();
        if !may_restart && find(now, "name", name).is_some_and(|is| !has(is, "/state/terminated")) {
            let detail = "may not be transitioned to non-terminated state";
            errors.push(FieldError::forbidden(format!("status.{key}[{index}].state"), detail));
        }
    }
}

fn claims(pod: &Value, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, status) in list(pod, "/status/resourceClaimStatuses").iter().enumerate() {
        let (name, field) = (text(status, "/name"), format!("status.resourceClaimStatuses[{index}].name"));
        if find(list(pod, "/spec/resourceClaims"), "name", name).is_none() {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(FieldError::invalid(&*field, &name.into(), detail));
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(field, &name.into()));
        }
    }
}

/// One address of each family at most.
fn ips(ips: &[Value], path: &str, errors: &mut Errors) {
    let texts: Vec<&str> = ips.iter().map(|ip| text(ip, "/ip")).collect();
    for (index, ip) in texts.iter().enumerate() {
        obey(addresses::ip, ip, &format!("{path}[{index}]"), errors);
        if texts[..index].contains(ip) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), &ips[index]));
        }
    }
    let families: BTreeSet<bool> = texts.iter().map(|ip| addresses::is_ipv6(ip)).collect();
    if texts.len() > families.len() {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, &ips.into(), detail));
    }
}
