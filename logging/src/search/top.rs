//! The first records that match, in one of the orders of [`Order`].

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc, time::Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    MAX_RESULT_BYTES, Progress, Request,
    look::{self, Row, Want},
    order::Place,
    plan::{self, Candidate},
    shape,
    spread::spread,
};
use crate::{
    index::Store,
    record::{Labels, Position, Record, StreamInfo},
    wire::{Order, SearchAnswer},
};

/// A record that matches, with where it is from.
pub(super) struct Hit {
    pub record: Record,
    pub key: Arc<str>,
    pub info: Arc<StreamInfo>,
    pub labels: Option<Labels>,
}

impl Hit {
    pub fn position(&self) -> Position {
        Position { time: self.record.time, stream: self.key.to_string(), seq: self.record.seq }
    }
}

/// A hit in its place.
struct Placed {
    hit: Hit,
    order: Order,
}

impl Placed {
    fn place(&self) -> Place<'_> {
        self.order.place(self.hit.record.time, &self.hit.key, self.hit.record.seq)
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Placed {}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// The first hits, at most so many and so heavy. The last of them is on top.
struct Foremost {
    hits: BinaryHeap<Placed>,
    limit: usize,
    bytes: usize,
    /// A hit was left out because earlier ones filled the page.
    more: bool,
}

impl Foremost {
    fn is_full(&self) -> bool {
        self.hits.len() >= self.limit
    }

    /// Whether a record of that place would be in.
    fn takes(&self, place: Place<'_>) -> bool {
        !self.is_full() || self.hits.peek().is_some_and(|last| place < last.place())
    }

    /// The same of what is there to be taken: if it isn't, there is more than fits.
    fn may_take(&mut self, place: Place<'_>) -> bool {
        let takes = self.takes(place);
        self.more |= !takes;
        takes
    }

    /// Where the last of a full page stands: what is not before it is not in.
    fn last(&self) -> Option<(i64, Arc<str>, u64)> {
        let last = &self.hits.peek().filter(|_| self.is_full())?.hit;
        Some((last.record.time, last.key.clone(), last.record.seq))
    }

    fn push(&mut self, hit: Placed) {
        self.bytes += hit.hit.record.body.len();
        self.hits.push(hit);
        while self.hits.len() > self.limit || (self.bytes > MAX_RESULT_BYTES && self.hits.len() > 1) {
            let Some(last) = self.hits.pop() else { break };
            self.bytes -= last.hit.record.body.len();
            self.more = true;
            // By weight or by number: from here on only earlier ones come in.
            self.limit = self.hits.len();
        }
    }
}

/// Blocks that are looked into before it is seen again which of the others still count: one, then
/// twice as many each time, up to this.
const WAVE: usize = 32;
/// Of these, what one thread takes at once.
const AT_ONCE: usize = 4;

/// The first `limit` records that match, in the request's order. Blocks.
pub fn search(store: &Store, request: &Request, limit: usize, node: &str) -> SearchAnswer {
    let started = Instant::now();
    let mut progress = Progress::default();
    let candidates = plan::plan(store, request, &mut progress);
    // Of thousands of them few are looked into: none is moved, and each is looked at once.
    let mut blocks: Vec<&Candidate> = candidates.iter().collect();
    blocks.sort_by_cached_key(|candidate| request.order.first_of(&candidate.head));
    let foremost = Mutex::new(Foremost { hits: BinaryHeap::new(), limit, bytes: 0, more: false });
    let (mut rest, mut wave) = (blocks.as_slice(), 1);
    while let [next, ..] = rest {
        if !foremost.lock().may_take(request.order.first_of(&next.head)) || progress.is_late(request) {
            break;
        }
        let some;
        (some, rest) = rest.split_at(rest.len().min(wave));
        wave = WAVE.min(wave * 2);
        spread(some, AT_ONCE, request, &mut progress, |part, progress| {
            for candidate in part {
                if !foremost.lock().may_take(request.order.first_of(&candidate.head)) {
                    break;
                }
                look_into(store, request, candidate, (&foremost, limit), progress);
            }
        });
    }
    let foremost = foremost.into_inner();
    let more = foremost.more;
    let hits: Vec<Hit> = foremost.hits.into_sorted_vec().into_iter().map(|placed| placed.hit).collect();
    let cursor = hits.last().filter(|_| more).map(|hit| hit.position().to_string());
    let mut answer = SearchAnswer { cursor, scanned: progress.scanned, ..SearchAnswer::default() };
    answer.partial = shape::partial(node, store, request.order, progress);
    answer.records = hits.iter().map(shape::record).collect();
    answer.took_ms = shape::millis(started);
    answer
}

fn look_into(
    store: &Store,
    request: &Request,
    candidate: &Candidate,
    (foremost, limit): (&Mutex<Foremost>, usize),
    progress: &mut Progress,
) {
    // One more than fits, so that it shows that there are more.
    let want = Want { bodies: !request.without_body, first: limit.checked_add(1), ..Want::default() };
    let looked = look::Look { store, request, candidate, want };
    let (order, key) = (request.order, Arc::<str>::from(candidate.info.key()));
    let cursor = request.cursor.as_ref().map(|cursor| order.place(cursor.time, &cursor.stream, cursor.seq));
    let last = foremost.lock().last();
    let last = last.as_ref().map(|(time, stream, seq)| order.place(*time, stream, *seq));
    let mut left_out = false;
    let takes = |row: &Row| {
        let place = order.place(row.time, &key, row.seq);
        if cursor.is_some_and(|cursor| place <= cursor) {
            return false;
        }
        let taken = last.is_none_or(|last| place < last);
        left_out |= !taken;
        taken
    };
    looked.each(progress, takes, |found| {
        let mut foremost = foremost.lock();
        if !foremost.may_take(order.place(found.record.time, &key, found.record.seq)) {
            return;
        }
        // A copy, so that one hit doesn't hold its whole block in memory.
        let body = if request.without_body { &[][..] } else { &found.record.body };
        let record = Record { body: Bytes::copy_from_slice(body), ..found.record };
        let (key, info) = (key.clone(), candidate.info.clone());
        foremost.push(Placed { hit: Hit { record, key, info, labels: candidate.labels.clone() }, order });
    });
    foremost.lock().more |= left_out;
}
