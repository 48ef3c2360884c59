//! certificatesigningrequests/approval: `kubectl certificate approve` adds its
//! condition; of the rest of the request only metadata changes.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use tiphys_api::serve::Body;

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

const PART: Part = Part::Sub("approval");

pub async fn write(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let stored = if ctx.info.verb == "update" {
        let wanted = decode::object(ctx, bytes)?;
        commit::update(ctx, PART, &|current| Ok(change(current, &wanted))).await?
    } else {
        let patch_type = PatchType::from_content_type(&body::media_type(&ctx.headers))
            .filter(|patch_type| *patch_type != PatchType::Apply)
            .ok_or_else(|| ApiError::unsupported_media_type(&["application/strategic-merge-patch+json"]))?;
        let given = decode::patch(ctx, patch_type, bytes)?;
        commit::update(ctx, PART, &|current| {
            let wanted = decode::patched(ctx, patched(ctx, &current.object, &given)?, &given)?;
            Ok(change(current, &wanted))
        })
        .await?
    };
    ctx.answer(StatusCode::OK, stored)
}

fn change(current: &Current, wanted: &Value) -> Change {
    let mut request = current.object.clone();
    request["metadata"] = wanted["metadata"].clone();
    if !request["status"].is_object() {
        request["status"] = json!({});
    }
    if wanted["status"]["conditions"].is_array() {
        request["status"]["conditions"] = wanted["status"]["conditions"].clone();
    }
    Change::to(request)
}
