//! serviceaccounts/token: a signed token for a service account.

use http::{Response, StatusCode};
use tiphys_api::serve::Body;

use crate::{
    context::Context,
    request::body,
    status::Result,
    write::{admit, decode},
};

pub async fn create(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let request = body::decode(&ctx.headers, bytes)?;
    let mut request = decode::of_kind(ctx, "io.k8s.api.authentication.v1.TokenRequest", request)?;
    admit::subresource(ctx, &mut request).await?;
    let answer = ctx.core.authenticator.token_request(&ctx.info.namespace, &ctx.info.name, request).await?;
    ctx.answer_value(StatusCode::CREATED, &answer)
}
