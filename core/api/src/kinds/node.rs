//! Node: a machine that runs Pods.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    access::{condition, entries, find, flag, keep_status, list, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, joined, text_or},
    validate::{Errors, labels, one_of},
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
        let path = format!("spec.taints[{index}]");
        labels::key_of(text(taint, "/key"), &format!("{path}.key"), &mut errors);
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
    errors
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for key in ["podCIDR", "providerID"] {
        let pointer = format!("/spec/{key}");
        let before = text(old, &pointer);
        if !before.is_empty() && text(new, &pointer) != before {
            let detail = "node updates may not change it except from \"\" to valid";
            errors.push(FieldError::forbidden(format!("spec.{key}"), detail));
        }
    }
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
