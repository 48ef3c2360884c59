//! `POST /tiphys/v1/sql` with `{"sql": "...", "format": "json"}`.
//!
//! JSON, tables and columns are written whole; JSON lines, CSV, Arrow and Parquet as
//! their rows come. What an answer lacks is told in `Warning` headers, as the API server
//! tells its warnings, and in trailers if it is known only later; the format `columns`
//! has it in its body too, and Parquet in its metadata.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::json;
use tiphys_api::auth::{Authorizer, UserInfo};

use super::{Asker, Engine, Format, SqlError, Streamed};

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
    Arrow,
    Parquet,
}

impl Written {
    /// Whole, or in pieces.
    fn form(self) -> Result<Format, Streamed> {
        Err(match self {
            Self::Table => return Ok(Format::Table),
            Self::Json => return Ok(Format::Json),
            Self::Columns => return Ok(Format::Columns),
            Self::Jsonl => Streamed::Jsonl,
            Self::Csv => Streamed::Csv,
            Self::Arrow => Streamed::Arrow,
            Self::Parquet => Streamed::Parquet,
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
    let answered = match question.format.form() {
        Ok(format) => door.engine.answer(&question.sql, format, asker).await.map(|answer| {
            let head = [(header::CONTENT_TYPE, format.content_type())];
            with_warnings((head, answer.text).into_response(), &answer.notes)
        }),
        Err(form) => streamed(&door.engine, &question.sql, form, asker).await,
    };
    answered.unwrap_or_else(|error| {
        let (code, reason) = match error {
            SqlError::Invalid(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            SqlError::TooSlow(_) | SqlError::Cancelled | SqlError::SlowReader => {
                (StatusCode::GATEWAY_TIMEOUT, "Timeout")
            }
            SqlError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            SqlError::Format(_) | SqlError::Died => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        };
        refuse(code, reason, &error.to_string())
    })
}

/// What is written before the head is sent, so that an answer that fails soon has a status that
/// says so, and most notes stand in the head.
const FIRST_BYTES: usize = 64 << 10;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// An answer in pieces.
async fn streamed(
    engine: &Engine,
    statement: &str,
    form: Streamed,
    asker: Asker,
) -> Result<Response, SqlError> {
    let notes = asker.notes.clone();
    let mut pieces = Box::pin(engine.stream(statement, form, asker).await?);
    let (mut first, mut ended) = (Vec::new(), false);
    if let Some(piece) = pieces.try_next().await? {
        first.push(piece);
    }
    let soon = tokio::time::Instant::now() + FIRST_WAIT;
    while first.iter().map(Bytes::len).sum::<usize>() < FIRST_BYTES {
        let Ok(piece) = tokio::time::timeout_at(soon, pieces.try_next()).await else { break };
        let Some(piece) = piece? else {
            ended = true;
            break;
        };
        first.push(piece);
    }
    let told = if ended { Vec::new() } else { notes.list() };
    let response = [(header::CONTENT_TYPE, form.content_type())].into_response();
    let response = with_warnings(response, &notes.list());
    let frames = stream::iter(first).map(Ok).chain(pieces).map_ok(Frame::data);
    let trailers = stream::once(async move {
        let late = notes.list().into_iter().filter(|note| !ended && !told.contains(note));
        let warnings = late.filter_map(|note| warning(&note));
        Ok(Frame::trailers(warnings.map(|value| (header::WARNING, value)).collect()))
    });
    // One with no late note has no trailers at all.
    let frames = frames.chain(trailers).try_filter(|frame| {
        futures::future::ready(frame.trailers_ref().is_none_or(|trailers| !trailers.is_empty()))
    });
    let (head, _) = response.into_parts();
    Ok(Response::from_parts(head, Body::new(StreamBody::new(frames))))
}

fn with_warnings(mut response: Response, notes: &[String]) -> Response {
    for warning in notes.iter().filter_map(|note| warning(note)) {
        response.headers_mut().append(header::WARNING, warning);
    }
    response
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
