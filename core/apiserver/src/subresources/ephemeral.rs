//! pods/ephemeralcontainers: `kubectl debug` adds a container to a running Pod.
//! Only the list of ephemeral containers changes; none of them goes or changes.

use http::{Response, StatusCode};
use serde_json::Value;
use tiphys_api::{pod, schema, serve::Body};

use crate::{
    context::Context,
    patch::PatchType,
    request::body,
    status::{ApiError, Result},
    storage::Current,
    verbs::patch::patched,
    write::{
        commit::{self, Change, Part},
        decode,
    },
};

pub async fn write(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let part = Part::Sub("ephemeralcontainers");
    write_part(ctx, part, bytes, &|current, wanted| change(ctx, current, wanted)).await
}

/// Updates or patches a part of an object: `change` gets what is stored and what is wanted.
pub async fn write_part(
    ctx: &Context,
    part: Part,
    bytes: &[u8],
    change: &(dyn Fn(&Current, &Value) -> Result<Change> + Sync),
) -> Result<Response<Body>> {
    let stored = if ctx.info.verb == "update" {
        let wanted = decode::object(ctx, bytes)?;
        commit::update(ctx, part, &|current| change(current, &wanted)).await?
    } else {
        let patch_type = PatchType::from_content_type(&body::media_type(&ctx.headers))
            .filter(|patch_type| *patch_type != PatchType::Apply)
            .ok_or_else(|| ApiError::unsupported_media_type(&["application/strategic-merge-patch+json"]))?;
        let given = decode::patch(ctx, patch_type, bytes)?;
        commit::update(ctx, part, &|current| {
            let wanted = decode::patched(ctx, patched(ctx, &current.object, &given)?, &given)?;
            change(current, &wanted)
        })
        .await?
    };
    ctx.answer(StatusCode::OK, stored)
}

fn change(ctx: &Context, current: &Current, wanted: &Value) -> Result<Change> {
    let mut debugged = current.object.clone();
    debugged["metadata"]["resourceVersion"] = wanted["metadata"]["resourceVersion"].clone();
    debugged["spec"]["ephemeralContainers"] =
        wanted["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default().into();
    schema::leave_out(&ctx.resource.stored_schema, &mut debugged);
    (ctx.resource.kind.default)(&mut debugged);
    let errors = pod::update::ephemeral_containers(&debugged, &current.object);
    if errors.is_empty() {
        Ok(Change::to(debugged))
    } else {
        Err(ApiError::invalid("", "Pod", &ctx.info.name, &errors))
    }
}
