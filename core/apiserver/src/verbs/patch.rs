//! PATCH in its four types. The patch is made to the newest object, again if
//! another write came first; server-side apply creates what isn't there.

use http::{Response, StatusCode};
use serde_json::Value;
use tiphys_api::{
    auth::Attributes,
    field::{FieldError, Reason},
    schema,
    serve::Body,
};

use crate::{
    context::Context,
    patch::{self, PatchType, apply},
    request::body,
    status::{ApiError, Result},
    storage::Current,
    write::{
        commit::{self, Change, Part, writer},
        decode::{self, Given},
        metadata,
    },
};

const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

fn patch_types(ctx: &Context) -> &'static [&'static str] {
    match ctx.resource.custom {
        Some(_) => {
            &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"]
        }
        None => PATCH_TYPES,
    }
}

pub async fn patch(ctx: &Context, part: Part, bytes: &[u8]) -> Result<Response<Body>> {
    let media_type = body::media_type(&ctx.headers);
    // What a strategic patch means isn't known of a kind that isn't built in.
    let known = |patch_type: &PatchType| ctx.resource.custom.is_none() || *patch_type != PatchType::Strategic;
    let patch_type = PatchType::from_content_type(&media_type).filter(known);
    let patch_type = patch_type.ok_or_else(|| ApiError::unsupported_media_type(patch_types(ctx)))?;
    if patch_type == PatchType::Apply {
        return apply(ctx, part, bytes).await;
    }
    if ctx.options.force {
        return Err(option_error(
            "force",
            Reason::Forbidden,
            "Forbidden: may not be specified for non-apply patch",
        ));
    }
    let given = decode::patch(ctx, patch_type, bytes)?;
    let stored = commit::update(ctx, part, &|current| {
        let before = ctx.resource.served_from(current.object.clone());
        Ok(Change::to(decode::patched(ctx, patched(ctx, &before, &given)?, &given)?))
    })
    .await?;
    ctx.answer(StatusCode::OK, stored)
}

/// The object after a patch that isn't apply.
pub fn patched(ctx: &Context, before: &Value, given: &Given) -> Result<Value> {
    let patch = &given.patch;
    Ok(match given.patch_type {
        PatchType::Json => patch::json::apply(before, patch, body::LIMIT)?,
        PatchType::Strategic => patch::strategic::apply(before, patch, &ctx.resource.schema)?,
        PatchType::Merge | PatchType::Apply if !patch.is_object() => {
            return Err(ApiError::bad_request("error decoding patch: a merge patch must be an object"));
        }
        PatchType::Merge | PatchType::Apply => patch::merge::apply(before, patch),
    })
}

async fn apply(ctx: &Context, part: Part, bytes: &[u8]) -> Result<Response<Body>> {
    if ctx.options.field_manager.is_empty() {
        return Err(option_error(
            "fieldManager",
            Reason::Required,
            "Required value: is required for apply patch",
        ));
    }
    let config = config(ctx, bytes)?;
    let updated = commit::update(ctx, part, &|current| applied(ctx, part, Some(current), &config)).await;
    match updated {
        Err(error) if error.code == StatusCode::NOT_FOUND && part == Part::Main => create(ctx, &config).await,
        updated => ctx.answer(StatusCode::OK, updated?),
    }
}

/// Whoever may patch may not create by it without the right to.
async fn create(ctx: &Context, config: &Value) -> Result<Response<Body>> {
    let attributes = Attributes::Resource {
        verb: "create".into(),
        group: ctx.info.group.clone(),
        version: ctx.info.version.clone(),
        resource: ctx.info.resource.clone(),
        subresource: String::new(),
        namespace: ctx.info.namespace.clone(),
        name: ctx.info.name.clone(),
    };
    ctx.core.authorize(&ctx.user, &attributes)?;
    if !metadata::text(config, "uid").is_empty() {
        let why = "Precondition failed: UID in precondition, but the object does not exist";
        return Err(ApiError::conflict(ctx.group_resource(), &ctx.info.name, why));
    }
    let created = commit::create(ctx, applied(ctx, Part::Main, None, config)?).await?;
    ctx.answer(StatusCode::CREATED, created)
}

/// The applied configuration in the stored version, named as the path names it.
fn config(ctx: &Context, bytes: &[u8]) -> Result<Value> {
    let mut config = body::from_yaml(bytes)?;
    if !config.is_object() || config["apiVersion"].is_null() || config["kind"].is_null() {
        return Err(ApiError::bad_request("error decoding patch: apiVersion and kind are required"));
    }
    let name = metadata::text(&config, "name");
    if !name.is_empty() && name != ctx.info.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ctx.info.name
        )));
    }
    metadata::of(&mut config).insert("name".into(), ctx.info.name.clone().into());
    if ctx.resource.kind.is_namespaced() {
        metadata::of(&mut config).entry("namespace").or_insert_with(|| ctx.info.namespace.clone().into());
    }
    decode::applied(ctx, config, bytes)
}

fn applied(ctx: &Context, part: Part, current: Option<&Current>, config: &Value) -> Result<Change> {
    let api_version = ctx.resource.stored.api_version();
    let now = metadata::now();
    let writer = writer(ctx, part, &ctx.options.field_manager, &api_version, &now);
    let live = current.map(|current| &current.object);
    let schema = &ctx.resource.stored_schema;
    let mut object = apply::apply(live, config, &writer, ctx.options.force, schema)?;
    // Who applies an empty list owns it, and objects have it not.
    schema::leave_out(schema, &mut object);
    Ok(Change { object, tracked: true })
}

fn option_error(field: &str, reason: Reason, message: &str) -> ApiError {
    let error = FieldError { reason, field: field.into(), message: message.into() };
    ApiError::invalid("meta.k8s.io", "PatchOptions", "", &[error])
}
