//! Jaeger's query API, as its pages and Grafana's data source ask it: `/jaeger/api/...`.
//!
//! Source: <https://www.jaegertracing.io/docs/latest/apis/>. A user sees the spans of the
//! namespaces whose Pods they may list; a trace shows the spans that its reader may see, and
//! warns of those that it lacks.

mod calls;
pub mod reading;
mod tags;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::auth::{SharedAuthorizer, UserInfo};

use super::{Gap, Span, Spans};
use crate::scope::Scope;
use calls::Calls;
use reading::{Asking, Bounds, Reader, Reading, Unread};
use tags::Tags;

pub const PATH: &str = "/jaeger/api";
/// Names that are looked for in so many hours.
const NAMES: i64 = 24 * HOUR;
const HOUR: i64 = 3_600_000_000;
/// Names of one answer.
const MOST_NAMES: usize = 10_000;
const LIMIT: usize = 20;
const MOST_TRACES: usize = 1500;

#[derive(Clone)]
struct Jaeger {
    reader: Reader,
    authorizer: SharedAuthorizer,
}

pub fn routes(spans: Arc<Spans>, authorizer: SharedAuthorizer) -> Router {
    routes_within(Bounds::default(), spans, authorizer)
}

/// The same, within other bounds.
pub fn routes_within(bounds: Bounds, spans: Arc<Spans>, authorizer: SharedAuthorizer) -> Router {
    Router::new()
        .route("/jaeger/api/services", get(services))
        .route("/jaeger/api/services/{service}/operations", get(operations_of))
        .route("/jaeger/api/operations", get(operations))
        .route("/jaeger/api/traces", get(traces))
        .route("/jaeger/api/traces/{id}", get(trace))
        .route("/jaeger/api/dependencies", get(dependencies))
        .with_state(Jaeger { reader: Reader::new(spans, bounds), authorizer })
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

impl From<Unread> for Wrong {
    fn from(why: Unread) -> Self {
        let status = match why {
            Unread::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Unread::Late(_) => StatusCode::GATEWAY_TIMEOUT,
            Unread::Gone | Unread::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, why.to_string())
    }
}

type Answer = Result<Response, Wrong>;

fn answered(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn wrong(why: String) -> Wrong {
    Wrong(StatusCode::BAD_REQUEST, why)
}

impl Jaeger {
    fn asking(&self, user: User) -> Result<Asking, Wrong> {
        let Some(Extension(user)) = user else {
            return Err(Wrong(StatusCode::UNAUTHORIZED, "sign in first".to_owned()));
        };
        Ok(Asking { user: user.name.clone(), scope: Scope::of(user, self.authorizer.clone()) })
    }
}

fn lately() -> Range<i64> {
    jiff::Timestamp::now().as_microsecond() - NAMES..i64::MAX
}

async fn services(State(jaeger): State<Jaeger>, user: User) -> Answer {
    let asking = jaeger.asking(user)?;
    let find = |reading: &Reading| {
        let mut found: BTreeSet<String> = BTreeSet::new();
        reading.visit(&lately(), |span| {
            if !found.contains(&span.service) {
                found.insert(span.service.clone());
            }
            found.len() < MOST_NAMES
        })?;
        Ok::<_, Unread>(words::told(found.into_iter().map(Value::from).collect()))
    };
    Ok(answered(jaeger.reader.read(asking, find).await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Operations {
    service: String,
    span_kind: String,
}

/// The names of a service's spans, with their kinds.
fn names(reading: &Reading, asked: &Operations) -> Result<BTreeSet<(String, String)>, Unread> {
    let mut found = BTreeSet::new();
    reading.visit(&lately(), |span| {
        if span.service == asked.service && (asked.span_kind.is_empty() || asked.span_kind == span.kind) {
            found.insert((span.name.clone(), span.kind.clone()));
        }
        found.len() < MOST_NAMES
    })?;
    Ok(found)
}

async fn operations_of(State(jaeger): State<Jaeger>, Path(service): Path<String>, user: User) -> Answer {
    let asking = jaeger.asking(user)?;
    let asked = Operations { service, ..Operations::default() };
    let find = move |reading: &Reading| {
        let found: BTreeSet<_> = names(reading, &asked)?.into_iter().map(|(name, _)| name).collect();
        Ok::<_, Unread>(words::told(found.into_iter().map(Value::from).collect()))
    };
    Ok(answered(jaeger.reader.read(asking, find).await?))
}

async fn operations(State(jaeger): State<Jaeger>, Query(asked): Query<Operations>, user: User) -> Answer {
    let asking = jaeger.asking(user)?;
    let find = move |reading: &Reading| {
        let found = names(reading, &asked)?.into_iter();
        let found = found.map(|(name, kind)| json!({"name": name, "spanKind": kind}));
        Ok::<_, Unread>(words::told(found.collect()))
    };
    Ok(answered(jaeger.reader.read(asking, find).await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    service: String,
    operation: Option<String>,
    /// Microseconds.
    start: Option<i64>,
    end: Option<i64>,
    limit: Option<usize>,
    min_duration: Option<String>,
    max_duration: Option<String>,
}

/// Which traces are looked for.
struct Search {
    service: String,
    operation: Option<String>,
    tags: Tags,
    range: Range<i64>,
    limit: usize,
    least: Option<i64>,
    most: Option<i64>,
}

impl Search {
    /// The query itself says which tags: they may be there several times.
    fn of(asked: Asked, query: &str) -> Result<Self, Wrong> {
        if asked.service.is_empty() {
            return Err(wrong("parameter 'service' is required".to_owned()));
        }
        let bound = |text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => micros(text).map(Some).map_err(wrong),
            None => Ok(None),
        };
        let (least, most) = (bound(&asked.min_duration)?, bound(&asked.max_duration)?);
        let end = asked.end.map_or(i64::MAX, |end| end.saturating_add(1));
        Ok(Self {
            service: asked.service,
            operation: asked.operation.filter(|name| !name.is_empty()),
            tags: Tags::of(query).map_err(wrong)?,
            range: asked.start.unwrap_or(lately().start)..end,
            limit: asked.limit.unwrap_or(LIMIT).clamp(1, MOST_TRACES),
            least,
            most,
        })
    }

    fn matches(&self, span: &Span) -> bool {
        span.service == self.service
            && self.operation.as_ref().is_none_or(|name| *name == span.name)
            && self.least.is_none_or(|least| span.duration_us >= least)
            && self.most.is_none_or(|most| span.duration_us <= most)
            && self.tags.are_shown_by(span)
    }

    /// The newest traces that have a span that matches.
    fn found(&self, reading: &Reading) -> Result<BTreeSet<String>, Unread> {
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        reading.visit(&self.range, |span| {
            if self.matches(span) {
                let newest = found.entry(span.trace_id.clone()).or_insert(span.time);
                *newest = (*newest).max(span.time);
            }
            // The oldest of too many go.
            if found.len() > 4 * self.limit {
                keep_newest(&mut found, self.limit);
            }
            true
        })?;
        keep_newest(&mut found, self.limit);
        Ok(found.into_keys().collect())
    }
}

async fn traces(
    State(jaeger): State<Jaeger>,
    RawQuery(query): RawQuery,
    Query(asked): Query<Asked>,
    user: User,
) -> Answer {
    let asking = jaeger.asking(user)?;
    let query = query.unwrap_or_default();
    let ids = ids(&query)?;
    if !ids.is_empty() {
        let find = move |reading: &Reading| {
            let (traces, _) = spans_of(reading, &ids)?;
            let first = traces.iter().filter_map(|(spans, _)| spans.first());
            let found: BTreeSet<&String> = first.map(|span| &span.trace_id).collect();
            let absent = ids.iter().filter(|id| !found.contains(id));
            let errors: Vec<_> = absent.map(|id| json!({"msg": "trace not found", "traceID": id})).collect();
            Ok::<_, Unread>(words::traces(&traces, &errors))
        };
        return Ok(answered(jaeger.reader.read(asking, find).await?));
    }
    let search = Search::of(asked, &query)?;
    // First which traces, the newest; then all of their spans.
    let find = move |reading: &Reading| {
        let found = search.found(reading)?;
        Ok::<_, Unread>(words::traces(&spans_of(reading, &found)?.0, &[]))
    };
    Ok(answered(jaeger.reader.read(asking, find).await?))
}

/// The traces that are asked for by `traceID`, which may be there several times.
fn ids(query: &str) -> Result<BTreeSet<String>, Wrong> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let ids: BTreeSet<_> =
        pairs.filter(|(name, _)| name == "traceID").map(|(_, id)| whole_id(id.trim())).collect();
    if ids.len() > MOST_TRACES {
        return Err(wrong(format!("{} traces are asked for; {MOST_TRACES} are shown at most", ids.len())));
    }
    Ok(ids)
}

/// As spans have it: an id of 64 bits is one of 128.
fn whole_id(id: &str) -> String {
    format!("{:0>32}", id.to_ascii_lowercase())
}

/// Milliseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Lookback {
    end_ts: Option<i64>,
    lookback: Option<i64>,
    /// One of both that a call is between.
    service: String,
}

impl Lookback {
    fn range(&self) -> Range<i64> {
        let now = || jiff::Timestamp::now().as_microsecond();
        let end = self.end_ts.map_or_else(now, |millis| millis.saturating_mul(1000));
        let back = self.lookback.map_or(NAMES, |millis| millis.max(0).saturating_mul(1000));
        end.saturating_sub(back)..end.saturating_add(1)
    }
}

/// Which services call which.
async fn dependencies(State(jaeger): State<Jaeger>, Query(asked): Query<Lookback>, user: User) -> Answer {
    let asking = jaeger.asking(user)?;
    let find = move |reading: &Reading| {
        let (mut calls, most) = (Calls::default(), reading.bounds.calls);
        let mut is_cut = false;
        reading.visit(&asked.range(), |span| {
            is_cut = calls.spans() >= most;
            if !is_cut {
                calls.add(span);
            }
            !is_cut
        })?;
        let links = calls.links().into_iter();
        let is_meant = |one: &str, other: &str| [one, other, ""].contains(&asked.service.as_str());
        let links = links.filter(|((parent, child), _)| is_meant(parent, child));
        let links = links
            .map(|((parent, child), count)| json!({"parent": parent, "child": child, "callCount": count}));
        let cut = format!("counted are the newest {most} spans only: ask for less time");
        let errors: Vec<_> = is_cut.then(|| json!({"msg": cut})).into_iter().collect();
        Ok::<_, Unread>(words::told_but(links.collect(), &errors))
    };
    Ok(answered(jaeger.reader.read(asking, find).await?))
}

fn keep_newest(found: &mut BTreeMap<String, i64>, limit: usize) {
    let mut times: Vec<i64> = found.values().copied().collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    if let Some(least) = times.get(limit.saturating_sub(1)).copied() {
        found.retain(|_, time| *time >= least);
    }
}

async fn trace(State(jaeger): State<Jaeger>, Path(id): Path<String>, user: User) -> Answer {
    let asking = jaeger.asking(user)?;
    let ids = BTreeSet::from([whole_id(&id)]);
    let find = move |reading: &Reading| {
        let (traces, gaps) = spans_of(reading, &ids)?;
        Ok::<_, Unread>(match traces.is_empty() {
            true => Err(gaps),
            false => Ok(words::traces(&traces, &[])),
        })
    };
    jaeger.reader.read(asking, find).await?.map(answered).map_err(|gaps| {
        let mut why = "trace not found".to_owned();
        gaps.iter().for_each(|gap| why.push_str(&format!("; {gap}")));
        Wrong(StatusCode::NOT_FOUND, why)
    })
}

/// A trace's spans, and what is to be said of them.
type Trace = (Vec<Span>, Vec<String>);

/// The traces with these ids, the newest first, and the times of which spans are missing.
fn spans_of(reading: &Reading, ids: &BTreeSet<String>) -> Result<(Vec<Trace>, Vec<Gap>), Unread> {
    if ids.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let most = &reading.bounds;
    let (mut count, mut bytes, mut is_cut) = (0, 0, false);
    let mut found: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    let gaps = reading.visit_traces(ids, |span| {
        count += 1;
        bytes += span.size();
        is_cut = count > most.spans || bytes > most.bytes;
        if !is_cut {
            found.entry(span.trace_id.clone()).or_default().push(span.clone());
        }
        !is_cut
    })?;
    let cut = format!(
        "an answer has {} spans or {} MiB of them at most: older spans of these traces are missing",
        most.spans,
        most.bytes >> 20
    );
    let mut traces: Vec<Trace> = Vec::new();
    for mut spans in found.into_values() {
        spans.sort_by_key(|span| span.time);
        let mut warnings: Vec<String> = is_cut.then(|| cut.clone()).into_iter().collect();
        let times = around(&spans);
        warnings.extend(gaps.iter().filter(|gap| gap.meets(&times)).map(ToString::to_string));
        traces.push((spans, warnings));
    }
    traces.sort_by_key(|(spans, _)| std::cmp::Reverse(spans.first().map(|span| span.time)));
    Ok((traces, gaps))
}

/// When other spans of a trace may have been: an hour before its first to an hour after its last.
fn around(spans: &[Span]) -> Range<i64> {
    let (first, last) = (spans.first().map_or(0, |span| span.time), spans.last().map_or(0, |span| span.time));
    first.saturating_sub(HOUR)..last.saturating_add(HOUR)
}

/// A duration as Jaeger's pages write it: `1.2s`, `100ms`, `500us`.
fn micros(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no duration, such as 100ms");
    let units = [("us", 1.0), ("µs", 1.0), ("ns", 0.001), ("ms", 1e3), ("s", 1e6), ("m", 6e7), ("h", 3.6e9)];
    let (unit, factor) = units.into_iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(wrong)?;
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| wrong())?;
    Ok((number * factor) as i64)
}
