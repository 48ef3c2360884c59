//! The routes below `/tiphys/v1/logs`. Errors are Kubernetes `Status` objects.

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{
        DefaultBodyLimit, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{StatusCode, header};
use serde_json::json;
use tiphys_api::auth::UserInfo;

use super::{LogRoot, PREFIX, RootError};
use crate::wire::{ContextRequest, FacetsRequest, HistogramRequest, SearchRequest, StatsRequest, TailLine};
use crate::{deletion::DeleteRequest, inert::inert};

/// A request is a query and some times; nobody needs more.
const MAX_REQUEST: usize = 1 << 20;
/// A live tail says something at this pace.
pub(super) const BEAT: Duration = Duration::from_secs(15);

pub(super) fn router(root: LogRoot) -> Router {
    let routes = Router::new()
        .route("/", axum::routing::delete(delete))
        .route("/search", post(search))
        .route("/histogram", post(histogram))
        .route("/facets", post(facets))
        .route("/stats", post(stats))
        .route("/context", post(context))
        .route("/tail", get(tail))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .layer(axum::middleware::map_response(inert))
        .with_state(root);
    Router::new().nest(PREFIX, routes)
}

type User = Option<Extension<UserInfo>>;

async fn search(
    State(root): State<LogRoot>,
    user: User,
    request: Result<Json<SearchRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (user, Json(request)) = (known(user)?, request?);
    Ok(Json(root.search(&user, &request).await?).into_response())
}

async fn histogram(
    State(root): State<LogRoot>,
    user: User,
    request: Result<Json<HistogramRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (user, Json(request)) = (known(user)?, request?);
    Ok(Json(root.histogram(&user, &request).await?).into_response())
}

async fn facets(
    State(root): State<LogRoot>,
    user: User,
    request: Result<Json<FacetsRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (user, Json(request)) = (known(user)?, request?);
    Ok(Json(root.facets(&user, &request).await?).into_response())
}

async fn stats(
    State(root): State<LogRoot>,
    user: User,
    request: Result<Json<StatsRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (user, Json(request)) = (known(user)?, request?);
    Ok(Json(root.stats(&user, &request).await?).into_response())
}

async fn context(
    State(root): State<LogRoot>,
    user: User,
    request: Result<Json<ContextRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (user, Json(request)) = (known(user)?, request?);
    Ok(Json(root.context(&user, &request).await?).into_response())
}

async fn delete(
    State(root): State<LogRoot>,
    user: User,
    request: Result<Query<DeleteRequest>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (user, Query(request)) = (known(user)?, request?);
    Ok(Json(root.delete(&user, &request).await?).into_response())
}

async fn tail(
    State(root): State<LogRoot>,
    user: User,
    request: Result<Query<SearchRequest>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (user, Query(request)) = (known(user)?, request?);
    let lines = root.tail_to_client(&user, &request).await?;
    Ok(ndjson(lines))
}

/// A streamed answer, one JSON value a line. Starts with an empty line, so that
/// the head goes out at once and the client knows that it is connected.
pub(crate) fn ndjson(lines: impl Stream<Item = TailLine> + Send + 'static) -> Response {
    streamed(lines.map(|line| text(&line)))
}

/// [`ndjson`] with an empty line where there is nothing to say for [`BEAT`]: whoever reads it
/// can tell a node that is silent from one that is dead.
pub(crate) fn ndjson_alive(lines: impl Stream<Item = TailLine> + Send + 'static) -> Response {
    let lines = Box::pin(lines);
    streamed(futures::stream::unfold(lines, |mut lines| async {
        match tokio::time::timeout(BEAT, lines.next()).await {
            Ok(Some(line)) => Some((text(&line), lines)),
            Ok(None) => None,
            Err(_) => Some((Ok(Bytes::from_static(b"\n")), lines)),
        }
    }))
}

fn text(line: &TailLine) -> std::io::Result<Bytes> {
    let mut text = serde_json::to_vec(line).map_err(std::io::Error::other)?;
    text.push(b'\n');
    Ok(text.into())
}

fn streamed(lines: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Response {
    let opening = futures::stream::once(async { Ok(Bytes::from_static(b"\n")) });
    let body = Body::from_stream(opening.chain(lines));
    ([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response()
}

fn known(user: User) -> Result<UserInfo, Refusal> {
    user.map(|Extension(user)| user).ok_or_else(|| Refusal {
        status: StatusCode::UNAUTHORIZED,
        reason: "Unauthorized",
        message: "sign in first".into(),
    })
}

/// An answer that is an error.
struct Refusal {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl From<RootError> for Refusal {
    fn from(error: RootError) -> Self {
        let (status, reason) = match error {
            RootError::Invalid(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            RootError::Forbidden(_) => (StatusCode::FORBIDDEN, "Forbidden"),
            RootError::NotFound(_) => (StatusCode::NOT_FOUND, "NotFound"),
        };
        Self { status, reason, message: error.to_string() }
    }
}

/// A body counts as JSON only if it is called so. What a plain form can send is not: a page of
/// another site could make a browser send it, by a `kubectl proxy` or with a certificate.
impl From<JsonRejection> for Refusal {
    fn from(error: JsonRejection) -> Self {
        let mut message = error.body_text();
        if matches!(error, JsonRejection::MissingJsonContentType(_)) {
            message.push_str("; curl says so with -H 'Content-Type: application/json'");
        }
        Self { status: error.status(), reason: "BadRequest", message }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(error: QueryRejection) -> Self {
        Self { status: error.status(), reason: "BadRequest", message: error.body_text() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.status.as_u16(),
        });
        (self.status, Json(status)).into_response()
    }
}
