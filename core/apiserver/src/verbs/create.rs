//! POST of a new object.

use http::{Response, StatusCode};
use tiphys_api::serve::Body;

use crate::{
    context::Context,
    status::{ApiError, Result},
    write::{
        commit::{self, Change},
        decode,
    },
};

pub async fn create(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    if !ctx.info.name.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    if ctx.resource.kind.is_namespaced() && ctx.info.namespace.is_empty() {
        return Err(ApiError::bad_request("an empty namespace may not be set during creation"));
    }
    let object = decode::object(ctx, bytes)?;
    let created = commit::create(ctx, Change::to(object)).await?;
    ctx.answer(StatusCode::CREATED, created)
}
