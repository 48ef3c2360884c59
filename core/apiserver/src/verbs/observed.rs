//! GET and LIST of what isn't stored but found out when it is asked for: ComponentStatus.

use http::{Response, StatusCode};
use serde_json::json;
use tiphys_api::{labels::Labels, serve::Body};

use super::list;
use crate::{
    context::Context,
    respond::shape,
    status::{ApiError, Result},
};

pub async fn answer(ctx: &Context) -> Result<Response<Body>> {
    match ctx.info.verb {
        "get" => {
            let found = ctx.core.components.get(&ctx.info.name).await;
            ctx.answer_served(StatusCode::OK, found.ok_or_else(|| ctx.not_found())?)
        }
        "list" => {
            let selector = list::selector(ctx)?;
            // They have names, and neither labels nor a namespace.
            let selects = |name: &str| {
                let field = |field: &str| if field == "metadata.name" { name } else { "" };
                selector.fields.matches(field) && selector.labels.matches(&Labels::default())
            };
            let found = ctx.core.components.list(selects).await;
            let (wanted, include) = (ctx.accept.shape, &ctx.options.include_object);
            let list = shape::many(&ctx.resource, json!({}), found, wanted, include);
            ctx.answer_value(StatusCode::OK, &list)
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}
