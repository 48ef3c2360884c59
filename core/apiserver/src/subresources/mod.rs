//! Paths below an object with behaviour of their own, one a file.

pub mod approval;
pub mod binding;
pub mod ephemeral;
pub mod eviction;
pub mod finalize;
pub mod resize;
pub mod reviews;
pub mod scale;
pub mod token;

use http::Response;
use tiphys_api::{kind::Subresource, serve::Body};

use crate::{
    context::Context,
    status::{ApiError, Result},
    verbs,
    write::commit::Part,
};

/// Answers for a subresource whose body is read already; the streaming ones are dispatched before.
pub async fn answer(ctx: &Context, body: &[u8]) -> Result<Response<Body>> {
    let subresource =
        ctx.resource.kind.subresource(&ctx.info.subresource).ok_or_else(ApiError::no_such_path)?;
    match (subresource, ctx.info.verb) {
        (Subresource::Status, "get") => verbs::get::get(ctx).await,
        (Subresource::Status, "update") => verbs::update::update(ctx, Part::Status, body).await,
        (Subresource::Status, "patch") => verbs::patch::patch(ctx, Part::Status, body).await,
        (Subresource::Scale(paths), _) => scale::answer(ctx, paths, body).await,
        (Subresource::Named("binding"), "create") => binding::create(ctx, body).await,
        (Subresource::Named("eviction"), "create") => eviction::create(ctx, body).await,
        (Subresource::Named("finalize"), "update") => finalize::update(ctx, body).await,
        (Subresource::Named("token"), "create") => token::create(ctx, body).await,
        (Subresource::Named("approval" | "ephemeralcontainers" | "resize"), "get") => {
            verbs::get::get(ctx).await
        }
        (Subresource::Named("approval"), "update" | "patch") => approval::write(ctx, body).await,
        (Subresource::Named("ephemeralcontainers"), "update" | "patch") => ephemeral::write(ctx, body).await,
        (Subresource::Named("resize"), "update" | "patch") => resize::write(ctx, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}
