//! Role and ClusterRole: what may be done to which resources.

use serde_json::Value;

use crate::{
    access::{list, present},
    field::FieldError,
    kind::{Column, Kind},
    table::NAME,
    validate::{Errors, labels, names},
};

pub static ROLE: Kind = Kind {
    validate_name: names::path_segment,
    validate: |role| rules(role, true),
    columns: COLUMNS,
    ..Kind::namespaced("rbac.authorization.k8s.io", "v1", "Role", "roles", "role", "io.k8s.api.rbac.v1.Role")
};

pub static CLUSTER_ROLE: Kind = Kind {
    validate_name: names::path_segment,
    validate: |role| {
        let mut errors = rules(role, false);
        aggregation(role, &mut errors);
        errors
    },
    columns: COLUMNS,
    ..Kind::cluster(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRole",
        "clusterroles",
        "clusterrole",
        "io.k8s.api.rbac.v1.ClusterRole",
    )
};

/// Roles show the moment they were made, and not their age.
const COLUMNS: &[Column] = &[NAME, CREATED_AT];
pub const CREATED_AT: Column = Column {
    kind: "date",
    ..Column::text("Created At", |role, _| {
        role.pointer("/metadata/creationTimestamp").cloned().unwrap_or_default()
    })
};

fn rules(role: &Value, namespaced: bool) -> Errors {
    let mut errors = Vec::new();
    for (index, rule) in list(role, "/rules").iter().enumerate() {
        let path = format!("rules[{index}]");
        if list(rule, "/verbs").is_empty() {
            errors
                .push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
        }
        if list(rule, "/nonResourceURLs").is_empty() {
            resources(rule, &path, &mut errors);
        } else {
            urls(rule, &path, namespaced, &mut errors);
        }
    }
    errors
}

fn aggregation(role: &Value, errors: &mut Errors) {
    let Some(rule) = present(role, "/aggregationRule") else { return };
    let path = "aggregationRule.clusterRoleSelectors";
    let selectors = list(rule, "/clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(FieldError::required(path, detail));
    }
    for (index, selector) in selectors.iter().enumerate() {
        labels::selector(selector, &format!("{path}[{index}]"), errors);
    }
}

fn urls(rule: &Value, path: &str, namespaced: bool, errors: &mut Errors) {
    let urls: Value = list(rule, "/nonResourceURLs").into();
    let field = format!("{path}.nonResourceURLs");
    if namespaced {
        errors.push(FieldError::invalid(
            &*field,
            &urls,
            "namespaced rules cannot apply to non-resource URLs",
        ));
    }
    if ["/apiGroups", "/resources", "/resourceNames"].iter().any(|p| !list(rule, p).is_empty()) {
        let detail = "rules cannot apply to both regular resources and non-resource URLs";
        errors.push(FieldError::invalid(field, &urls, detail));
    }
}

fn resources(rule: &Value, path: &str, errors: &mut Errors) {
    if list(rule, "/apiGroups").is_empty() {
        let detail = "resource rules must supply at least one api group";
        errors.push(FieldError::required(format!("{path}.apiGroups"), detail));
    }
    if list(rule, "/resources").is_empty() {
        let detail = "resource rules must supply at least one resource";
        errors.push(FieldError::required(format!("{path}.resources"), detail));
    }
}
