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
use serde_json::json;
use tiphys_api::auth::{SharedAuthorizer, UserInfo};
use tokio::sync::Semaphore;

use super::{Spans, otlp};
use crate::doors::{Door, Form, Refusal, admit_namespace, body};

pub const PATH: &str = "/otlp/v1/traces";
/// Requests that are understood at once; more wait.
const DECODING: usize = 2;

#[derive(Clone)]
struct TraceDoor {
    spans: Arc<Spans>,
    authorizer: SharedAuthorizer,
    decoding: Arc<Semaphore>,
}

pub fn routes(spans: Arc<Spans>, authorizer: SharedAuthorizer) -> Router {
    let door = TraceDoor { spans, authorizer, decoding: Arc::new(Semaphore::new(DECODING)) };
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
        // An answer without fields: all was taken.
        Ok(()) => form.answer(StatusCode::OK, Vec::new(), &json!({})),
        Err(refusal) => form.refuse(&refusal),
    }
}

async fn taken(
    door: TraceDoor,
    user: Option<&UserInfo>,
    headers: &HeaderMap,
    body: Body,
    form: Form,
) -> Result<(), Refusal> {
    let later = |message: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message);
    let namespace = admit_namespace(user, headers, Door::Otlp, &*door.authorizer)?;
    if door.spans.is_full() {
        return Err(later("spans come faster than they are written: send again".to_owned()));
    }
    let packing = body::packing(headers);
    let bytes = body::read(body).await?;
    let stopping = || later("the server is stopping: send again".to_owned());
    let turn = door.decoding.clone().acquire_owned().await.map_err(|_| stopping())?;
    let work = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let spans = otlp::decode(form, &body::unpack(bytes, &packing)?, &namespace)?;
        door.spans.take(spans).map_err(|error| later(format!("spans can't be written: {error}")))
    });
    work.await.map_err(|_| stopping())?
}
