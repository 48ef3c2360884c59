//! DELETE of one object.

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use tiphys_api::serve::Body;

use super::deletion::{self, DeleteOptions, Plan};
use crate::{
    context::Context,
    request::body,
    respond::status_success,
    service,
    status::{ApiError, Details, Result},
    storage::{Outcome, set_revision},
    write::{admit, commit, metadata},
};

const ATTEMPTS: usize = 16;

/// What is left of a deleted object.
pub enum Deleted {
    /// It is gone; this was its last state.
    Gone(Value),
    /// It is marked; this is its state.
    Marked(Value),
}

pub async fn delete(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let options = read_options(ctx, bytes)?;
    match delete_object(ctx, &options).await? {
        Deleted::Marked(object) => ctx.answer(StatusCode::OK, object),
        // A Pod's last state is of use to who deleted it; of others a Status tells enough.
        Deleted::Gone(object) if ctx.resource.stored.definition == "io.k8s.api.core.v1.Pod" => {
            ctx.answer(StatusCode::OK, object)
        }
        Deleted::Gone(object) => {
            let details = Details {
                name: ctx.info.name.clone(),
                group: ctx.resource.kind.group.into(),
                kind: ctx.resource.kind.plural.into(),
                uid: metadata::text(&object, "uid").into(),
                ..Details::default()
            };
            ctx.answer_value(StatusCode::OK, &status_success(&details))
        }
    }
}

/// `DeleteOptions` out of the body, if there is one, and the query.
pub fn read_options(ctx: &Context, bytes: &[u8]) -> Result<DeleteOptions> {
    let body = match bytes {
        [] => None,
        bytes => Some(body::decode(&ctx.headers, bytes)?),
    };
    deletion::options(body.as_ref(), &ctx.options)
}

/// Deletes the object that the context names.
pub async fn delete_object(ctx: &Context, options: &DeleteOptions) -> Result<Deleted> {
    let mut current = commit::load(ctx).await?;
    for _ in 0..ATTEMPTS {
        deletion::check(&current.object, options, ctx.group_resource(), &ctx.info.name)?;
        // An eviction has been admitted as such.
        if ctx.info.subresource.is_empty() {
            admit::delete(ctx, &current.object, &options.to_value()).await?;
        }
        let plan = deletion::plan(&current.object, options, Timestamp::now());
        if options.dry_run {
            return Ok(match plan {
                Plan::Remove => Deleted::Gone(current.object),
                Plan::Mark(marked) => Deleted::Marked(marked),
                Plan::Nothing => Deleted::Marked(current.object),
            });
        }
        let storage = &ctx.core.storage;
        let (namespace, name) = (&ctx.info.namespace, &ctx.info.name);
        let lost = match plan {
            Plan::Nothing => return Ok(Deleted::Marked(current.object)),
            Plan::Remove => match storage.remove(&ctx.resource, namespace, name, &current).await? {
                Outcome::Done(_) => {
                    service::deleted(ctx, &current.object);
                    return Ok(Deleted::Gone(current.object));
                }
                Outcome::Lost(newer) => newer,
                Outcome::Outrun => None,
            },
            Plan::Mark(mut marked) => {
                match storage.replace(&ctx.resource, namespace, name, &current, &marked, &[]).await? {
                    Outcome::Done(revision) => {
                        set_revision(&mut marked, revision);
                        return Ok(Deleted::Marked(marked));
                    }
                    Outcome::Lost(newer) => newer,
                    Outcome::Outrun => None,
                }
            }
        };
        current = lost.ok_or_else(|| ctx.not_found())?;
    }
    Err(ApiError::modified(ctx.group_resource(), &ctx.info.name))
}
