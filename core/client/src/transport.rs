//! `kube::Client` over the API server's handler, without a socket.
//!
//! The user is fixed when the client is made: the handler trusts the
//! [`UserInfo`] in the request's extensions and authorizes it as any other.

use http::{HeaderValue, Request, Response, header};
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, Handler, boxed},
};
use tower::{Service, ServiceExt};

/// A client that acts as `user`. What it writes is managed by the user's name
/// without its prefix: `kube-scheduler` of `system:kube-scheduler`.
pub fn in_memory(handler: Handler, user: UserInfo) -> kube::Client {
    let agent = user.name.rsplit(':').next().and_then(|name| HeaderValue::from_str(name).ok());
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let mut request = request.map(boxed);
        if let Some(agent) = &agent {
            request.headers_mut().entry(header::USER_AGENT).or_insert_with(|| agent.clone());
        }
        with_user(handler.clone(), user.clone(), request)
    });
    kube::Client::new(service, "default")
}

/// One request to `handler` as `user`.
pub async fn with_user(
    mut handler: Handler,
    user: UserInfo,
    mut request: Request<Body>,
) -> Result<Response<Body>, std::convert::Infallible> {
    request.extensions_mut().insert(user);
    handler.ready().await?.call(request).await
}
