//! StorageVersionMigration: the wish to have a resource's objects written again in today's version.
//! Served; nothing migrates yet: built-in kinds are stored in one version only.

use serde_json::Value;

use crate::{
    access::{empty_status, find, keep_status, list, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::NAME,
    validate::{Errors, names, obey},
};

pub static KIND: Kind = Kind {
    subresources: &[Subresource::Status],
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate: |migration| {
        let mut errors = Vec::new();
        resource(migration, &mut errors);
        errors
    },
    validate_update: |new, old| {
        let was = old.pointer("/spec/resource").unwrap_or(&Value::Null);
        let is = new.pointer("/spec/resource").unwrap_or(&Value::Null);
        let error = || FieldError::immutable("spec.resource", is);
        (was != is).then(error).into_iter().collect()
    },
    validate_status: status,
    columns: &[NAME, Column::text("Resource", |migration, _| shown(migration).into())],
    ..Kind::cluster(
        "storagemigration.k8s.io",
        "v1",
        "StorageVersionMigration",
        "storageversionmigrations",
        "storageversionmigration",
        "io.k8s.api.storagemigration.v1.StorageVersionMigration",
    )
};

/// `deployments.apps`
fn shown(migration: &Value) -> String {
    let (group, resource) =
        (text(migration, "/spec/resource/group"), text(migration, "/spec/resource/resource"));
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn resource(migration: &Value, errors: &mut Errors) {
    let path = "spec.resource";
    let (group, resource) =
        (text(migration, "/spec/resource/group"), text(migration, "/spec/resource/resource"));
    if !group.is_empty() {
        obey(names::dns_subdomain, group, &format!("{path}.group"), errors);
    }
    if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), "resource is required"));
    } else {
        obey(names::dns_1035_label, resource, &format!("{path}.resource"), errors);
    }
}

/// An end is an end: success and failure don't turn into one another.
fn status(new: &Value, old: &Value) -> Errors {
    let is = |migration: &Value, kind: &str| {
        find(list(migration, "/status/conditions"), "type", kind)
            .is_some_and(|c| text(c, "/status") == "True")
    };
    let mut errors = Vec::new();
    let path = "status.conditions";
    let given = || new.pointer("/status/conditions").cloned().unwrap_or_default();
    if is(new, "Succeeded") && is(new, "Failed") {
        let detail = "Both success and failed conditions cannot be true at the same time";
        errors.push(FieldError::invalid(path, &given(), detail));
    }
    for end in ["Succeeded", "Failed"] {
        if is(old, end) && !is(new, end) {
            let detail = format!("{end} condition cannot be set to false once it is true");
            errors.push(FieldError::invalid(path, &given(), detail));
        }
    }
    errors
}
