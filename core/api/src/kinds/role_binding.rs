//! RoleBinding and ClusterRoleBinding: who has a role.

use serde_json::Value;

use crate::{
    access::{default, each, list, text, with},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME},
    validate::{Errors, names, obey},
};

const GROUP: &str = "rbac.authorization.k8s.io";

pub static ROLE_BINDING: Kind = Kind {
    validate_name: names::path_segment,
    default: defaults,
    validate: |binding| validate(binding, &["Role", "ClusterRole"]),
    validate_update: role_is_fixed,
    columns: COLUMNS,
    ..Kind::namespaced(
        GROUP,
        "v1",
        "RoleBinding",
        "rolebindings",
        "rolebinding",
        "io.k8s.api.rbac.v1.RoleBinding",
    )
};

pub static CLUSTER_ROLE_BINDING: Kind = Kind {
    validate_name: names::path_segment,
    default: defaults,
    validate: |binding| validate(binding, &["ClusterRole"]),
    validate_update: role_is_fixed,
    columns: COLUMNS,
    ..Kind::cluster(
        GROUP,
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        "clusterrolebinding",
        "io.k8s.api.rbac.v1.ClusterRoleBinding",
    )
};

const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Role", |b, _| format!("{}/{}", text(b, "/roleRef/kind"), text(b, "/roleRef/name")).into()),
    AGE,
    Column::text("Users", |b, _| subjects(b, "User")).wide(),
    Column::text("Groups", |b, _| subjects(b, "Group")).wide(),
    Column::text("ServiceAccounts", |b, _| subjects(b, "ServiceAccount")).wide(),
];

fn defaults(binding: &mut Value) {
    with(binding, "/roleRef", |role| default(role, "apiGroup", GROUP));
    each(binding, "/subjects", |subject| {
        if text(subject, "/kind") != "ServiceAccount" {
            default(subject, "apiGroup", GROUP);
        }
    });
}

fn validate(binding: &Value, roles: &[&str]) -> Errors {
    let mut errors = Vec::new();
    let role = binding.get("roleRef").unwrap_or(&Value::Null);
    if text(role, "/apiGroup") != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", text(role, "/apiGroup"), &[GROUP]));
    }
    if !roles.contains(&text(role, "/kind")) {
        errors.push(FieldError::not_supported("roleRef.kind", text(role, "/kind"), roles));
    }
    match text(role, "/name") {
        "" => errors.push(FieldError::required("roleRef.name", "")),
        name => obey(names::path_segment, name, "roleRef.name", &mut errors),
    }
    let namespaced = roles.len() > 1;
    for (index, given) in list(binding, "/subjects").iter().enumerate() {
        subject(given, &format!("subjects[{index}]"), namespaced, &mut errors);
    }
    errors
}

fn subject(subject: &Value, path: &str, namespaced: bool, errors: &mut Errors) {
    if text(subject, "/name").is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    let group = text(subject, "/apiGroup");
    let expected = match text(subject, "/kind") {
        "ServiceAccount" => {
            let name = text(subject, "/name");
            if !name.is_empty() {
                obey(names::dns_subdomain, name, &format!("{path}.name"), errors);
            }
            // The binding's own namespace is meant where none is given.
            if !namespaced && text(subject, "/namespace").is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
            ""
        }
        "User" | "Group" => GROUP,
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(format!("{path}.kind"), other, &kinds));
            return;
        }
    };
    if group != expected {
        errors.push(FieldError::not_supported(format!("{path}.apiGroup"), group, &[expected]));
    }
}

fn role_is_fixed(new: &Value, old: &Value) -> Errors {
    let role = new.get("roleRef").unwrap_or(&Value::Null);
    let changed = Some(role) != old.get("roleRef");
    changed.then(|| FieldError::invalid("roleRef", role, "cannot change roleRef")).into_iter().collect()
}

fn subjects(binding: &Value, kind: &str) -> Value {
    let all = list(binding, "/subjects").iter().filter(|s| text(s, "/kind") == kind);
    let shown: Vec<String> = all
        .map(|s| match text(s, "/namespace") {
            "" => text(s, "/name").to_owned(),
            namespace => format!("{namespace}/{}", text(s, "/name")),
        })
        .collect();
    shown.join(", ").into()
}
