//! One question to every collector at once, and the answers in one.
//!
//! Bounds: one connection pool, [`super::LogRoot::with_deadline`] a node, and
//! [`MAX_ANSWER`] bytes an answer. A node over any of them is named in `partial`.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;
use tiphys_api::auth::UserInfo;

use super::{
    Collector, LogRoot, RootError, Scope,
    allow::{self, Decision},
    merge,
};
use crate::{
    query, time,
    wire::{
        DEFAULT_LIMIT, FacetsAnswer, FacetsRequest, HistogramAnswer, HistogramRequest, MAX_FIELDS, MAX_LIMIT,
        NodeError, NodeRequest, Order, SearchAnswer, SearchRequest,
    },
};

/// The most that one collector's answer may weigh.
const MAX_ANSWER: usize = 64 << 20;

pub(super) type Http = Client<HttpConnector, Full<Bytes>>;

pub(super) fn client() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(3)));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(60)).build(connector)
}

pub(super) async fn search(
    root: &LogRoot,
    user: &UserInfo,
    request: &SearchRequest,
) -> Result<SearchAnswer, RootError> {
    let started = Instant::now();
    let limit = request.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let mut node_request = node_request(&request.query, &request.since, &request.until)?;
    node_request.limit = Some(limit);
    node_request.cursor = request.cursor.clone();
    node_request.without_body = request.without_body;
    node_request.order = if request.oldest_first { Order::Oldest } else { Order::Newest };
    let order = node_request.order;
    if let Some(cursor) = &request.cursor {
        cursor.parse::<crate::record::Position>().map_err(|error| RootError::Invalid(error.to_string()))?;
    }
    let (answers, scope) =
        scoped(root, user, request.namespace.as_deref(), node_request, "/v1/search").await?;
    let mut answer = merge::search(answers, limit, order);
    answer.restricted = scope.restricted;
    answer.took_ms = millis(started);
    Ok(answer)
}

pub(super) async fn histogram(
    root: &LogRoot,
    user: &UserInfo,
    request: &HistogramRequest,
) -> Result<HistogramAnswer, RootError> {
    let started = Instant::now();
    let mut node_request = node_request(&request.query, &request.since, &request.until)?;
    let until = *node_request.until.get_or_insert_with(|| time::now().saturating_add(1));
    node_request.since.get_or_insert_with(|| until.saturating_sub(3600 * time::SECOND));
    node_request.buckets = Some(request.buckets.unwrap_or(60).clamp(1, 1000));
    let (answers, scope) =
        scoped(root, user, request.namespace.as_deref(), node_request, "/v1/histogram").await?;
    let mut answer = merge::histogram(answers);
    answer.restricted = scope.restricted;
    answer.took_ms = millis(started);
    Ok(answer)
}

pub(super) async fn facets(
    root: &LogRoot,
    user: &UserInfo,
    request: &FacetsRequest,
) -> Result<FacetsAnswer, RootError> {
    let started = Instant::now();
    let limit = request.limit.unwrap_or(20).clamp(1, 1000);
    let mut node_request = node_request(&request.query, &request.since, &request.until)?;
    node_request.patterns = request.patterns;
    if request.fields.len() > MAX_FIELDS {
        return Err(RootError::Invalid(format!("facets are made of at most {MAX_FIELDS} fields at once")));
    }
    node_request.compare_since = compare_since(request, &node_request)?;
    node_request.fields = request.fields.clone();
    node_request.names = request.names;
    let (answers, scope) =
        scoped(root, user, request.namespace.as_deref(), node_request, "/v1/facets").await?;
    let mut answer = merge::facets(answers, limit);
    answer.restricted = scope.restricted;
    answer.took_ms = millis(started);
    Ok(answer)
}

/// Where the time begins that patterns are compared with.
fn compare_since(request: &FacetsRequest, resolved: &NodeRequest) -> Result<Option<i64>, RootError> {
    let Some(text) = request.compare.as_deref().filter(|_| request.patterns) else { return Ok(None) };
    let Some(since) = resolved.since else {
        let message = "`compare` looks at the time before `since`: say where that is";
        return Err(RootError::Invalid(message.to_owned()));
    };
    let span = match text {
        "same" => Some(resolved.until.unwrap_or_else(time::now).saturating_sub(since)),
        text => time::span(text),
    };
    let span = span.ok_or_else(|| {
        RootError::Invalid(format!("`{text}` is no span to compare with: write one such as 1d, or `same`"))
    })?;
    Ok(Some(since.saturating_sub(span)))
}

/// The request as collectors take it; a wrong query or time is refused here, once.
pub(super) fn node_request(
    query: &str,
    since: &Option<String>,
    until: &Option<String>,
) -> Result<NodeRequest, RootError> {
    query::parse(query).map_err(|error| RootError::Invalid(error.to_string()))?;
    let now = time::now();
    let resolve = |text: &Option<String>, field| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(|text| time::resolve(text, now, field)).transpose()
    };
    let bounds = resolve(since, "since").and_then(|since| Ok((since, resolve(until, "until")?)));
    let (since, until) = bounds.map_err(|error| RootError::Invalid(error.to_string()))?;
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        let message = "`since` is not before `until`: nothing lies between them; swap the two";
        return Err(RootError::Invalid(message.to_owned()));
    }
    Ok(NodeRequest { query: query.to_owned(), since, until, ..NodeRequest::default() })
}

/// What each node said.
pub(super) type Answers<T> = Vec<(String, Result<T, String>)>;

pub(super) async fn scoped<T: DeserializeOwned>(
    root: &LogRoot,
    user: &UserInfo,
    namespace: Option<&str>,
    mut request: NodeRequest,
    path: &'static str,
) -> Result<(Answers<T>, Scope), RootError> {
    let collectors = root.collectors.list().await;
    let scope = scope(root, user, namespace, &collectors).await?;
    request.namespaces = scope.namespaces.clone();
    Ok((ask_all(root, &collectors, path, Some(&request)).await, scope))
}

/// Decides what the user may see; asks the collectors for their namespaces only if it must.
pub(super) async fn scope(
    root: &LogRoot,
    user: &UserInfo,
    namespace: Option<&str>,
    collectors: &[Collector],
) -> Result<Scope, RootError> {
    match allow::decide(&*root.authorizer, user, namespace)? {
        Decision::Scope(scope) => Ok(scope),
        Decision::AskForNamespaces => {
            let lists: Answers<Vec<String>> = ask_all(root, collectors, "/v1/namespaces", None).await;
            let candidates = lists.into_iter().filter_map(|(_, list)| list.ok()).flatten().collect();
            Ok(allow::among(&*root.authorizer, user, candidates))
        }
    }
}

pub(super) async fn ask_all<T: DeserializeOwned>(
    root: &LogRoot,
    collectors: &[Collector],
    path: &'static str,
    request: Option<&NodeRequest>,
) -> Answers<T> {
    join_all(collectors.iter().map(async |collector| {
        let asked = ask(&root.http, collector, path, request);
        let answer = match tokio::time::timeout(root.deadline, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", root.deadline)),
        };
        (collector.node.clone(), answer)
    }))
    .await
}

async fn ask<T: DeserializeOwned>(
    http: &Http,
    collector: &Collector,
    path: &str,
    request: Option<&NodeRequest>,
) -> Result<T, String> {
    let response = send(http, collector, path, request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
    if !status.is_success() {
        return Err(format!("collector answered {status}: {}", String::from_utf8_lossy(&body).trim()));
    }
    serde_json::from_slice(&body).map_err(|error| format!("the answer can't be read: {error}"))
}

/// One request to a collector: POST with a body, GET without. Errors are sentences.
pub(super) async fn send(
    http: &Http,
    collector: &Collector,
    path: &str,
    request: Option<&NodeRequest>,
) -> Result<http::Response<hyper::body::Incoming>, String> {
    let Some(address) = collector.address else {
        return Err("no collector is ready on the node".into());
    };
    let request = http_request(address, &collector.token, path, request)?;
    http.request(request).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("collector at {address} can't be reached: {error}{cause}")
    })
}

fn http_request(
    address: SocketAddr,
    token: &str,
    path: &str,
    request: Option<&NodeRequest>,
) -> Result<Request<Full<Bytes>>, String> {
    let body = match request {
        Some(request) => serde_json::to_vec(request).map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    let method = if request.is_some() { Method::POST } else { Method::GET };
    Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .map_err(|error| error.to_string())
}

pub(super) fn node_error(node: &str, error: String) -> NodeError {
    NodeError { node: node.to_owned(), error }
}

pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
