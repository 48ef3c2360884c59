//! `/k8s/...`: the API server, as the signed-in user.
//!
//! The session's user is put into the request; credentials and impersonation
//! that a page might send are taken out. Bodies stream both ways.

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tiphys_api::serve::boxed;

use crate::{sign_in, web::Web};

const PREFIX: &str = "/k8s";

pub async fn forward(State(web): State<Web>, mut request: Request) -> Response {
    let Some(user) = sign_in::user(&web, request.headers()) else {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "not signed in"}))).into_response();
    };
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let Some(target) = target.strip_prefix(PREFIX).and_then(|target| target.parse::<Uri>().ok()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    headers.remove(header::COOKIE);
    headers.remove(header::AUTHORIZATION);
    let foreign: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    for name in foreign {
        headers.remove(name);
    }
    request.extensions_mut().insert(user);
    web.shared.call(request.map(boxed)).await.map(axum::body::Body::new)
}
