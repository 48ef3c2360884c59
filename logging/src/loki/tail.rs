//! The live tail, as a WebSocket: lines by label set, and what was dropped.
//!
//! A client that is slow is waited for: meanwhile the collectors count what they drop,
//! and `dropped_entries` says so. One that takes nothing for [`STALLED`] is cut off.

use std::collections::HashSet;

use axum::{
    extract::{
        RawQuery, State,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use futures::{SinkExt, Stream, StreamExt};
use serde_json::json;

use super::{
    answer::LokiError,
    http::Known,
    labels::Labels,
    lines::{self, Ask},
    logql::parse_selector,
    message::Messages,
    params::Params,
    pipeline::Pipeline,
    translate,
};
use crate::{
    handover::STALLED,
    root::LogRoot,
    time,
    wire::{SearchRequest, TailLine},
};

/// Lines that are taken at once.
const TOGETHER: usize = 100;

pub async fn tail(
    State(root): State<LogRoot>,
    Known(user): Known,
    RawQuery(raw): RawQuery,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, LokiError> {
    let params = Params::parse(&raw.unwrap_or_default());
    let query = parse_selector(params.query()?)?;
    let pipeline = Pipeline::new(&query.stages)?;
    let socket = socket.map_err(|error| LokiError { status: error.status(), message: error.body_text() })?;
    let request =
        SearchRequest { query: translate::push(&query).expr.to_string(), ..SearchRequest::default() };
    // Followed before the past is looked at, so that no line falls between.
    let live = root.tail(&user, &request).await?;
    let now = time::now();
    let mut past = Vec::new();
    if let Some(start) = params.time("start")?.filter(|start| *start < now) {
        let ask = Ask { root: &root, user: &user };
        past = ask.streams(&query, start..now, false, params.limit()?).await?.0;
    }
    past.iter_mut().for_each(|(_, lines)| lines.reverse());
    let entry = |labels: &Labels, (time, text): &(i64, String)| (labels.clone(), *time, text.clone());
    let seen = past.iter().flat_map(|(labels, lines)| lines.iter().map(move |line| entry(labels, line)));
    let seen = seen.collect();
    let mut first = Messages::default();
    past.into_iter().for_each(|(labels, lines)| first.stream(&labels, lines));
    let first = first.finish();
    let entries = Entries { pipeline, seen };
    Ok(socket.on_upgrade(move |socket| follow(socket, first, live, entries)))
}

/// Until the client leaves.
async fn follow(
    socket: WebSocket,
    first: Vec<String>,
    live: impl Stream<Item = TailLine> + Send,
    mut entries: Entries,
) {
    let (mut sink, mut source) = socket.split();
    let live = std::pin::pin!(live);
    let mut live = live.ready_chunks(TOGETHER);
    let mut next = first;
    loop {
        for message in std::mem::take(&mut next) {
            let send = sink.send(Message::Text(message.into()));
            if !matches!(tokio::time::timeout(STALLED, send).await, Ok(Ok(()))) {
                return;
            }
        }
        tokio::select! {
            lines = live.next() => match lines {
                Some(lines) => next = entries.messages(lines),
                None => return,
            },
            // Pings are answered by the socket itself while it is read.
            message = source.next() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

struct Entries {
    pipeline: Pipeline,
    /// Lines of the past that the live tail may give once more.
    seen: HashSet<(Labels, i64, String)>,
}

impl Entries {
    /// What of some lines the client gets.
    fn messages(&mut self, lines: Vec<TailLine>) -> Vec<String> {
        let mut messages = Messages::default();
        let now = || time::now().to_string();
        for line in lines {
            match line {
                TailLine::Record(record) => {
                    let Some((time, mut line)) = lines::line(*record) else { continue };
                    if self.pipeline.run(&mut line) {
                        let entry = (line.labels, time, line.text);
                        if !self.seen.remove(&entry) {
                            let (labels, time, text) = entry;
                            messages.stream(&labels, vec![(time, text)]);
                        }
                    }
                }
                TailLine::Dropped { dropped: count, node, .. } => messages.dropped(&json!({
                    "timestamp": now(),
                    "labels": { "node": node, "dropped": count.to_string() },
                })),
                TailLine::Partial { partial } => messages.dropped(&json!({
                    "timestamp": now(),
                    "labels": { "node": partial.node, "error": partial.error },
                })),
                // It didn't ask for them.
                TailLine::Watermark { .. } => {}
                TailLine::Ended { ended } => messages.dropped(&json!({
                    "timestamp": now(),
                    "labels": { "error": ended },
                })),
            }
        }
        messages.finish()
    }
}
