//! `kube::Client` over the API server's handler, without a socket.
//!
//! The user is fixed when the client is made: the handler trusts the
//! [`UserInfo`] in the request's extensions and authorizes it as any other.

use http::{Request, Response};
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, Handler, boxed},
};
use tower::{Service, ServiceExt};

/// A client that acts as `user`.
pub fn in_memory(handler: Handler, user: UserInfo) -> kube::Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let request = request.map(boxed);
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
