//! The shapes of answers, and errors as lines of text with a status.

use std::collections::BTreeMap;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::labels::Labels;
use crate::{root::RootError, wire::NodeError};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LokiError {
    pub status: StatusCode,
    pub message: String,
}

impl LokiError {
    pub fn wrong(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }
}

impl From<String> for LokiError {
    fn from(message: String) -> Self {
        Self::wrong(message)
    }
}

impl From<super::logql::ParseError> for LokiError {
    fn from(error: super::logql::ParseError) -> Self {
        Self::wrong(error.to_string())
    }
}

impl From<RootError> for LokiError {
    fn from(error: RootError) -> Self {
        let status = match error {
            RootError::Invalid(_) => StatusCode::BAD_REQUEST,
            RootError::Forbidden(_) => StatusCode::FORBIDDEN,
            RootError::NotFound(_) => StatusCode::NOT_FOUND,
        };
        Self { status, message: error.to_string() }
    }
}

impl IntoResponse for LokiError {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], self.message).into_response()
    }
}

/// What a query gave, and what is missing from it.
pub struct Answer {
    pub result: Outcome,
    pub warnings: Vec<String>,
}

pub enum Outcome {
    /// Lines of each label set, in the order of the query.
    Streams(Vec<(Labels, Vec<(i64, String)>)>),
    /// Label set, and seconds with numbers.
    Matrix(Vec<(Labels, Vec<(f64, f64)>)>),
    Vector(Vec<(Labels, (f64, f64))>),
    Scalar((f64, f64)),
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let point = |(seconds, number): (f64, f64)| json!([seconds, shown(number)]);
        let (kind, result) = match self.result {
            Outcome::Streams(streams) => {
                ("streams", streams.into_iter().map(|(labels, lines)| stream(&labels, lines)).collect())
            }
            Outcome::Matrix(series) => {
                let one = |(labels, points): (Labels, Vec<(f64, f64)>)| json!({ "metric": labels, "values": points.into_iter().map(point).collect::<Vec<_>>() });
                ("matrix", series.into_iter().map(one).collect())
            }
            Outcome::Vector(series) => {
                let one =
                    |(labels, at): (Labels, (f64, f64))| json!({ "metric": labels, "value": point(at) });
                ("vector", series.into_iter().map(one).collect())
            }
            Outcome::Scalar(at) => ("scalar", point(at)),
        };
        let data: Value = json!({ "resultType": kind, "result": result, "stats": {} });
        success(data, &self.warnings)
    }
}

/// Lines of one label set.
pub fn stream(labels: &Labels, lines: Vec<(i64, String)>) -> Value {
    let values: Vec<Value> = lines.into_iter().map(|(time, text)| json!([time.to_string(), text])).collect();
    json!({ "stream": labels, "values": values })
}

/// `{"status": "success", "data": ...}`
pub fn success(data: Value, warnings: &[String]) -> Response {
    let mut answer = json!({ "status": "success", "data": data });
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    Json(answer).into_response()
}

/// A number as a text.
pub fn shown(number: f64) -> String {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        number.to_string()
    }
}

/// Nodes that are missing, as sentences, each once.
pub fn missing(partial: &[NodeError]) -> Vec<String> {
    let by_text: BTreeMap<String, ()> =
        partial.iter().map(|error| (format!("node {}: {}", error.node, error.error), ())).collect();
    by_text.into_keys().collect()
}
