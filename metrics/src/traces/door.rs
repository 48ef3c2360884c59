//! `POST /otlp/v1/traces`: spans by OTLP, protobuf or JSON.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{DefaultBodyLimit, State},
    response::Response,
    routing::post,
};
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::json;
use tiphys_api::auth::{SharedAuthorizer, UserInfo};
use tokio::sync::Semaphore;

use super::{
    Spans,
    otlp::{self, Export},
};
use crate::doors::{
    Door, Form, Refusal, admit_namespace,
    body::{self, Room},
};

pub const PATH: &str = "/otlp/v1/traces";
/// Requests that are understood at once; more wait.
const DECODING: usize = 2;

#[derive(Clone)]
struct TraceDoor {
    spans: Arc<Spans>,
    authorizer: SharedAuthorizer,
    decoding: Arc<Semaphore>,
    /// What all doors have together for bodies.
    room: Room,
}

pub fn routes(spans: Arc<Spans>, authorizer: SharedAuthorizer, room: Room) -> Router {
    let door = TraceDoor { spans, authorizer, decoding: Arc::new(Semaphore::new(DECODING)), room };
    Router::new().route(PATH, post(take)).layer(DefaultBodyLimit::disable()).with_state(door)
}

async fn take(
    State(door): State<TraceDoor>,
    user: Option<Extension<UserInfo>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = match Form::of(&headers) {
        Ok(form) => form,
        Err(refusal) => return Form::Json.refuse(&refusal),
    };
    match taken(door, user.as_deref(), &headers, body, form).await {
        Ok(rejected) => accept(form, rejected),
        Err(refusal) => form.refuse(&refusal),
    }
}

/// Spans of a request that were not taken: how many, and why the first was not.
type Rejected = Option<(u64, String)>;

/// An answer without fields says that all was taken.
fn accept(form: Form, rejected: Rejected) -> Response {
    let Some((count, error_message)) = rejected else {
        return form.answer(StatusCode::OK, Vec::new(), &json!({}));
    };
    let told = json!({"rejectedSpans": count.to_string(), "errorMessage": error_message});
    let rejected_spans = i64::try_from(count).unwrap_or(i64::MAX);
    let partial = ExportTracePartialSuccess { rejected_spans, error_message };
    let response = ExportTraceServiceResponse { partial_success: Some(partial) };
    form.answer(StatusCode::OK, response.encode_to_vec(), &json!({"partialSuccess": told}))
}

async fn taken(
    door: TraceDoor,
    user: Option<&UserInfo>,
    headers: &HeaderMap,
    body: Body,
    form: Form,
) -> Result<Rejected, Refusal> {
    let later = |message: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message);
    let namespace = admit_namespace(user, headers, Door::Otlp, &*door.authorizer)?;
    if door.spans.is_full() {
        return Err(later("spans come faster than they are written: send again".to_owned()));
    }
    let packing = body::packing(headers);
    let (bytes, taken) = door.room.read(&namespace, body).await?;
    let stopping = || later("the server is stopping: send again".to_owned());
    let turn = door.decoding.clone().acquire_owned().await.map_err(|_| stopping())?;
    let work = tokio::task::spawn_blocking(move || {
        let _held = (turn, taken);
        let Export { spans, rejected, why, .. } =
            otlp::decode(form, &body::unpack(bytes, &packing)?, &namespace)?;
        let rejected = why.map(|why| (rejected, why));
        if let (true, Some((_, why))) = (spans.is_empty(), &rejected) {
            return Err(Refusal::malformed(why.clone()));
        }
        door.spans.take(spans).map_err(|error| later(format!("spans can't be written: {error}")))?;
        Ok(rejected)
    });
    work.await.map_err(|_| stopping())?
}
