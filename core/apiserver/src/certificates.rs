//! What a CertificateSigningRequest needs of the server beside its kind: whether
//! the request is one, who made it, and what of its status who may write.
//!
//! Approval and issue are apart: conditions `Approved` and `Denied` come by the
//! subresource `approval` only, the certificate by `status` only, and neither
//! is ever taken back.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tiphys_api::{
    access::{find, list, remove, text},
    certificate_request,
    field::FieldError,
};
use x509_parser::pem::Pem;

use crate::{
    context::Context,
    status::{ApiError, Result},
    write::{commit::Part, metadata},
};

const CONDITIONS: &str = "status.conditions";
const CERTIFICATE: &str = "status.certificate";
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

/// A new request is one, and signed by its own key.
pub fn begin(ctx: &Context, object: &Value) -> Result<()> {
    if !is_request(ctx) {
        return Ok(());
    }
    let spec = &object["spec"];
    match certificate_request::read_spec(spec) {
        Ok(_) => Ok(()),
        Err(why) => invalid(ctx, &[FieldError::invalid("spec.request", &spec["request"], why)]),
    }
}

/// Who wants a certificate stands in the request for it, whatever its sender has written.
pub fn requester(ctx: &Context, object: &mut Value) {
    if !is_request(ctx) || !object["spec"].is_object() {
        return;
    }
    let (user, spec) = (&ctx.user, &mut object["spec"]);
    let fields = [
        ("username", json!(user.name)),
        ("uid", json!(user.uid)),
        ("groups", json!(user.groups)),
        ("extra", json!(user.extra)),
    ];
    for (field, value) in fields {
        let empty = value.as_str() == Some("") || value.as_object().is_some_and(serde_json::Map::is_empty);
        match empty {
            true => remove(spec, field),
            false => spec[field] = value,
        }
    }
}

/// After the change to a subresource: the times of its conditions, and whether it may be.
pub fn check(ctx: &Context, part: Part, new: &mut Value, old: &Value) -> Result<()> {
    if !is_request(ctx) || part == Part::Main {
        return Ok(());
    }
    stamp(new, old, &metadata::now());
    let mut errors = check_conditions(new);
    errors.extend(check_change(part, new, old));
    invalid(ctx, &errors)
}

fn is_request(ctx: &Context) -> bool {
    ctx.resource.stored.kind == "CertificateSigningRequest"
}

fn invalid(ctx: &Context, errors: &[FieldError]) -> Result<()> {
    match errors {
        [] => Ok(()),
        errors => {
            Err(ApiError::invalid(ctx.resource.kind.group, ctx.resource.kind.kind, &ctx.info.name, errors))
        }
    }
}

/// Conditions that came without times get them: now, or those of the same condition before.
fn stamp(new: &mut Value, old: &Value, now: &str) {
    let before = list(old, "/status/conditions");
    for condition in new["status"]["conditions"].as_array_mut().into_iter().flatten() {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.into();
        }
        if condition["lastTransitionTime"].is_null() {
            let same = find(before, "type", text(condition, "/type"))
                .filter(|old| old["status"] == condition["status"] && old["lastTransitionTime"].is_string());
            condition["lastTransitionTime"] =
                same.map_or_else(|| now.into(), |old| old["lastTransitionTime"].clone());
        }
    }
}

fn check_conditions(request: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (index, condition) in list(request, "/status/conditions").iter().enumerate() {
        let path = format!("{CONDITIONS}[{index}]");
        let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
        if kind.is_empty() {
            errors.push(FieldError::required(format!("{path}.type"), ""));
        }
        let allowed: &[&str] = match kind {
            "Approved" | "Denied" | "Failed" => &["True"],
            _ => &["False", "True", "Unknown"],
        };
        if status.is_empty() {
            errors.push(FieldError::required(format!("{path}.status"), ""));
        } else if !allowed.contains(&status) {
            errors.push(FieldError::not_supported(format!("{path}.status"), status, allowed));
        }
        if DECISIONS.contains(&kind) && DECISIONS.iter().any(|other| *other != kind && seen.contains(other)) {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(format!("{path}.type"), &kind.into(), why));
        }
        if seen.contains(&kind) {
            errors.push(FieldError::duplicate(format!("{path}.type"), &kind.into()));
        }
        seen.push(kind);
    }
    errors
}

fn check_change(part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let condition = |of: &Value, kind: &str| find(list(of, "/status/conditions"), "type", kind).cloned();
    for kind in ["Approved", "Denied", "Failed"] {
        let why = match (condition(old, kind), condition(new, kind)) {
            (Some(_), None) => "remove",
            (None, Some(_)) if part == Part::Status && kind != "Failed" => "add",
            (Some(old), Some(new)) if part == Part::Status && kind != "Failed" && old != new => "modify",
            _ => continue,
        };
        let detail = format!("updates may not {why} a condition of type {kind:?}");
        errors.push(FieldError::forbidden(CONDITIONS, &detail));
    }
    let (was, is) = (text(old, "/status/certificate"), text(new, "/status/certificate"));
    if was != is && part != Part::Status {
        errors.push(FieldError::forbidden(CERTIFICATE, "updates may not set certificate content"));
    } else if was != is && !was.is_empty() {
        errors
            .push(FieldError::forbidden(CERTIFICATE, "updates may not modify existing certificate content"));
    } else if was != is
        && let Err(why) = check_certificate(is)
    {
        errors.push(FieldError::invalid(CERTIFICATE, &Value::from("<certificate data>"), why));
    }
    errors
}

/// Base64 of PEM blocks that are certificates, one at least.
fn check_certificate(text: &str) -> std::result::Result<(), String> {
    let pem = BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?;
    let mut count = 0;
    for block in Pem::iter_from_buffer(&pem) {
        let block = block.map_err(|error| error.to_string())?;
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        block.parse_x509().map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 { Err("must contain at least one CERTIFICATE PEM block".into()) } else { Ok(()) }
}
