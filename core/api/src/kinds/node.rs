//! Node: a machine that runs Pods.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    access::{condition, entries, find, flag, keep_status, list, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    quantity::Quantity,
    table::{AGE, NAME, joined, text_or},
    validate::{Errors, addresses, labels, names, obey, one_of},
};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";

pub static KIND: Kind = Kind {
    short_names: &["no"],
    subresources: &[Subresource::Status, Subresource::Named("proxy")],
    default: defaults,
    // A node comes with its status: what it offers is known from its first moment.
    keeps_new_status: true,
    prepare_update: keep_status,
    validate,
    validate_update,
    validate_status,
    columns: &[
        NAME,
        Column::text("Status", |n, _| status(n).into()),
        Column::text("Roles", |n, _| roles(n)),
        AGE,
        Column::text("Version", |n, _| text_or(n, "/status/nodeInfo/kubeletVersion", "")),
        Column::text("Internal-IP", |n, _| address(n, "InternalIP")).wide(),
        Column::text("External-IP", |n, _| address(n, "ExternalIP")).wide(),
        Column::text("OS-Image", |n, _| info(n, "osImage")).wide(),
        Column::text("Kernel-Version", |n, _| info(n, "kernelVersion")).wide(),
        Column::text("Container-Runtime", |n, _| info(n, "containerRuntimeVersion")).wide(),
    ],
    selectable: &["spec.unschedulable"],
    ..Kind::cluster("", "v1", "Node", "nodes", "node", "io.k8s.api.core.v1.Node")
};

fn defaults(node: &mut Value) {
    with(node, "/spec", |spec| {
        let cidr = text(spec, "/podCIDR").to_owned();
        if !cidr.is_empty() && list(spec, "/podCIDRs").is_empty() {
            set(spec, "podCIDRs", json!([cidr]));
        }
    });
    // What a node can give to Pods is all it has, until it says otherwise.
    with(node, "/status", |status| {
        if let Some(capacity) = status.get("capacity").cloned()
            && status.get("allocatable").is_none()
        {
            set(status, "allocatable", capacity);
        }
    });
}

fn validate(node: &Value) -> Errors {
    let mut errors = Vec::new();
    let taints = list(node, "/spec/taints");
    for (index, taint) in taints.iter().enumerate() {
        let path = format!("metadata.taints[{index}]");
        labels::key_of(text(taint, "/key"), &format!("{path}.key"), &mut errors);
        let value = text(taint, "/value");
        let wrong = names::label_value(value);
        if !wrong.is_empty() {
            errors.push(FieldError::invalid(format!("{path}.value"), &value.into(), wrong.join(";")));
        }
        one_of(taint, "effect", &path, &["NoSchedule", "PreferNoSchedule", "NoExecute"], &mut errors);
        let same = |t: &&Value| {
            text(t, "/key") == text(taint, "/key") && text(t, "/effect") == text(taint, "/effect")
        };
        if taints[..index].iter().any(|t| same(&t)) {
            let mut twice = FieldError::duplicate(path, taint);
            twice.message.push_str(": taints must be unique by key and effect pair");
            errors.push(twice);
        }
    }
    let ranges = list(node, "/spec/podCIDRs");
    for (index, range) in ranges.iter().enumerate() {
        let text = range.as_str().unwrap_or_default();
        obey(addresses::cidr, text, &format!("spec.podCIDRs[{index}]"), &mut errors);
    }
    let families: BTreeSet<bool> = ranges.iter().filter_map(Value::as_str).map(addresses::is_ipv6).collect();
    if ranges.len() > families.len() {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid("spec.podCIDRs", &ranges.into(), detail));
    }
    offers(node, &mut errors);
    errors
}

/// What a node has and what of it Pods may take.
fn offers(node: &Value, errors: &mut Errors) {
    for key in ["capacity", "allocatable"] {
        for (name, amount) in entries(node, &format!("/status/{key}")) {
            let negative = amount.as_str().and_then(|text| text.parse::<Quantity>().ok());
            if negative.is_some_and(Quantity::is_negative) {
                let detail = "must be greater than or equal to 0";
                errors.push(FieldError::invalid(format!("status.{key}[{name}]"), amount, detail));
            }
        }
    }
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let addresses = list(new, "/status/addresses");
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            errors.push(FieldError::duplicate(format!("status.addresses[{index}]"), address));
        }
    }
    let before = list(old, "/spec/podCIDRs");
    if !before.is_empty() && before != list(new, "/spec/podCIDRs") {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.podCIDRs", detail));
    }
    let provider = text(old, "/spec/providerID");
    if !provider.is_empty() && provider != text(new, "/spec/providerID") {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.providerID", detail));
    }
    errors
}

fn validate_status(new: &Value, old: &Value) -> Errors {
    let mut errors = validate_update(new, old);
    offers(new, &mut errors);
    errors
}

fn status(node: &Value) -> String {
    let ready = find(list(node, "/status/conditions"), "type", "Ready");
    let ready = match ready {
        Some(_) if condition(node, "Ready") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if flag(node, "/spec/unschedulable") { format!("{ready},SchedulingDisabled") } else { ready.into() }
}

fn roles(node: &Value) -> Value {
    let roles =
        entries(node, "/metadata/labels").filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some("") => None,
            Some(role) => Some(role),
            None => (key == "kubernetes.io/role")
                .then(|| value.as_str().unwrap_or_default())
                .filter(|r| !r.is_empty()),
        });
    joined(roles.collect::<BTreeSet<_>>())
}

fn address(node: &Value, kind: &str) -> Value {
    let address = find(list(node, "/status/addresses"), "type", kind);
    address.map_or_else(|| "<none>".into(), |a| text(a, "/address").into())
}

fn info(node: &Value, key: &str) -> Value {
    text_or(node, &format!("/status/nodeInfo/{key}"), "<unknown>")
}
