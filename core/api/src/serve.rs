//! The shape of an HTTP handler.
//!
//! A part that serves HTTP gives a [`Handler`]; core/node mounts it into the
//! API server or behind a listener. A request that comes through the API server
//! carries the [`UserInfo`](crate::auth::UserInfo) in its extensions.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A streamed body of either direction.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Any handler: the API server's router, a part's routes, the dashboard.
pub type Handler = tower::util::BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// Handlers that the API server mounts: a path prefix (such as
/// `/apis/metrics.k8s.io`) and who answers below it. Authentication and
/// authorization of the path are done before it is called.
#[derive(Clone)]
pub struct Mount {
    pub prefix: String,
    pub handler: Handler,
}

/// A body that is there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// Any body of bytes, boxed.
pub fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}
