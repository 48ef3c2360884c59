//! The paths below `/tiphys/loki`. Errors are lines of text, as Loki's are.

use axum::{
    Extension, Router,
    extract::{FromRequestParts, Path, RawQuery, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use bytes::Bytes;
use http::{StatusCode, request::Parts};
use serde_json::json;
use tiphys_api::{auth::UserInfo, serve::Handler};

use super::{
    answer::{Answer, LokiError, Outcome, success},
    lines::Ask,
    logql::{self, Query},
    metric, names,
    params::{Params, Range},
    range::Grid,
    tail,
    vector::Value,
};
use crate::{root::LogRoot, time};

/// The path that a data source's URL ends in.
pub const PREFIX: &str = "/tiphys/loki";

/// The time that labels are looked for in, when a request doesn't say.
const LABELS_BACK: i64 = 6 * 3600 * time::SECOND;
/// The time that lines are looked for in.
const LINES_BACK: i64 = 3600 * time::SECOND;

/// Loki's paths below [`PREFIX`]; the user comes in the request's extensions.
pub fn router(root: LogRoot) -> Router {
    let api = Router::new()
        .route("/query", any(query))
        .route("/query_range", any(query_range))
        .route("/labels", any(labels))
        .route("/label", any(labels))
        .route("/label/{name}/values", any(values))
        .route("/series", any(series))
        .route("/index/stats", any(index_stats))
        .route("/index/volume", any(volume))
        .route("/index/volume_range", any(volume_range))
        .route("/patterns", any(patterns))
        .route("/detected_fields", any(detected_fields))
        .route("/detected_field/{name}/values", any(detected_values))
        .route("/detected_labels", any(detected_labels))
        .route("/tail", get(tail::tail))
        .route("/format_query", any(format_query))
        .route("/status/buildinfo", get(build_info))
        .with_state(root);
    Router::new()
        .nest(&format!("{PREFIX}/loki/api/v1"), api)
        .route(&format!("{PREFIX}/ready"), get(|| async { "ready\n" }))
        .fallback(no_path)
        .layer(axum::middleware::map_response(crate::inert::inert))
}

/// [`router`] in the shape that the API server mounts.
pub fn handler(root: LogRoot) -> Handler {
    crate::root::mounted(router(root))
}

async fn no_path() -> LokiError {
    LokiError { status: StatusCode::NOT_FOUND, message: "this path of Loki's API is not served".into() }
}

/// The user that the server knows.
pub struct Known(pub UserInfo);

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = LokiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, LokiError> {
        let user = Extension::<UserInfo>::from_request_parts(parts, state).await;
        user.map(|Extension(user)| Self(user))
            .map_err(|_| LokiError { status: StatusCode::UNAUTHORIZED, message: "sign in first".into() })
    }
}

/// What the query string and a form say.
fn params(RawQuery(query): RawQuery, body: &Bytes) -> Params {
    let form = Params::parse(&String::from_utf8_lossy(body));
    Params::parse(&query.unwrap_or_default()).with(form)
}

async fn query(
    State(root): State<LogRoot>,
    Known(user): Known,
    raw: RawQuery,
    body: Bytes,
) -> Result<Response, LokiError> {
    let params = params(raw, &body);
    let ask = Ask { root: &root, user: &user };
    let at = params.time("time")?.unwrap_or_else(time::now);
    match logql::parse(params.query()?)? {
        Query::Logs(logs) => {
            let range = at.saturating_sub(LINES_BACK)..at.saturating_add(1);
            let (streams, warnings) =
                ask.streams(&logs, range, params.is_forward()?, params.limit()?).await?;
            Ok(Answer { result: Outcome::Streams(streams), warnings }.into_response())
        }
        Query::Metric(query) => {
            metric::check(&query)?;
            let grid = Grid { start: at, step: 1, count: 1 };
            let mut warnings = Vec::new();
            let seconds = at as f64 / 1e9;
            let result = match metric::evaluate(ask, &query, grid, &mut warnings).await? {
                Value::Scalar(number) => Outcome::Scalar((seconds, number)),
                Value::Vector(series) => {
                    let one = |series: super::range::Series| {
                        Some((series.labels, (seconds, series.values.first().copied().flatten()?)))
                    };
                    Outcome::Vector(series.into_iter().filter_map(one).collect())
                }
            };
            Ok(Answer { result, warnings }.into_response())
        }
    }
}

async fn query_range(
    State(root): State<LogRoot>,
    Known(user): Known,
    raw: RawQuery,
    body: Bytes,
) -> Result<Response, LokiError> {
    let params = params(raw, &body);
    let ask = Ask { root: &root, user: &user };
    let range = params.range(time::now(), LINES_BACK)?;
    match logql::parse(params.query()?)? {
        Query::Logs(logs) => {
            let (streams, warnings) =
                ask.streams(&logs, range.start..range.end, params.is_forward()?, params.limit()?).await?;
            Ok(Answer { result: Outcome::Streams(streams), warnings }.into_response())
        }
        Query::Metric(query) => {
            let (result, warnings) = matrix(ask, &query, range).await?;
            Ok(Answer { result, warnings }.into_response())
        }
    }
}

/// The metric at each step of a range.
pub async fn matrix(
    ask: Ask<'_>,
    query: &logql::ast::Metric,
    range: Range,
) -> Result<(Outcome, Vec<String>), LokiError> {
    metric::check(query)?;
    let count = usize::try_from(range.end.saturating_sub(range.start) / range.step).unwrap_or_default() + 1;
    let grid = Grid { start: range.start, step: range.step, count };
    let mut warnings = Vec::new();
    let series = match metric::evaluate(ask, query, grid, &mut warnings).await? {
        Value::Scalar(number) => super::vector::constant(number, grid),
        Value::Vector(series) => series,
    };
    let one = |series: super::range::Series| {
        let point = |(at, value): (usize, Option<f64>)| Some((grid.time(at) as f64 / 1e9, value?));
        let points: Vec<_> = series.values.into_iter().enumerate().filter_map(point).collect();
        (!points.is_empty()).then_some((series.labels, points))
    };
    let mut series: Vec<_> = series.into_iter().filter_map(one).collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((Outcome::Matrix(series), warnings))
}

macro_rules! asked {
    ($name:ident, $function:path, $back:expr) => {
        async fn $name(
            State(root): State<LogRoot>,
            Known(user): Known,
            raw: RawQuery,
            body: Bytes,
        ) -> Result<Response, LokiError> {
            let params = params(raw, &body);
            let range = params.range(time::now(), $back)?;
            $function(Ask { root: &root, user: &user }, &params, range).await
        }
    };
}

asked!(labels, names::labels, LABELS_BACK);
asked!(series, names::series, LABELS_BACK);
asked!(index_stats, names::index_stats, LINES_BACK);
asked!(volume, names::volume, LINES_BACK);
asked!(volume_range, names::volume_range, LINES_BACK);
asked!(patterns, names::patterns, LINES_BACK);
asked!(detected_fields, names::detected_fields, LINES_BACK);
asked!(detected_labels, names::detected_labels, LABELS_BACK);

async fn values(
    State(root): State<LogRoot>,
    Known(user): Known,
    Path(name): Path<String>,
    raw: RawQuery,
    body: Bytes,
) -> Result<Response, LokiError> {
    let params = params(raw, &body);
    let range = params.range(time::now(), LABELS_BACK)?;
    names::values(Ask { root: &root, user: &user }, &params, range, &name).await
}

async fn detected_values(
    State(root): State<LogRoot>,
    Known(user): Known,
    Path(name): Path<String>,
    raw: RawQuery,
    body: Bytes,
) -> Result<Response, LokiError> {
    let params = params(raw, &body);
    let range = params.range(time::now(), LINES_BACK)?;
    names::detected_values(Ask { root: &root, user: &user }, &params, range, &name).await
}

/// The query in the form that it is understood in.
async fn format_query(Known(_): Known, raw: RawQuery, body: Bytes) -> Result<Response, LokiError> {
    let params = params(raw, &body);
    let query = logql::parse(params.query()?)?;
    Ok(success(json!(query.to_string()), &[]))
}

/// What clients choose their queries by.
async fn build_info() -> Response {
    axum::Json(json!({
        "version": "3.0.0",
        "revision": "tiphys",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
    .into_response()
}
