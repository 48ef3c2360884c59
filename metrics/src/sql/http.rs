//! `POST /tiphys/v1/sql` with `{"sql": "...", "format": "json"}`.
//!
//! What an answer lacks is told in `Warning` headers, as the API server tells its
//! warnings; the format `columns` has it in its body too, and Parquet in its metadata.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::json;
use tiphys_api::auth::{Authorizer, UserInfo};

use super::{Asker, Engine, Format, SqlError};

/// What a statement is asked with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    sql: String,
    #[serde(default)]
    format: Written,
}

/// In which form the answer is wanted.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Written {
    Table,
    #[default]
    Json,
    Jsonl,
    Csv,
    Columns,
    Parquet,
}

impl Written {
    /// Absent: a file.
    fn text(self) -> Option<Format> {
        Some(match self {
            Self::Table => Format::Table,
            Self::Json => Format::Json,
            Self::Jsonl => Format::Jsonl,
            Self::Csv => Format::Csv,
            Self::Columns => Format::Columns,
            Self::Parquet => return None,
        })
    }
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
    let asker = Asker::new(user, door.authorizer);
    let answered = match question.format.text() {
        Some(format) => door.engine.answer(&question.sql, format, asker).await.map(|answer| {
            let mut response = ([(header::CONTENT_TYPE, format.content_type())], answer.text).into_response();
            for warning in answer.notes.iter().filter_map(|note| warning(note)) {
                response.headers_mut().append(header::WARNING, warning);
            }
            response
        }),
        None => door.engine.export(&question.sql, asker).await.map(|file| {
            let head = [(header::CONTENT_TYPE, "application/vnd.apache.parquet")];
            (head, Body::from_stream(file)).into_response()
        }),
    };
    answered.unwrap_or_else(|error| {
        let (code, reason) = match error {
            SqlError::Invalid(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            SqlError::TooSlow(_) => (StatusCode::GATEWAY_TIMEOUT, "Timeout"),
            SqlError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            SqlError::Format(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        };
        refuse(code, reason, &error.to_string())
    })
}

/// Bytes of a note in a header.
const LONGEST_WARNING: usize = 500;

/// A note as the value of a `Warning` header: `299 - "text"`, as Kubernetes writes them.
fn warning(note: &str) -> Option<HeaderValue> {
    let mut text = String::new();
    for character in note.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            ' '..='~' => text.push(character),
            _ => text.push('?'),
        }
        if text.len() >= LONGEST_WARNING {
            break;
        }
    }
    HeaderValue::from_str(&format!("299 - \"{text}\"")).ok()
}

/// A Status, as any client of the API expects.
fn refuse(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, Json(status)).into_response()
}
