//! Kinds that are asked and not kept: reviews of tokens and of access, and
//! Binding by POST to `bindings`.

use http::{Response, StatusCode};
use serde_json::Value;
use tiphys_api::serve::Body;

use super::binding;
use crate::{
    authn, authz,
    context::Context,
    request::info::RequestInfo,
    status::{ApiError, Result},
    write::{decode, metadata},
};

pub async fn create(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    if !ctx.info.name.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    let body = decode::object(ctx, bytes)?;
    let kind = ctx.resource.kind.kind;
    let answer = match (ctx.resource.kind.group, kind) {
        ("authentication.k8s.io", "TokenReview") => ctx.core.authenticator.token_review(body).await,
        ("authentication.k8s.io", "SelfSubjectReview") => authn::self_subject_review(&ctx.user),
        ("authorization.k8s.io", _) => {
            authz::review(&ctx.core.rbac, kind, &ctx.info.namespace, &ctx.user, body)?
        }
        ("", "Binding") => return bind(ctx, body).await,
        _ => return Err(ApiError::method_not_allowed()),
    };
    ctx.answer_value(StatusCode::CREATED, &answer)
}

async fn bind(ctx: &Context, mut body: Value) -> Result<Response<Body>> {
    let pods = ctx.core.registry.stored("", "pods").ok_or_else(ApiError::no_such_path)?;
    let info = RequestInfo {
        resource: "pods".into(),
        name: metadata::text(&body, "name").to_owned(),
        subresource: "binding".into(),
        ..ctx.info.clone()
    };
    let on_pod = ctx.about(pods.clone(), info, ctx.options.clone());
    binding::bind(&on_pod, &mut body).await?;
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    ctx.answer_value(StatusCode::CREATED, &status)
}
