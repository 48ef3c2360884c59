//! Live records of one node: a connection to its collector, made again with back-off for
//! as long as somebody reads. A node that breaks off is named once.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tiphys_lifecycle::Backoff;

use super::{Collector, LogRoot, fanout, source};
use crate::wire::{NodeRequest, TailLine};

/// A line longer than this breaks the connection: no record is that long.
const MAX_LINE: usize = 8 << 20;

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
            let response =
                source::send(&self.root.http, &self.collector, "/v1/tail", Some(&self.request)).await?;
            if !response.status().is_success() {
                return Err(format!("collector answered {}", response.status()));
            }
            self.connection = Some(response.into_body());
            return Ok(());
        };
        let frame = match connection.frame().await {
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
