//! serviceaccounts/token: a signed token for a service account.

use http::{Response, StatusCode};
use tiphys_api::serve::Body;

use crate::{context::Context, request::body, status::Result, write::admit};

pub async fn create(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let mut request = body::decode(&ctx.headers, bytes)?;
    admit::subresource(ctx, &mut request).await?;
    let answer = ctx.core.authenticator.token_request(&ctx.info.namespace, &ctx.info.name, request).await?;
    ctx.answer_value(StatusCode::CREATED, &answer)
}
