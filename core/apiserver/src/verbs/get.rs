//! GET of one object, from the cache: its bytes as they are, unless another
//! version, shape or format is wanted.

use http::{Response, StatusCode};
use serde_json::Value;
use tiphys_api::serve::Body;

use super::list::freshness;
use crate::{
    cache::CachedObject,
    context::Context,
    request::accept::{Format, Shape},
    respond::{object::bytes, protobuf::enveloped},
    status::Result,
};

pub async fn get(ctx: &Context) -> Result<Response<Body>> {
    let object = cached(ctx).await?;
    if ctx.wants_held() {
        return Ok(bytes(StatusCode::OK, Format::Json.content_type(), object.json.clone()));
    }
    if ctx.accept.format == Format::Protobuf && ctx.accept.shape == Shape::Object {
        let body = enveloped(&ctx.resource, &object)?;
        return Ok(bytes(StatusCode::OK, Format::Protobuf.content_type(), body));
    }
    ctx.answer_served(StatusCode::OK, ctx.resource.served(&object.json).await?)
}

/// The object that the request names, as new as it asks for.
pub async fn cached(ctx: &Context) -> Result<std::sync::Arc<CachedObject>> {
    let within = ctx.resource.within(&ctx.info.namespace);
    let found = ctx.resource.cache()?.get(within, &ctx.info.name, freshness(&ctx.options)?).await?;
    found.ok_or_else(|| ctx.not_found())
}

/// The same, decoded, in the version as which writes are checked.
pub async fn decoded(ctx: &Context) -> Result<Value> {
    let object = cached(ctx).await?;
    match ctx.resource.custom {
        Some(_) => ctx.resource.served(&object.json).await,
        None => serde_json::from_slice(&object.json).map_err(crate::status::ApiError::internal),
    }
}
