//! What a request is about, and who answers.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response, header};
use tiphys_api::{
    auth::{Attributes, UserInfo},
    serve::{Body, Handler},
};
use tower::ServiceExt;

use super::{observe, paths, resources};
use crate::{
    aggregation, audit, flow,
    request::{accept, info, info::Target, options},
    respond,
    state::Core,
    status::{ApiError, Result},
};

/// Answers a request whose user is in its extensions.
pub fn handle(core: Arc<Core>, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
    Box::pin(observed(core, request))
}

async fn observed(core: Arc<Core>, request: Request<Body>) -> Response<Body> {
    let watching = options::is_watch(request.uri().query().unwrap_or_default());
    let target = info::parse(request.method(), request.uri().path(), watching);
    let observed = observe::Observed::begin(&core, &request, target.as_ref().ok());
    let format = accept::format(accept::header(request.headers()));
    observed
        .run(async move {
            let audit = core.audit.clone();
            let about = target.as_ref().ok().cloned();
            let work = |request| async move {
                match target {
                    Ok(target) => Box::pin(seated(core, target, request)).await,
                    Err(error) => respond::error(&error, format),
                }
            };
            audit::around(audit.as_ref(), about.as_ref(), request, work).await
        })
        .await
}

/// Answers when it is the request's turn.
async fn seated(core: Arc<Core>, target: Target, request: Request<Body>) -> Response<Body> {
    let (shared, about) = (core.clone(), target.clone());
    let work = |request: Request<Body>| async move {
        let format = accept::format(accept::header(request.headers()));
        let answer = Box::pin(route(shared, target, request)).await;
        answer.unwrap_or_else(|error| respond::error(&error, format))
    };
    flow::around(&core, Some(&about), request, work).await
}

async fn route(core: Arc<Core>, target: Target, request: Request<Body>) -> Result<Response<Body>> {
    let user = request.extensions().get::<UserInfo>().cloned().ok_or_else(ApiError::unauthorized)?;
    let extension = core.aggregation.serving(&target, request.uri().path());
    match target {
        Target::Resource(info) => resources::answer(core, user, info, extension, request).await,
        Target::Path => {
            let attributes = Attributes::NonResource {
                verb: request.method().as_str().to_ascii_lowercase(),
                path: request.uri().path().to_owned(),
            };
            core.authorize_request(&user, &attributes, &request)?;
            if let Some(service) = extension {
                return aggregation::proxy(&core, &service, &user, request).await;
            }
            match core.mounts.find(request.uri().path()) {
                Some(handler) => Ok(mounted(handler, request).await),
                None => paths::answer(&core, &request),
            }
        }
    }
}

/// Hands the request on. Credentials are out of it already, except a cookie, which was never ours.
pub fn mounted(handler: Handler, mut request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
    request.headers_mut().remove(header::AUTHORIZATION);
    Box::pin(handler.oneshot(request).map(|answer| match answer {
        Ok(response) => response,
        Err(never) => match never {},
    }))
}
