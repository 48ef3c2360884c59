//! DELETE of all objects that a request selects. The answer lists them as they
//! were; those that another request deleted first are no error.

use http::{Response, StatusCode};
use tiphys_api::serve::Body;

use super::{delete, list};
use crate::{context::Context, request::info::RequestInfo, respond, status::Result};

pub async fn deletecollection(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let options = delete::read_options(ctx, bytes)?;
    let result = list::collect(ctx).await?;
    for object in &result.objects {
        let info = RequestInfo {
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            verb: "delete",
            ..ctx.info.clone()
        };
        let one = ctx.about(ctx.resource.clone(), info, ctx.options.clone());
        match delete::delete_object(&one, &options).await {
            Err(error) if error.code != StatusCode::NOT_FOUND => return Err(error),
            _ => {}
        }
    }
    respond::list::respond(&ctx.resource, result, ctx.accept, &ctx.options, &ctx.headers).await
}
