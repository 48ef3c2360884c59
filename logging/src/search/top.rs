//! The newest records that match.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;

use super::{
    MAX_RESULT_BYTES, Progress, Request,
    look::{self, Row, Want},
    plan, shape,
};
use crate::{
    index::Store,
    record::{Labels, Position, Record, StreamInfo},
    wire::SearchAnswer,
};

/// A record that matches, with where it is from.
pub(super) struct Hit {
    pub record: Record,
    pub key: Arc<str>,
    pub info: Arc<StreamInfo>,
    pub labels: Option<Labels>,
}

impl Hit {
    fn order(&self) -> (i64, &str, u64) {
        (self.record.time, &self.key, self.record.seq)
    }

    pub fn position(&self) -> Position {
        Position { time: self.record.time, stream: self.key.to_string(), seq: self.record.seq }
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Hit {}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// The newest hits, at most so many and so heavy. The oldest is on top.
struct Newest {
    hits: BinaryHeap<Reverse<Hit>>,
    limit: usize,
    bytes: usize,
    /// A hit was left out because newer ones filled the page.
    more: bool,
}

impl Newest {
    fn is_full(&self) -> bool {
        self.hits.len() >= self.limit
    }

    /// Whether a record of that place would be in.
    fn takes(&self, order: (i64, &str, u64)) -> bool {
        !self.is_full() || self.hits.peek().is_some_and(|Reverse(oldest)| order > oldest.order())
    }

    fn push(&mut self, hit: Hit) {
        self.bytes += hit.record.body.len();
        self.hits.push(Reverse(hit));
        while self.hits.len() > self.limit || (self.bytes > MAX_RESULT_BYTES && self.hits.len() > 1) {
            let Some(Reverse(oldest)) = self.hits.pop() else { break };
            self.bytes -= oldest.record.body.len();
            self.more = true;
            // By weight or by number: from here on only newer ones come in.
            self.limit = self.hits.len();
        }
    }
}

/// The newest `limit` records that match, newest first. Blocks.
pub fn search(store: &Store, request: &Request, limit: usize, node: &str) -> SearchAnswer {
    let started = Instant::now();
    let mut progress = Progress::default();
    let mut candidates = plan::plan(store, request, &mut progress);
    candidates.sort_by_key(|candidate| Reverse(candidate.head.max_time));
    let mut newest = Newest { hits: BinaryHeap::new(), limit, bytes: 0, more: false };
    for candidate in candidates {
        let full_and_older = newest.is_full()
            && newest.hits.peek().is_some_and(|Reverse(oldest)| candidate.head.max_time < oldest.record.time);
        if full_and_older {
            // It may hold a hit; whether it does, the next page shows.
            newest.more = true;
            break;
        }
        if progress.is_late(request) {
            break;
        }
        look_into(store, request, &candidate, &mut newest, &mut progress);
    }
    let more = newest.more;
    let mut hits: Vec<Hit> = newest.hits.into_iter().map(|Reverse(hit)| hit).collect();
    hits.sort_unstable_by(|a, b| b.cmp(a));
    let cursor = hits.last().filter(|_| more).map(|hit| hit.position().to_string());
    let mut answer = SearchAnswer { cursor, scanned: progress.scanned, ..SearchAnswer::default() };
    answer.partial = shape::partial(node, store, progress);
    answer.records = hits.iter().map(shape::record).collect();
    answer.took_ms = shape::millis(started);
    answer
}

fn look_into(
    store: &Store,
    request: &Request,
    candidate: &plan::Candidate,
    newest: &mut Newest,
    progress: &mut Progress,
) {
    let want = if request.without_body { Want::Columns } else { Want::Bodies };
    let looked = look::Look { store, request, candidate, want };
    // Both look at what was found so far, one after the other.
    let newest = std::cell::RefCell::new(newest);
    let takes = |row: &Row| {
        let order = (row.time, &*candidate.key, row.seq);
        if !request.is_before(order) {
            return false;
        }
        let mut newest = newest.borrow_mut();
        let taken = newest.takes(order);
        newest.more |= !taken;
        taken
    };
    looked.each(progress, takes, |found| {
        // A copy, so that one hit doesn't hold its whole block in memory.
        let body = if request.without_body { &[][..] } else { &found.record.body };
        let body = Bytes::copy_from_slice(body);
        let record = Record { body, ..found.record };
        let mut newest = newest.borrow_mut();
        if !newest.takes((record.time, &candidate.key, record.seq)) {
            newest.more = true;
            return;
        }
        let (key, info) = (candidate.key.clone(), candidate.info.clone());
        newest.push(Hit { record, key, info, labels: candidate.labels.clone() });
    });
}
