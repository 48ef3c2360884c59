//! Searching one node's records.
//!
//! ```text
//! Request -> plan: every block gets a verdict from names, labels, time, levels, words, ids
//!            (no: skipped; maybe: looked into; yes: verified by its time only)
//!         -> look: columns, then templates, then the bodies of records that are still undecided
//!         -> top: the newest K  |  counts: histogram, facets     -> shape: the answer
//! tail: the same query on records as they come
//! ```
//!
//! Bounds of a query: its deadline, [`MAX_RESULT_BYTES`] of bodies held, one
//! block decoded at a time. A split that turns out damaged is set aside, named in
//! the answer, and the rest answers.

mod counts;
mod look;
mod patterns;
mod plan;
mod shape;
mod tail;
mod top;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

pub use counts::{facets, histogram};
pub use tail::{TailHub, tail};
pub use top::search;

use crate::{
    query::{self, compile::Compiled},
    record::Position,
    wire::NodeRequest,
};

/// Bytes of bodies that an answer holds; a page ends early there.
pub const MAX_RESULT_BYTES: usize = 16 << 20;

/// What is searched for, ready to run.
pub struct Request {
    pub query: Compiled,
    /// Nanoseconds, inclusive.
    pub since: Option<i64>,
    /// Nanoseconds, exclusive.
    pub until: Option<i64>,
    /// Only records older than this one.
    pub before: Option<Position>,
    /// `None`: all.
    pub namespaces: Option<HashSet<String>>,
    /// Facets have patterns too.
    pub patterns: bool,
    /// Records with an empty body will do.
    pub without_body: bool,
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
        let query = Compiled::new(&expr).map_err(BadRequest)?;
        let before = request.cursor.as_deref().map(str::parse).transpose();
        Ok(Self {
            query,
            since: request.since,
            until: request.until,
            before: before.map_err(|error: crate::record::BadPosition| BadRequest(error.to_string()))?,
            namespaces: request.namespaces.clone().map(HashSet::from_iter),
            patterns: request.patterns,
            without_body: request.without_body,
            deadline: Instant::now() + limit,
        })
    }

    fn allows(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|allowed| allowed.contains(namespace))
    }

    fn in_range(&self, time: i64) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    /// Whether some time of a block can be in range.
    fn touches(&self, min_time: i64, max_time: i64) -> bool {
        self.since.is_none_or(|since| max_time >= since)
            && self.until.is_none_or(|until| min_time < until)
            && self.before.as_ref().is_none_or(|before| min_time <= before.time)
    }

    /// Whether every time of a block is in range.
    fn covers(&self, min_time: i64, max_time: i64) -> bool {
        self.in_range(min_time) && self.in_range(max_time) && self.before.is_none()
    }

    fn is_before(&self, order: (i64, &str, u64)) -> bool {
        self.before.as_ref().is_none_or(|before| order < (before.time, before.stream.as_str(), before.seq))
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
    /// Notes that time is up, if it is.
    fn is_late(&mut self, request: &Request) -> bool {
        self.late |= request.is_late();
        self.late
    }
}

#[cfg(test)]
mod tests;
