//! A request of the API as admission sees it, and what admission makes of it.
//!
//! A subresource with a kind of its own is shown as that kind: the `scale` of a
//! Deployment as a Scale, whatever is stored.

use serde_json::{Value, json};
use tiphys_api::kind::ScalePaths;

use super::{commit::Part, metadata};
use crate::{
    admission::{Charges, Operation, Request},
    authz,
    context::Context,
    request::options::FieldValidation,
    status::Result,
    subresources::scale,
};

/// Whose object has passed admission already, as a Binding.
const ADMITTED: &[&str] = &["binding"];

/// Before validation: the object is filled in, or refused.
pub async fn mutate(ctx: &Context, part: Part, object: &mut Value, old: Option<&Value>) -> Result<()> {
    let Part::Sub(name) = part else { return mutate_as_is(ctx, part, object, old).await };
    if ADMITTED.contains(&name) {
        return Ok(());
    }
    let Some(paths) = scale_paths(ctx, part) else { return mutate_as_is(ctx, part, object, old).await };
    let mut shown = scale::scale_of(object, paths);
    let old = old.map(|old| scale::scale_of(old, paths));
    mutate_as_is(ctx, part, &mut shown, old.as_ref()).await?;
    scale::set(object, paths.spec_replicas, shown["spec"]["replicas"].clone());
    Ok(())
}

async fn mutate_as_is(ctx: &Context, part: Part, object: &mut Value, old: Option<&Value>) -> Result<()> {
    let options = options(ctx, old.is_none());
    let name = metadata::text(object, "name").to_owned();
    let request = request(ctx, part, &name, object, old, &options);
    Ok(ctx.core.admission.mutate(&mut { request }).await?)
}

/// After validation: the object is refused, or not.
pub async fn validate(ctx: &Context, part: Part, object: &mut Value, old: Option<&Value>) -> Result<()> {
    if matches!(part, Part::Sub(name) if ADMITTED.contains(&name)) {
        return Ok(());
    }
    let options = options(ctx, old.is_none());
    let name = metadata::text(object, "name").to_owned();
    if let Some(paths) = scale_paths(ctx, part) {
        let mut shown = scale::scale_of(object, paths);
        let old = old.map(|old| scale::scale_of(old, paths));
        let request = request(ctx, part, &name, &mut shown, old.as_ref(), &options);
        return Ok(ctx.core.admission.validate(&request).await?);
    }
    ctx.core.admission.validate(&request(ctx, part, &name, object, old, &options)).await?;
    if ctx.resource.stored.group == "rbac.authorization.k8s.io" && part == Part::Main {
        let plural = ctx.resource.stored.plural;
        authz::check_escalation(&ctx.core.rbac, &ctx.user, plural, &ctx.info.namespace, object, old)?;
    }
    Ok(())
}

/// At last: what is stored together with the object.
pub async fn charge(ctx: &Context, part: Part, object: &mut Value, old: Option<&Value>) -> Result<Charges> {
    let name = metadata::text(object, "name").to_owned();
    Ok(ctx.core.admission.charge(&request(ctx, part, &name, object, old, &Value::Null)).await?)
}

/// For a subresource with a kind of its own (TokenRequest, Eviction, Binding): that object passes.
pub async fn subresource(ctx: &Context, object: &mut Value) -> Result<()> {
    let options = options(ctx, true);
    let mut request = Request {
        subresource: &ctx.info.subresource,
        ..request(ctx, Part::Main, &ctx.info.name, object, None, &options)
    };
    ctx.core.admission.mutate(&mut request).await?;
    Ok(ctx.core.admission.validate(&request).await?)
}

/// Whether the object may be deleted.
pub async fn delete(ctx: &Context, old: &Value, options: &Value) -> Result<()> {
    let mut none = Value::Null;
    let mut request = Request {
        operation: Operation::Delete,
        object: None,
        ..request(ctx, Part::Main, &ctx.info.name, &mut none, Some(old), options)
    };
    ctx.core.admission.mutate(&mut request).await?;
    Ok(ctx.core.admission.validate(&request).await?)
}

fn scale_paths(ctx: &Context, part: Part) -> Option<ScalePaths> {
    (part == Part::Sub("scale")).then(|| ctx.resource.kind.scale()).flatten()
}

fn request<'a>(
    ctx: &'a Context,
    part: Part,
    name: &'a str,
    object: &'a mut Value,
    old: Option<&'a Value>,
    options: &'a Value,
) -> Request<'a> {
    Request {
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        user: &ctx.user,
        group: ctx.resource.stored.group,
        version: ctx.resource.kind.version,
        resource: ctx.resource.stored.plural,
        subresource: part.subresource(),
        namespace: &ctx.info.namespace,
        name,
        object: Some(object),
        old,
        dry_run: ctx.options.dry_run,
        options,
        notes: &ctx.notes,
        again: Default::default(),
    }
}

/// CreateOptions, UpdateOptions or PatchOptions, out of the query.
fn options(ctx: &Context, creates: bool) -> Value {
    let kind = match ctx.info.verb {
        "patch" => "PatchOptions",
        _ if creates => "CreateOptions",
        _ => "UpdateOptions",
    };
    let mut options = json!({ "kind": kind, "apiVersion": "meta.k8s.io/v1" });
    if ctx.options.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    if !ctx.options.field_manager.is_empty() {
        options["fieldManager"] = ctx.options.field_manager.clone().into();
    }
    if ctx.options.force {
        options["force"] = true.into();
    }
    options["fieldValidation"] = match ctx.options.field_validation {
        FieldValidation::Ignore => "Ignore",
        FieldValidation::Warn => "Warn",
        FieldValidation::Strict => "Strict",
    }
    .into();
    options
}
