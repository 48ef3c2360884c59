//! Live records of one node: a connection to its collector, made again with back-off for
//! as long as somebody reads. A node that breaks off is named once, and so is one that says
//! nothing: collectors send an empty line where they have no other.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tiphys_lifecycle::Backoff;

use super::{Collector, LogRoot, fanout, http::BEAT, source};
use crate::wire::{NodeRequest, TailLine};

/// A line longer than this breaks the connection: no record is that long.
const MAX_LINE: usize = 8 << 20;
/// A node that says nothing for so long is gone, though its connection is there.
const SILENCE: Duration = Duration::from_secs(4 * BEAT.as_secs());

pub(super) struct NodeTail {
    root: LogRoot,
    collector: Collector,
    request: NodeRequest,
    connection: Option<Incoming>,
    buffer: BytesMut,
    lines: VecDeque<TailLine>,
    backoff: Backoff,
    /// The reader was told that the node is missing.
    named: bool,
    silence: Duration,
}

impl NodeTail {
    pub fn new(root: LogRoot, collector: Collector, request: NodeRequest) -> Self {
        Self {
            root,
            collector,
            request,
            connection: None,
            buffer: BytesMut::new(),
            lines: VecDeque::new(),
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(10)),
            named: false,
            silence: SILENCE,
        }
    }

    pub fn lines(self) -> impl Stream<Item = TailLine> + Send {
        stream::unfold(self, |mut node| async move {
            let line = node.next().await;
            Some((line, node))
        })
    }

    /// Tells the reader once that the node is missing.
    pub fn report(&mut self, error: String) {
        self.connection = None;
        self.buffer.clear();
        if !std::mem::replace(&mut self.named, true) {
            let partial = fanout::node_error(&self.collector.node, error);
            self.lines.push_back(TailLine::Partial { partial });
        }
    }

    async fn next(&mut self) -> TailLine {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return line;
            }
            if let Err(error) = self.advance().await {
                self.report(error);
                if let Some(line) = self.lines.pop_front() {
                    return line;
                }
                tokio::time::sleep(self.backoff.next_pause()).await;
                self.find_again().await;
            }
        }
    }

    /// Connects, or reads one piece.
    pub async fn advance(&mut self) -> Result<(), String> {
        let Some(connection) = &mut self.connection else {
            let sent = source::send(&self.root.http, &self.collector, "/v1/tail", Some(&self.request));
            let response = tokio::time::timeout(self.silence, sent).await;
            let response = response.map_err(|_| self.silent())??;
            if !response.status().is_success() {
                return Err(format!("collector answered {}", response.status()));
            }
            self.connection = Some(response.into_body());
            return Ok(());
        };
        let frame = tokio::time::timeout(self.silence, connection.frame()).await;
        let frame = match frame.map_err(|_| self.silent())? {
            None => return Err("the collector ended the stream".into()),
            Some(frame) => frame.map_err(|error| format!("the stream broke off: {error}"))?,
        };
        self.backoff.reset();
        self.named = false;
        if let Ok(data) = frame.into_data() {
            self.take_in(&data)?;
        }
        Ok(())
    }

    fn silent(&self) -> String {
        format!("the collector has said nothing for {:?}", self.silence)
    }

    fn take_in(&mut self, data: &Bytes) -> Result<(), String> {
        self.buffer.extend_from_slice(data);
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(end + 1);
            if line.len() > 1 {
                let line = serde_json::from_slice(&line).map_err(|error| format!("bad line: {error}"))?;
                self.lines.push_back(line);
            }
        }
        if self.buffer.len() > MAX_LINE { Err("a line without end".into()) } else { Ok(()) }
    }

    /// The node's collector may have come back at another address.
    async fn find_again(&mut self) {
        let node = &self.collector.node;
        if let Some(found) = self.root.collectors.list().await.into_iter().find(|c| c.node == *node) {
            self.collector = found;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use axum::{Router, body::Body, routing::post};
    use http_body_util::BodyExt;
    use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
    use tiphys_lifecycle::{OnError, Tasks};

    use super::*;
    use crate::root::{Access, Collectors, ndjson_alive};

    struct One(Collector);

    #[async_trait]
    impl Collectors for One {
        async fn list(&self) -> Vec<Collector> {
            vec![self.0.clone()]
        }
    }

    struct All;

    impl Authorizer for All {
        fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_node_that_says_nothing_more_is_named() {
        let tasks = Tasks::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let silent = post(async || {
            let opening = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"\n")) });
            Body::from_stream(futures::StreamExt::chain(opening, stream::pending()))
        });
        let router = Router::new().route("/v1/tail", silent);
        tasks.spawn("node", OnError::Log, async move { axum::serve(listener, router).await });
        let collector =
            Collector { node: "n7".into(), address: Some(address), access: Access::Token("t".into()) };
        let root = LogRoot::new(Arc::new(One(collector.clone())), Arc::new(All));
        let mut node = NodeTail::new(root, collector, NodeRequest::default());
        node.silence = Duration::from_millis(200);
        let line = tokio::time::timeout(Duration::from_secs(60), node.next()).await.expect("in time");
        let TailLine::Partial { partial } = line else { panic!("{line:?}") };
        assert!(partial.node == "n7" && partial.error.contains("said nothing"), "{partial:?}");
        tasks.shutdown(Duration::from_secs(10)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_has_nothing_to_say_says_so() {
        let mut body = ndjson_alive(stream::pending()).into_body();
        for _ in 0..3 {
            let frame = body.frame().await.expect("a frame").expect("whole");
            assert_eq!(frame.into_data().expect("bytes"), "\n");
        }
    }
}
