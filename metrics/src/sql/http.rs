//! `POST /tiphys/v1/sql` with `{"sql": "...", "format": "json"}`.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::json;
use tiphys_api::auth::{Authorizer, UserInfo};

use super::{Engine, Format, SqlError};
use crate::scope::Scope;

/// What a statement is asked with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    sql: String,
    #[serde(default)]
    format: Format,
}

#[derive(Clone)]
struct Door {
    engine: Engine,
    authorizer: Arc<dyn Authorizer>,
}

/// The routes, below `/tiphys/v1`.
pub fn routes(path: &str, engine: Engine, authorizer: Arc<dyn Authorizer>) -> Router {
    Router::new().route(path, post(answer)).with_state(Door { engine, authorizer })
}

async fn answer(
    State(door): State<Door>,
    user: Option<Extension<UserInfo>>,
    question: Result<Json<Question>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let Some(Extension(user)) = user else {
        return refuse(StatusCode::UNAUTHORIZED, "Unauthorized", "sign in first");
    };
    let Json(question) = match question {
        Ok(question) => question,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, "BadRequest", &error.body_text()),
    };
    let scope = Scope::of(user, door.authorizer);
    match door.engine.answer(&question.sql, question.format, scope).await {
        Ok(text) => ([(header::CONTENT_TYPE, question.format.content_type())], text).into_response(),
        Err(error) => {
            let (code, reason) = match error {
                SqlError::Invalid(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
                SqlError::TooSlow(_) => (StatusCode::GATEWAY_TIMEOUT, "Timeout"),
                SqlError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
                SqlError::Format(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            };
            refuse(code, reason, &error.to_string())
        }
    }
}

/// A Status, as any client of the API expects.
fn refuse(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, Json(status)).into_response()
}
