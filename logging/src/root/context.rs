//! What stands around a record: two searches from its place, one in either direction.
//!
//! The record is found first, on all nodes at once. What stands around it in its stream is
//! asked of the node that has it alone, and of what is archived of that; in its stream and
//! its Pod only its namespace is looked at. When it isn't found, all are asked. What the user may read
//! is decided as for a search of all namespaces: a record that is not in there is
//! not found, whether it exists or not.

use std::time::Instant;

use tiphys_api::auth::UserInfo;

use super::{
    Collector, LogRoot, RootError, Scope,
    fanout::{self, Seen},
    merge,
};
use crate::{
    record::Position,
    wire::{
        ContextAnswer, ContextRequest, ContextScope, DEFAULT_CONTEXT, LogRecord, MAX_CONTEXT, NodeRequest,
        Only, Order, SearchAnswer,
    },
};

pub(super) async fn context(
    root: &LogRoot,
    user: &UserInfo,
    request: &ContextRequest,
) -> Result<ContextAnswer, RootError> {
    let started = Instant::now();
    let at: Position = request.id.parse().map_err(|_| no_id(&request.id))?;
    let collectors = root.collectors.list().await;
    let Seen { scope, silent } = fanout::scope(root, user, None, &collectors).await?;
    let within_ms = fanout::within_ms(root, &request.within)?;
    let (collectors, scope) = (collectors.as_slice(), &scope);
    let mut ask = Ask { root, collectors, scope, at: &at, within_ms, asked: None, namespace: None };
    let (record, mut missing) = ask.record().await;
    let silent = fanout::unsaid(silent, &missing.partial);
    missing.partial = fanout::in_order(missing.partial.into_iter().chain(silent).collect());
    let (only, back, on) = match (request.scope, &record) {
        (ContextScope::Stream, _) => (Only::Stream(at.stream.clone()), Order::Last, Order::First),
        (ContextScope::Pod, _) => {
            let uid = at.stream.split('/').next().unwrap_or_default();
            (Only::Pod(uid.to_owned()), Order::Newest, Order::Oldest)
        }
        (ContextScope::Node, Some(record)) => (Only::Node(record.node.clone()), Order::Newest, Order::Oldest),
        (ContextScope::Node, None) => return Err(not_found(&request.id, &missing)),
    };
    // Streams are where their records are; what comes in by a door may be spread, Pods and all.
    if request.scope != ContextScope::Stream {
        ask.asked = None;
    }
    if request.scope != ContextScope::Node {
        ask.namespace = record.as_ref().map(|record| record.namespace.clone());
    }
    let side = |limit: Option<usize>| limit.unwrap_or(DEFAULT_CONTEXT).min(MAX_CONTEXT);
    let (before, after) = tokio::join!(
        ask.side(only.clone(), back, side(request.before)),
        ask.side(only, on, side(request.after))
    );
    // A node that failed may be the one that has it; what was found around it is shown.
    if record.is_none()
        && (missing.partial.is_empty() || before.records.is_empty() && after.records.is_empty())
    {
        return Err(not_found(&request.id, &missing));
    }
    let mut answer = ContextAnswer {
        record,
        more_before: before.cursor.is_some(),
        more_after: after.cursor.is_some(),
        before: before.records,
        after: after.records,
        partial: missing.partial,
        restricted: scope.restricted,
        took_ms: fanout::millis(started),
    };
    answer.before.reverse();
    for error in before.partial.into_iter().chain(after.partial) {
        if !answer.partial.contains(&error) {
            answer.partial.push(error);
        }
    }
    Ok(answer)
}

/// Questions about the surroundings of one place.
struct Ask<'a> {
    root: &'a LogRoot,
    collectors: &'a [Collector],
    scope: &'a Scope,
    at: &'a Position,
    within_ms: Option<u64>,
    /// The only node to ask, and the only namespace to look at, where they are known.
    asked: Option<String>,
    namespace: Option<String>,
}

impl Ask<'_> {
    /// The record itself, and what the answer lacks; from here on who has it is asked alone.
    async fn record(&mut self) -> (Option<LogRecord>, SearchAnswer) {
        let request = NodeRequest {
            since: Some(self.at.time),
            until: self.at.time.checked_add(1),
            // The one before it in its stream has the number before.
            cursor: self.at.seq.checked_sub(1).map(|seq| Position { seq, ..self.at.clone() }.to_string()),
            ..self.request(Only::Stream(self.at.stream.clone()), Order::First, 1)
        };
        let id = self.at.to_string();
        let (mut merged, mut asked) = (merge::Searched::new(1, Order::First), None);
        let take = |node: &str, answer: Result<SearchAnswer, String>| {
            if answer.as_ref().is_ok_and(|answer| answer.records.iter().any(|record| record.id == id)) {
                asked = Some(node.to_owned());
            }
            merged.add(node, answer);
        };
        fanout::ask_all(self.root, self.collectors, None, "/v1/search", Some(&request), take).await;
        let mut answer = merged.finish();
        let found = answer.records.pop().filter(|record| record.id == id);
        self.asked = asked;
        (found, answer)
    }

    /// So many records next to the place, the nearest first.
    async fn side(&self, only: Only, order: Order, limit: usize) -> SearchAnswer {
        if limit == 0 {
            return SearchAnswer::default();
        }
        let request = NodeRequest { cursor: Some(self.at.to_string()), ..self.request(only, order, limit) };
        self.ask(request, order, limit).await
    }

    fn request(&self, only: Only, order: Order, limit: usize) -> NodeRequest {
        NodeRequest {
            limit: Some(limit),
            namespaces: match &self.namespace {
                Some(namespace) => Some(vec![namespace.clone()]),
                None => self.scope.namespaces.clone(),
            },
            order,
            only: Some(only),
            within_ms: self.within_ms,
            ..NodeRequest::default()
        }
    }

    async fn ask(&self, request: NodeRequest, order: Order, limit: usize) -> SearchAnswer {
        let mut merged = merge::Searched::new(limit, order);
        let take = |node: &str, answer| merged.add(node, answer);
        fanout::ask_all(
            self.root,
            self.collectors,
            self.asked.as_deref(),
            "/v1/search",
            Some(&request),
            take,
        )
        .await;
        merged.finish()
    }
}

fn no_id(id: &str) -> RootError {
    let shown: String = id.chars().take(100).collect();
    RootError::Invalid(format!("`{shown}` is no record's id: give the `id` of a record, unchanged"))
}

fn not_found(id: &str, missing: &SearchAnswer) -> RootError {
    let mut nodes: Vec<&str> = missing.partial.iter().map(|error| error.node.as_str()).collect();
    nodes.dedup();
    let hint = match nodes.as_slice() {
        [] => String::new(),
        nodes => format!(" (no full answer of {})", nodes.join(", ")),
    };
    RootError::NotFound(format!("there is no record `{id}` that you may read{hint}"))
}
