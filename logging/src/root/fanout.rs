//! One question to every collector at once, and the answers in one.
//!
//! Whom a question goes to, and within which bounds, see [`super::source`]. A user who may not read all
//! is shown the namespaces that there are, as far as that is known: who can't say which it has is named.

use std::{collections::BTreeSet, time::Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tiphys_api::auth::UserInfo;

use super::{
    Collector, LogRoot, RootError, Scope,
    allow::{self, Decision},
    bars, merge, source,
};
use crate::{
    archive::Archive,
    query, time,
    wire::{
        DEFAULT_LIMIT, FacetsAnswer, FacetsRequest, HistogramAnswer, HistogramRequest, MAX_FIELDS, MAX_LIMIT,
        NodeError, NodeRequest, Order, QUERY_TIME, SearchAnswer, SearchRequest, within,
    },
};

pub(super) async fn search(
    root: &LogRoot,
    user: &UserInfo,
    request: &SearchRequest,
) -> Result<SearchAnswer, RootError> {
    let started = Instant::now();
    let limit = request.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let mut node_request = node_request(&request.query, &request.since, &request.until)?;
    node_request.within_ms = within_ms(root, &request.within)?;
    node_request.limit = Some(limit);
    node_request.cursor = request.cursor.clone();
    node_request.without_body = request.without_body;
    node_request.order = if request.oldest_first { Order::Oldest } else { Order::Newest };
    let order = node_request.order;
    if let Some(cursor) = &request.cursor {
        cursor.parse::<crate::record::Position>().map_err(|error| RootError::Invalid(error.to_string()))?;
    }
    let mut merged = merge::Searched::new(limit, order);
    let take = |node: &str, answer| merged.add(node, answer);
    let scope = scoped(root, user, request.namespace.as_deref(), node_request, "/v1/search", take).await?;
    let mut answer = merged.finish();
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
    node_request.within_ms = within_ms(root, &request.within)?;
    let until = *node_request.until.get_or_insert_with(|| time::now().saturating_add(1));
    node_request.since.get_or_insert_with(|| until.saturating_sub(3600 * time::SECOND));
    node_request.buckets = Some(request.buckets.unwrap_or(60).clamp(1, 1000));
    if let Some(field) = &request.by {
        return bars::by_field(root, user, request, field, node_request).await;
    }
    let mut merged = merge::Bars::default();
    let take = |node: &str, answer| merged.add(node, answer);
    let scope = scoped(root, user, request.namespace.as_deref(), node_request, "/v1/histogram", take).await?;
    let mut answer = merged.finish();
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
    node_request.within_ms = within_ms(root, &request.within)?;
    node_request.patterns = request.patterns;
    if request.fields.len() > MAX_FIELDS {
        return Err(RootError::Invalid(format!("facets are made of at most {MAX_FIELDS} fields at once")));
    }
    if request.compare.is_some() {
        bound(&mut node_request)?;
    }
    node_request.compare_since = compare_since(request, &node_request)?;
    node_request.fields = request.fields.clone();
    node_request.names = request.names;
    let mut merged = merge::Values::default();
    let take = |node: &str, answer| merged.add(node, answer);
    let scope = scoped(root, user, request.namespace.as_deref(), node_request, "/v1/facets", take).await?;
    let mut answer = merged.finish(limit);
    answer.restricted = scope.restricted;
    answer.took_ms = millis(started);
    Ok(answer)
}

/// Takes the times out of the query: it is asked of an earlier time too.
fn bound(request: &mut NodeRequest) -> Result<(), RootError> {
    let expr = query::parse(&request.query).map_err(|error| RootError::Invalid(error.to_string()))?;
    let within = expr.within(time::now());
    request.since = request.since.max(within.since);
    request.until = [request.until, within.until].into_iter().flatten().min();
    request.query = expr.beside_times().to_string();
    Ok(())
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
    let expr = query::parse(query).map_err(|error| RootError::Invalid(error.to_string()))?;
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
    // What the query says of times stays in it; a request without any is about those.
    let within = expr.within(now);
    let (since, until) = (since.or(within.since), until.or(within.until));
    // Of `now` all nodes have one idea.
    let at = expr.clone().at(now);
    let query = if at == expr { query.to_owned() } else { at.to_string() };
    Ok(NodeRequest { query, since, until, ..NodeRequest::default() })
}

/// Milliseconds that a node may take, where it isn't what it takes by itself.
pub(super) fn within_ms(root: &LogRoot, asked: &Option<String>) -> Result<Option<u64>, RootError> {
    let asked = within(asked.as_deref(), root.longest).map_err(RootError::Invalid)?;
    let time = asked.or((root.longest < QUERY_TIME).then_some(root.longest));
    Ok(time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// Asks all nodes and the archive, within what the user may see; `take` gets the answers as
/// they come, so that they are not all held.
pub(super) async fn scoped<T: DeserializeOwned>(
    root: &LogRoot,
    user: &UserInfo,
    namespace: Option<&str>,
    mut request: NodeRequest,
    path: &'static str,
    mut take: impl FnMut(&str, Result<T, String>) + Send,
) -> Result<Scope, RootError> {
    let collectors = root.collectors.list().await;
    let Seen { scope, silent } = scope(root, user, namespace, &collectors).await?;
    request.namespaces = scope.namespaces.clone();
    let mut told = Vec::new();
    let noting = |node: &str, answer: Result<T, String>| {
        if let Err(error) = &answer {
            told.push(node_error(node, error.clone()));
        }
        take(node, answer);
    };
    ask_all(root, &collectors, None, path, Some(&request), noting).await;
    for NodeError { node, error } in unsaid(silent, &told) {
        take(&node, Err(error));
    }
    Ok(scope)
}

/// What a user may see, as far as it is known.
pub(super) struct Seen {
    pub scope: Scope,
    /// Those that didn't say which namespaces they have, and why.
    pub silent: Vec<NodeError>,
}

/// Decides what the user may see; asks the collectors for their namespaces only if it must.
pub(super) async fn scope(
    root: &LogRoot,
    user: &UserInfo,
    namespace: Option<&str>,
    collectors: &[Collector],
) -> Result<Seen, RootError> {
    match allow::decide(&*root.authorizer, user, namespace)? {
        Decision::Scope(scope) => Ok(Seen { scope, silent: Vec::new() }),
        Decision::AskForNamespaces => {
            // One that is new has no records yet.
            let there = root.archive.iter().flat_map(Archive::namespaces);
            let mut candidates: BTreeSet<String> = there.collect();
            let mut silent = Vec::new();
            let take = |node: &str, list: Result<Vec<String>, String>| match list {
                Ok(list) => candidates.extend(list),
                Err(error) => silent.push(node_error(node, error)),
            };
            ask_all(root, collectors, None, "/v1/namespaces", None, take).await;
            let scope = allow::among(&*root.authorizer, user, candidates.into_iter().collect());
            Ok(Seen { scope, silent })
        }
    }
}

/// What is to be told of those that didn't say which namespaces they have, but for who didn't answer the
/// question either, for the same cause.
pub(super) fn unsaid(silent: Vec<NodeError>, told: &[NodeError]) -> Vec<NodeError> {
    let is_told = |silent: &NodeError| {
        told.iter().any(|told| told.node == silent.node && told.error.starts_with(&silent.error))
    };
    let sentence = |silent: NodeError| {
        let NodeError { node, error } = silent;
        let error = format!("which namespaces it has is not known, so records may be missing: {error}");
        NodeError { node, error }
    };
    silent.into_iter().filter(|silent| !is_told(silent)).map(sentence).collect()
}

pub(super) async fn ask_all<T: DeserializeOwned>(
    root: &LogRoot,
    collectors: &[Collector],
    node: Option<&str>,
    path: &'static str,
    request: Option<&NodeRequest>,
    take: impl FnMut(&str, Result<T, String>) + Send,
) {
    let take = Mutex::new(take);
    let read = |node: &str, answer: Result<Bytes, String>| {
        let read = answer.and_then(|bytes| {
            serde_json::from_slice(&bytes).map_err(|error| format!("the answer can't be read: {error}"))
        });
        (*take.lock())(node, read);
    };
    source::ask_all(root, collectors, node, path, request, &read).await;
}

/// Answers come in any order; what is missing is told in one.
pub(super) fn in_order(mut partial: Vec<NodeError>) -> Vec<NodeError> {
    partial.sort_by(|a, b| (&a.node, &a.error).cmp(&(&b.node, &b.error)));
    partial
}

pub(super) fn node_error(node: &str, error: String) -> NodeError {
    NodeError { node: node.to_owned(), error }
}

pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_did_not_say_which_namespaces_it_has_is_named_once() {
        let silent = vec![node_error("a", "no answer".into()), node_error("b", "no answer".into())];
        let told = [node_error("a", "no answer; of this node only what is archived is in the answer".into())];
        let left = unsaid(silent.clone(), &told);
        assert_eq!((left.len(), left[0].node.as_str()), (1, "b"));
        assert!(left[0].error.contains("which namespaces") && left[0].error.ends_with(": no answer"));
        // It answered, but for something else.
        let left = unsaid(silent, &[node_error("a", "the index is damaged".into())]);
        assert_eq!(left.iter().map(|left| left.node.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
