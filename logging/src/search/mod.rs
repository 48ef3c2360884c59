//! Searching one node's records.
//!
//! ```text
//! Request -> plan: every block gets a verdict from names, labels, time, levels, words, ids
//!            (no: skipped; maybe: looked into; yes: verified by its time only)
//!         -> look: columns, then templates, then the bodies of records that are still undecided
//!         -> top: the first K in order  |  counts: histogram, facets  |  stats     -> shape: the answer
//! tail: the same query on records as they come
//! ```
//!
//! Bounds of a query: its deadline, [`MAX_RESULT_BYTES`] of bodies held, one
//! block decoded at a time on each thread. A split that turns out damaged is set aside, named in
//! the answer, and the rest answers.

mod columns;
mod counts;
mod found;
mod groups;
mod keys;
mod look;
mod missed;
mod names;
mod order;
mod patterns;
mod plan;
mod portion;
mod shape;
pub mod sketch;
mod spread;
mod stats;
mod tail;
mod tally;
mod top;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

pub use counts::{facets, histogram};
pub use keys::{LABEL_NAMES, LABELS};
pub use patterns::OTHERS;
pub use sketch::Sketch;
pub use stats::stats;
pub use tail::{TailHub, tail};
pub use top::search;

use crate::{
    query::{self, compile::Compiled},
    record::{Position, StreamInfo},
    wire::{NodeRequest, Only, Order},
};

/// Bytes of bodies that an answer holds; a page ends early there.
pub const MAX_RESULT_BYTES: usize = 16 << 20;

/// What is searched for, ready to run.
pub struct Request {
    pub query: Arc<Compiled>,
    /// Nanoseconds, inclusive.
    pub since: Option<i64>,
    /// Nanoseconds, exclusive.
    pub until: Option<i64>,
    /// Only records behind this one, in the order of the answer.
    pub cursor: Option<Position>,
    pub order: Order,
    /// Only the records of some streams.
    pub only: Option<Only>,
    /// `None`: all.
    pub namespaces: Option<HashSet<String>>,
    /// Facets have patterns too.
    pub patterns: bool,
    /// Records with an empty body will do.
    pub without_body: bool,
    /// Patterns are compared with those from here to `since`.
    pub compare_since: Option<i64>,
    /// Facets count the values of these fields too.
    pub fields: Vec<String>,
    /// Facets count the names of fields too.
    pub names: bool,
    pub deadline: Instant,
}

/// The request is wrong; the message says where and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(String);

impl Request {
    /// From what came over the wire; `limit` is the time it may take.
    pub fn new(request: &NodeRequest, limit: Duration) -> Result<Self, BadRequest> {
        let expr = query::parse(&request.query).map_err(|error| BadRequest(error.to_string()))?;
        let query = Arc::new(Compiled::new(&expr).map_err(BadRequest)?);
        let cursor = request.cursor.as_deref().map(str::parse).transpose();
        Ok(Self {
            query,
            since: request.since,
            until: request.until,
            cursor: cursor.map_err(|error: crate::record::BadPosition| BadRequest(error.to_string()))?,
            order: request.order,
            only: request.only.clone(),
            namespaces: request.namespaces.clone().map(HashSet::from_iter),
            patterns: request.patterns,
            without_body: request.without_body,
            compare_since: request.compare_since,
            fields: request.fields.clone(),
            names: request.names,
            deadline: Instant::now() + limit,
        })
    }

    /// The same question about the time that patterns are compared with.
    fn before(&self) -> Option<Self> {
        Some(Self {
            query: self.query.clone(),
            since: Some(self.compare_since?),
            until: Some(self.since?),
            cursor: None,
            order: self.order,
            only: self.only.clone(),
            namespaces: self.namespaces.clone(),
            patterns: true,
            without_body: false,
            compare_since: None,
            fields: Vec::new(),
            names: false,
            deadline: self.deadline,
        })
    }

    /// Whether the stream may be looked into.
    fn allows(&self, info: &StreamInfo) -> bool {
        self.namespaces.as_ref().is_none_or(|allowed| allowed.contains(&info.namespace))
            && match &self.only {
                None => true,
                Some(Only::Stream(key)) => info.key() == *key,
                Some(Only::Pod(uid)) => info.uid == *uid,
                Some(Only::Node(node)) => info.node == *node,
            }
    }

    fn in_range(&self, time: i64) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    /// Whether some time of a block can be in range.
    fn touches(&self, min_time: i64, max_time: i64) -> bool {
        self.since.is_none_or(|since| max_time >= since)
            && self.until.is_none_or(|until| min_time < until)
            && self.cursor.as_ref().is_none_or(|cursor| match self.order {
                Order::Newest => min_time <= cursor.time,
                Order::Oldest => max_time >= cursor.time,
                Order::Last | Order::First => true,
            })
    }

    /// Whether every time of a block is in range.
    fn covers(&self, min_time: i64, max_time: i64) -> bool {
        self.in_range(min_time) && self.in_range(max_time) && self.cursor.is_none()
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

/// What happened on the way.
#[derive(Debug, Default)]
struct Progress {
    /// Records looked at.
    scanned: u64,
    /// The deadline passed.
    late: bool,
    /// Splits that could not be read, and why.
    failed: Vec<(u64, String)>,
}

impl Progress {
    /// What happened to another part of the same search.
    fn add(&mut self, other: Self) {
        self.scanned += other.scanned;
        self.late |= other.late;
        for failed in other.failed {
            if !self.failed.contains(&failed) {
                self.failed.push(failed);
            }
        }
    }

    /// Notes that time is up, if it is.
    fn is_late(&mut self, request: &Request) -> bool {
        self.late |= request.is_late();
        self.late
    }
}

#[cfg(test)]
mod tests;
