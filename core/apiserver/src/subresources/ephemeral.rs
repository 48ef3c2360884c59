//! pods/ephemeralcontainers: `kubectl debug` adds a container to a running Pod.
//! Only the list of ephemeral containers changes; none of them goes or changes.

use http::{Response, StatusCode};
use serde_json::Value;
use tiphys_api::{
    field::{FieldError, Reason},
    serve::Body,
};

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

const PART: Part = Part::Sub("ephemeralcontainers");

pub async fn write(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let stored = if ctx.info.verb == "update" {
        let wanted = decode::object(ctx, bytes)?;
        commit::update(ctx, PART, &|current| change(ctx, current, &wanted)).await?
    } else {
        let patch_type = PatchType::from_content_type(&body::media_type(&ctx.headers))
            .filter(|patch_type| *patch_type != PatchType::Apply)
            .ok_or_else(|| ApiError::unsupported_media_type(&["application/strategic-merge-patch+json"]))?;
        let patch = body::json(bytes)?;
        commit::update(ctx, PART, &|current| {
            let wanted = decode::patched(ctx, patched(ctx, patch_type, &current.object, &patch)?)?;
            change(ctx, current, &wanted)
        })
        .await?
    };
    ctx.answer(StatusCode::OK, stored)
}

fn change(ctx: &Context, current: &Current, wanted: &Value) -> Result<Change> {
    let list = |object: &Value| object["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    let (before, after) = (list(&current.object), list(wanted));
    let kept = before
        .iter()
        .all(|old| after.iter().any(|new| new["name"] == old["name"] && new["image"] == old["image"]));
    if !kept {
        let error = FieldError {
            reason: Reason::Forbidden,
            field: "spec.ephemeralContainers".into(),
            message: "Forbidden: existing ephemeral containers may not be removed or changed".into(),
        };
        return Err(ApiError::invalid("", "Pod", &ctx.info.name, &[error]));
    }
    let mut pod = current.object.clone();
    pod["metadata"]["resourceVersion"] = wanted["metadata"]["resourceVersion"].clone();
    pod["spec"]["ephemeralContainers"] = after.into();
    Ok(Change::to(pod))
}
