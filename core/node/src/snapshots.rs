//! `/snapshot`: everything the store holds, for who may have it.
//!
//! The path is below no role but the administrators', so nobody else gets it; in
//! it are all Secrets, encrypted only if they are in the store.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tiphys_api::serve::{Body, Handler, Mount, boxed, full};
use tiphys_store::{Snapshot, Store};

pub const PATH: &str = "/snapshot";

/// Serves snapshots of a store.
pub fn mount(store: Arc<dyn Store>) -> Mount {
    let handler = tower::service_fn(move |request: Request<Body>| {
        let store = store.clone();
        async move { Ok::<_, Infallible>(answer(&*store, request.method()).await) }
    });
    Mount { prefix: PATH.to_owned(), handler: Handler::new(handler) }
}

async fn answer(store: &dyn Store, method: &Method) -> Response<Body> {
    if method != Method::GET {
        return said(StatusCode::METHOD_NOT_ALLOWED, "a snapshot is taken with GET\n".to_owned());
    }
    match Snapshot::take(store).await {
        Ok(snapshot) => {
            tracing::info!(revision = snapshot.revision, records = snapshot.records.len(), "snapshot taken");
            let chunks = snapshot.encode().map(|chunk: Bytes| Ok::<_, Infallible>(Frame::data(chunk)));
            let mut response = Response::new(boxed(StreamBody::new(stream::iter(chunks))));
            let binary = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, binary);
            response
        }
        Err(error) => {
            tracing::error!(%error, "snapshot failed");
            said(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
        }
    }
}

fn said(code: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = code;
    response
}
