//! Stands between the autoscaler and the API: a test sees each request, may do something before it
//! goes on, or refuse it.

use std::{convert::Infallible, sync::Arc};

use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use kube::{Client, core::Status};
use tiphys_api::serve::{Body, Handler, full};
use tower::{Service, ServiceExt, service_fn, util::BoxCloneSyncService};

/// Sees method and path, with a client that goes around it. What it gives back is the answer.
pub type Gate = Arc<dyn Fn(Client, Method, String) -> BoxFuture<'static, Option<Status>> + Send + Sync>;

/// A refusal with this sentence.
pub fn refused(why: &str) -> Status {
    Status::failure(why, "Forbidden").with_code(403)
}

/// The handler with a gate before it.
pub fn before(handler: Handler, around: Client, gate: Gate) -> Handler {
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        pass(handler.clone(), around.clone(), gate.clone(), request)
    }))
}

async fn pass(
    mut handler: Handler,
    around: Client,
    gate: Gate,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let Some(status) = gate(around, method, path).await else {
        return handler.ready().await?.call(request).await;
    };
    let mut response = Response::new(full(serde_json::to_vec(&status).expect("a Status")));
    *response.status_mut() = StatusCode::from_u16(status.code).expect("a code");
    Ok(response)
}
