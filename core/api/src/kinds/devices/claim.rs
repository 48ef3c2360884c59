//! ResourceClaim and ResourceClaimTemplate: devices for a Pod, and how to make such a claim for each.

use serde_json::Value;

use super::{GROUP, request, status};
use crate::{
    access::{empty_status, has, keep_status, list, with},
    kind::{Column, Kind, METADATA, Subresource},
    table::{AGE, NAME},
    validate::{Errors, labels, metadata, unchanged},
};

pub static CLAIM: Kind = Kind {
    subresources: &[Subresource::Status],
    status_keeps: METADATA,
    default: |claim| with(claim, "/spec", request::defaults),
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate: |claim| {
        let mut errors = Vec::new();
        request::claim(claim.get("spec").unwrap_or(&Value::Null), "spec", &mut errors);
        errors
    },
    validate_update: |new, old| unchanged(new, old, &["/spec"]),
    validate_status: status::validate,
    columns: &[NAME, Column::text("State", |claim, _| state(claim).into()), AGE],
    ..Kind::namespaced(
        GROUP,
        "v1",
        "ResourceClaim",
        "resourceclaims",
        "resourceclaim",
        "io.k8s.api.resource.v1.ResourceClaim",
    )
};

pub static TEMPLATE: Kind = Kind {
    default: |template| with(template, "/spec/spec", request::defaults),
    validate: template,
    validate_update: |new, old| unchanged(new, old, &["/spec"]),
    ..Kind::namespaced(
        GROUP,
        "v1",
        "ResourceClaimTemplate",
        "resourceclaimtemplates",
        "resourceclaimtemplate",
        "io.k8s.api.resource.v1.ResourceClaimTemplate",
    )
};

fn template(template: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = template.get("spec").unwrap_or(&Value::Null);
    let meta = spec.get("metadata").unwrap_or(&Value::Null);
    labels::labels(meta.get("labels"), "spec.metadata.labels", &mut errors);
    metadata::annotations(meta, "spec.metadata", &mut errors);
    request::claim(spec.get("spec").unwrap_or(&Value::Null), "spec.spec", &mut errors);
    errors
}

fn state(claim: &Value) -> String {
    let deleted = has(claim, "/metadata/deletionTimestamp");
    let mut states = Vec::from_iter(deleted.then_some("deleted"));
    if has(claim, "/status/allocation") {
        states.push("allocated");
        states.extend((!list(claim, "/status/reservedFor").is_empty()).then_some("reserved"));
    } else if !deleted {
        states.push("pending");
    }
    states.join(",")
}
