//! What every answer is wrapped in: success with data and notes, or an error by its kind.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::task::JoinError;

use super::{
    super::{Notes, QueryError},
    json::Writing,
};

/// Why there is no answer, with Prometheus' word for the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub kind: &'static str,
    pub sentence: String,
}

impl Refusal {
    pub fn bad(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", sentence: sentence.into() }
    }

    /// A parameter is wrong.
    pub fn parameter(name: &str, sentence: impl std::fmt::Display) -> Self {
        Self::bad(format!("invalid parameter {name:?}: {sentence}"))
    }

    pub fn unknown_user() -> Self {
        let sentence = "sign in first".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, kind: "unauthorized", sentence }
    }

    pub fn response(self) -> Response {
        let mut body = String::from(r#"{"status":"error","errorType":"#);
        body.push_str(&quoted(self.kind));
        body.push_str(r#","error":"#);
        body.push_str(&quoted(&self.sentence));
        body.push('}');
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        let sentence = error.to_string();
        let (status, kind) = match error {
            QueryError::Invalid(_) => (StatusCode::BAD_REQUEST, "bad_data"),
            QueryError::Execution(_) => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            QueryError::TooSlow(_) => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            QueryError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            QueryError::Unreadable(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self { status, kind, sentence }
    }
}

impl From<crate::series::SelectError> for Refusal {
    fn from(error: crate::series::SelectError) -> Self {
        QueryError::from(error).into()
    }
}

/// Data, as JSON, with what its reader should know.
pub struct Reply {
    pub data: Data,
    pub notes: Notes,
}

pub enum Data {
    Text(String),
    /// So much that it is written while it is sent, on several threads.
    Large(Writing),
}

/// What takes more bytes is sent in parts of about so many.
const PART: usize = 1 << 20;
/// Parts that are written at once, and wait to be sent.
const AT_ONCE: usize = 4;

impl Data {
    pub fn of(writing: Writing) -> Self {
        if writing.size() > PART { Self::Large(writing) } else { Self::Text(writing.whole()) }
    }
}

impl Reply {
    pub fn of(data: impl Into<String>) -> Self {
        Self { data: Data::Text(data.into()), notes: Notes::default() }
    }

    pub fn response(self) -> Response {
        let begin = r#"{"status":"success","data":"#;
        let mut end = String::new();
        for (name, sentences) in [("warnings", &self.notes.warnings), ("infos", &self.notes.infos)] {
            if !sentences.is_empty() {
                let list: Vec<_> = sentences.iter().map(|sentence| quoted(sentence)).collect();
                end.push_str(&format!(",\"{name}\":[{}]", list.join(",")));
            }
        }
        end.push('}');
        let body = match self.data {
            Data::Text(data) => Body::from([begin, &data, &end].concat()),
            Data::Large(writing) => Body::from_stream(parts(begin, writing, &end)),
        };
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// An answer in parts, in order. Who waits for it no more ends it.
fn parts(begin: &str, writing: Writing, end: &str) -> impl Stream<Item = Result<Bytes, JoinError>> + use<> {
    let (first, last) = writing.ends();
    let (first, last) = (format!("{begin}{first}"), format!("{last}{end}"));
    let count = writing.size() / PART + 1;
    let writing = Arc::new(writing);
    let written = stream::iter(writing.parts(count)).map(move |which| {
        let writing = writing.clone();
        tokio::task::spawn_blocking(move || Bytes::from(writing.part(which)))
    });
    let text = |text: String| stream::once(async move { Ok(Bytes::from(text)) });
    text(first).chain(written.buffered(AT_ONCE)).chain(text(last))
}

/// What a handler gives, as a response.
pub fn answer(result: Result<Reply, Refusal>) -> Response {
    result.map_or_else(Refusal::response, Reply::response)
}

/// A text in JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A list of texts in JSON.
pub fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<_> = texts.into_iter().map(quoted).collect();
    format!("[{}]", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_status() {
        let of = |error: QueryError| {
            let refusal = Refusal::from(error);
            (refusal.status.as_u16(), refusal.kind)
        };
        assert_eq!(of(QueryError::Invalid(String::new())), (400, "bad_data"));
        assert_eq!(of(QueryError::same_labels()), (422, "execution"));
        assert_eq!(of(QueryError::TooSlow(1)), (503, "timeout"));
        assert_eq!(of(QueryError::Busy(String::new())), (503, "unavailable"));
        assert_eq!(of(QueryError::Unreadable(String::new())), (500, "internal"));
    }
}
