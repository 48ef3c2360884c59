//! CertificateSigningRequest: a wish for a client or server certificate. Served; nothing signs yet.
//!
//! The server fills in who asks (`spec.username`, `uid`, `groups`, `extra`) at
//! the create; afterwards the spec is fixed.

use serde_json::Value;

use crate::{
    access::{empty_status, find, int, keep_status, list, set, text},
    field::FieldError,
    human,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, text_or, text_or_none},
    validate::{Errors, unchanged},
};

pub static KIND: Kind = Kind {
    short_names: &["csr"],
    subresources: &[Subresource::Named("approval"), Subresource::Status],
    prepare_create: empty_status,
    prepare_update: |new, old| {
        keep_status(new, old);
        if let Some(spec) = old.get("spec") {
            set(new, "spec", spec.clone());
        }
    },
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec"]),
    columns: &[
        NAME,
        AGE,
        Column::text("SignerName", |r, _| text_or_none(r, "/spec/signerName")),
        Column::text("Requestor", |r, _| text_or(r, "/spec/username", "")),
        Column::text("RequestedDuration", |r, _| {
            int(r, "/spec/expirationSeconds").map_or_else(|| "<none>".into(), |s| human::duration(s).into())
        }),
        Column::text("Condition", |r, _| condition(r).into()),
    ],
    selectable: &["spec.signerName"],
    ..Kind::cluster(
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "certificatesigningrequest",
        "io.k8s.api.certificates.v1.CertificateSigningRequest",
    )
};

fn validate(request: &Value) -> Errors {
    let mut errors = Vec::new();
    for key in ["request", "signerName"] {
        if text(request, &format!("/spec/{key}")).is_empty() {
            errors.push(FieldError::required(format!("spec.{key}"), ""));
        }
    }
    if list(request, "/spec/usages").is_empty() {
        errors.push(FieldError::required("spec.usages", ""));
    }
    if let Some(seconds) = int(request, "/spec/expirationSeconds").filter(|s| *s < 600) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid("spec.expirationSeconds", &seconds.into(), detail));
    }
    errors
}

fn condition(request: &Value) -> String {
    let conditions = list(request, "/status/conditions");
    let mut parts: Vec<&str> = ["Approved", "Denied", "Failed"]
        .into_iter()
        .filter(|kind| find(conditions, "type", kind).is_some())
        .collect();
    if parts.is_empty() {
        parts.push("Pending");
    }
    if !text(request, "/status/certificate").is_empty() {
        parts.push("Issued");
    }
    parts.join(",")
}
