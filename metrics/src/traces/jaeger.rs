//! Jaeger's query API, as its pages and Grafana's data source ask it: `/jaeger/api/...`.
//!
//! Source: <https://www.jaegertracing.io/docs/latest/apis/>. A user sees the spans of the
//! namespaces whose Pods they may list; a trace shows the spans that its reader may see.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::auth::{SharedAuthorizer, UserInfo};

use super::{Span, Spans};
use crate::scope::Scope;

pub const PATH: &str = "/jaeger/api";
/// Names that are looked for in so many hours.
const NAMES: i64 = 24 * 3_600_000_000;
const LIMIT: usize = 20;
const MOST_TRACES: usize = 1500;
/// Spans of one answer.
const MOST_SPANS: usize = 100_000;

#[derive(Clone)]
struct Jaeger {
    spans: Arc<Spans>,
    authorizer: SharedAuthorizer,
}

pub fn routes(spans: Arc<Spans>, authorizer: SharedAuthorizer) -> Router {
    Router::new()
        .route("/jaeger/api/services", get(services))
        .route("/jaeger/api/services/{service}/operations", get(operations_of))
        .route("/jaeger/api/operations", get(operations))
        .route("/jaeger/api/traces", get(traces))
        .route("/jaeger/api/traces/{id}", get(trace))
        .with_state(Jaeger { spans, authorizer })
}

type User = Option<Extension<UserInfo>>;

/// What is asked in an answer's words.
struct Wrong(StatusCode, String);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let error = json!({"code": self.0.as_u16(), "msg": self.1});
        (self.0, Json(json!({"data": null, "errors": [error]}))).into_response()
    }
}

fn told(data: Vec<Value>) -> Json<Value> {
    Json(json!({"total": data.len(), "limit": 0, "offset": 0, "errors": null, "data": data}))
}

impl Jaeger {
    fn scope(&self, user: User) -> Result<Scope, Wrong> {
        let Some(Extension(user)) = user else {
            return Err(Wrong(StatusCode::UNAUTHORIZED, "sign in first".to_owned()));
        };
        Ok(Scope::of(user, self.authorizer.clone()))
    }

    /// Visits the spans that a user sees, on a thread that may block.
    async fn collect<T: Send + 'static>(
        &self,
        scope: Scope,
        range: Range<i64>,
        mut found: T,
        mut see: impl FnMut(&mut T, &Span) -> bool + Send + 'static,
    ) -> Result<T, Wrong> {
        let spans = self.spans.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut seen: HashMap<String, bool> = HashMap::new();
            spans.visit(&range, |span| {
                let known = seen.get(&span.namespace).copied();
                let sees = known.unwrap_or_else(|| {
                    let sees = scope.sees_namespace(&span.namespace);
                    seen.insert(span.namespace.clone(), sees);
                    sees
                });
                !sees || see(&mut found, span)
            })?;
            Ok::<T, std::io::Error>(found)
        });
        let wrong = |error: String| Wrong(StatusCode::INTERNAL_SERVER_ERROR, error);
        work.await.map_err(|error| wrong(error.to_string()))?.map_err(|error| wrong(error.to_string()))
    }
}

fn lately() -> Range<i64> {
    jiff::Timestamp::now().as_microsecond() - NAMES..i64::MAX
}

async fn services(State(jaeger): State<Jaeger>, user: User) -> Result<Json<Value>, Wrong> {
    let scope = jaeger.scope(user)?;
    let see = |found: &mut BTreeSet<String>, span: &Span| {
        if !found.contains(&span.service) {
            found.insert(span.service.clone());
        }
        true
    };
    let found = jaeger.collect(scope, lately(), BTreeSet::new(), see).await?;
    Ok(told(found.into_iter().map(Value::from).collect()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Operations {
    service: String,
    span_kind: String,
}

async fn names(jaeger: Jaeger, user: User, asked: Operations) -> Result<BTreeSet<(String, String)>, Wrong> {
    let scope = jaeger.scope(user)?;
    let see = move |found: &mut BTreeSet<(String, String)>, span: &Span| {
        if span.service == asked.service && (asked.span_kind.is_empty() || asked.span_kind == span.kind) {
            found.insert((span.name.clone(), span.kind.clone()));
        }
        true
    };
    jaeger.collect(scope, lately(), BTreeSet::new(), see).await
}

async fn operations_of(
    State(jaeger): State<Jaeger>,
    Path(service): Path<String>,
    user: User,
) -> Result<Json<Value>, Wrong> {
    let asked = Operations { service, ..Operations::default() };
    let found: BTreeSet<_> = names(jaeger, user, asked).await?.into_iter().map(|(name, _)| name).collect();
    Ok(told(found.into_iter().map(Value::from).collect()))
}

async fn operations(
    State(jaeger): State<Jaeger>,
    Query(asked): Query<Operations>,
    user: User,
) -> Result<Json<Value>, Wrong> {
    let found = names(jaeger, user, asked).await?;
    Ok(told(found.into_iter().map(|(name, kind)| json!({"name": name, "spanKind": kind})).collect()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    service: String,
    operation: Option<String>,
    /// A JSON object of attributes.
    tags: Option<String>,
    /// Microseconds.
    start: Option<i64>,
    end: Option<i64>,
    limit: Option<usize>,
    min_duration: Option<String>,
    max_duration: Option<String>,
}

async fn traces(
    State(jaeger): State<Jaeger>,
    Query(asked): Query<Asked>,
    user: User,
) -> Result<Json<Value>, Wrong> {
    let scope = jaeger.scope(user)?;
    let wrong = |why: String| Wrong(StatusCode::BAD_REQUEST, why);
    if asked.service.is_empty() {
        return Err(wrong("parameter 'service' is required".to_owned()));
    }
    let tags: BTreeMap<String, Value> = match asked.tags.as_deref().filter(|tags| !tags.is_empty()) {
        Some(tags) => {
            serde_json::from_str(tags).map_err(|error| wrong(format!("tags are no JSON object: {error}")))?
        }
        None => BTreeMap::new(),
    };
    let bound = |text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => micros(text).map(Some).map_err(wrong),
        None => Ok(None),
    };
    let (least, most) = (bound(&asked.min_duration)?, bound(&asked.max_duration)?);
    let range =
        asked.start.unwrap_or(lately().start)..asked.end.map_or(i64::MAX, |end| end.saturating_add(1));
    let limit = asked.limit.unwrap_or(LIMIT).clamp(1, MOST_TRACES);
    // First which traces, the newest; then all of their spans.
    let matches = move |span: &Span| {
        span.service == asked.service
            && asked.operation.as_ref().is_none_or(|name| name.is_empty() || *name == span.name)
            && least.is_none_or(|least| span.duration_us >= least)
            && most.is_none_or(|most| span.duration_us <= most)
            && has_tags(span, &tags)
    };
    let see = move |found: &mut BTreeMap<String, i64>, span: &Span| {
        if matches(span) {
            let newest = found.entry(span.trace_id.clone()).or_insert(span.time);
            *newest = (*newest).max(span.time);
        }
        // The oldest of too many go.
        if found.len() > 4 * limit {
            keep_newest(found, limit);
        }
        true
    };
    let mut chosen = jaeger.collect(scope.clone(), range, BTreeMap::new(), see).await?;
    keep_newest(&mut chosen, limit);
    let ids: BTreeSet<String> = chosen.into_keys().collect();
    spans_of(&jaeger, scope, ids)
        .await
        .map(|traces| told(traces.iter().map(|spans| as_trace(spans)).collect()))
}

fn keep_newest(found: &mut BTreeMap<String, i64>, limit: usize) {
    let mut times: Vec<i64> = found.values().copied().collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    if let Some(least) = times.get(limit.saturating_sub(1)).copied() {
        found.retain(|_, time| *time >= least);
    }
}

async fn trace(
    State(jaeger): State<Jaeger>,
    Path(id): Path<String>,
    user: User,
) -> Result<Json<Value>, Wrong> {
    let scope = jaeger.scope(user)?;
    let id = format!("{:0>32}", id.to_ascii_lowercase());
    let traces = spans_of(&jaeger, scope, BTreeSet::from([id])).await?;
    match traces.is_empty() {
        true => Err(Wrong(StatusCode::NOT_FOUND, "trace not found".to_owned())),
        false => Ok(told(traces.iter().map(|spans| as_trace(spans)).collect())),
    }
}

/// The traces with these ids, the newest first.
async fn spans_of(jaeger: &Jaeger, scope: Scope, ids: BTreeSet<String>) -> Result<Vec<Vec<Span>>, Wrong> {
    type Found = (BTreeMap<String, Vec<Span>>, usize);
    let see = move |(traces, count): &mut Found, span: &Span| {
        if ids.contains(&span.trace_id) {
            traces.entry(span.trace_id.clone()).or_default().push(span.clone());
            *count += 1;
        }
        *count < MOST_SPANS
    };
    let (traces, _) = jaeger.collect(scope, i64::MIN..i64::MAX, Found::default(), see).await?;
    let mut traces: Vec<Vec<Span>> = traces.into_values().collect();
    traces.iter_mut().for_each(|spans| spans.sort_by_key(|span| span.time));
    traces.sort_by_key(|spans| std::cmp::Reverse(spans.first().map(|span| span.time)));
    Ok(traces)
}

fn object(text: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn has_tags(span: &Span, tags: &BTreeMap<String, Value>) -> bool {
    if tags.is_empty() {
        return true;
    }
    let (own, resource) = (object(&span.attributes), object(&span.resource));
    let spelt = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    tags.iter().all(|(key, wanted)| match key.as_str() {
        "error" => (span.status == "error") == (spelt(wanted) == "true"),
        "span.kind" => span.kind == spelt(wanted),
        _ => own.get(key).or_else(|| resource.get(key)).is_some_and(|found| spelt(found) == spelt(wanted)),
    })
}

/// A duration as Jaeger's pages write it: `1.2s`, `100ms`, `500us`.
fn micros(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no duration, such as 100ms");
    let units = [("us", 1.0), ("µs", 1.0), ("ns", 0.001), ("ms", 1e3), ("s", 1e6), ("m", 6e7), ("h", 3.6e9)];
    let (unit, factor) = units.into_iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(wrong)?;
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| wrong())?;
    Ok((number * factor) as i64)
}

fn tag(key: &str, value: &Value) -> Value {
    let (kind, value) = match value {
        Value::Bool(_) => ("bool", value.clone()),
        Value::Number(number) if number.is_f64() => ("float64", value.clone()),
        Value::Number(_) => ("int64", value.clone()),
        Value::String(_) => ("string", value.clone()),
        other => ("string", Value::String(other.to_string())),
    };
    json!({"key": key, "type": kind, "value": value})
}

fn tags(text: &str) -> Vec<Value> {
    object(text).iter().map(|(key, value)| tag(key, value)).collect()
}

/// A trace in Jaeger's words.
fn as_trace(spans: &[Span]) -> Value {
    let mut processes: BTreeMap<String, Value> = BTreeMap::new();
    let mut numbers: HashMap<(&str, &str), String> = HashMap::new();
    let mut told = Vec::new();
    for span in spans {
        let next = format!("p{}", numbers.len() + 1);
        let process = numbers.entry((&span.service, &span.resource)).or_insert(next).clone();
        processes
            .entry(process.clone())
            .or_insert_with(|| json!({"serviceName": span.service, "tags": tags(&span.resource)}));
        told.push(as_span(span, &process));
    }
    let id = spans.first().map_or("", |span| &span.trace_id);
    json!({"traceID": id, "spans": told, "processes": processes, "warnings": null})
}

fn as_span(span: &Span, process: &str) -> Value {
    let mut all = tags(&span.attributes);
    if span.kind != "unspecified" {
        all.push(tag("span.kind", &json!(span.kind)));
    }
    match span.status.as_str() {
        "error" => all.extend([tag("error", &json!(true)), tag("otel.status_code", &json!("ERROR"))]),
        "ok" => all.push(tag("otel.status_code", &json!("OK"))),
        _ => {}
    }
    if !span.status_message.is_empty() {
        all.push(tag("otel.status_description", &json!(span.status_message)));
    }
    if !span.scope.is_empty() {
        all.push(tag("otel.scope.name", &json!(span.scope)));
    }
    let events: Vec<Value> = serde_json::from_str(&span.events).unwrap_or_default();
    let log = |event: &Value| {
        let fields =
            event["attributes"].as_object().into_iter().flatten().map(|(key, value)| tag(key, value));
        let fields: Vec<_> = std::iter::once(tag("event", &event["name"])).chain(fields).collect();
        json!({"timestamp": event["time_us"], "fields": fields})
    };
    let references = match span.parent_span_id.is_empty() {
        true => json!([]),
        false => json!([{"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_span_id}]),
    };
    json!({
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": references,
        "startTime": span.time,
        "duration": span.duration_us,
        "tags": all,
        "logs": events.iter().map(log).collect::<Vec<_>>(),
        "processID": process,
        "warnings": null,
    })
}
