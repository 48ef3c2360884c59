//! What was written while a node was not listened to: searched for page by page, while live
//! lines wait. Pure; who asks is [`crate::root`].
//!
//! ```text
//! page, page, ... last page -> live lines that waited -> live
//!            too many waited: they are let go, and the search goes on to where they are
//!            too many pages:  the rest is passed over, which is told
//! ```
//!
//! Bounds: [`PAGE`] records, [`HELD`] live lines of [`HELD_BYTES`], [`MOST`] lines in all.

use std::{collections::VecDeque, time::Duration};

use crate::{
    record::Position,
    time,
    wire::{LogRecord, NodeRequest, Order, SearchAnswer, TailLine},
};

/// How far before the last sign of life is searched: what is written is collected a while later.
pub(crate) const BACK: i64 = 120 * time::SECOND;
/// The most lines of a gap that are shown.
pub(crate) const MOST: usize = 1_000_000;
/// Records of a page.
const PAGE: usize = 1_000;
/// Live lines that wait for the search.
pub(crate) const HELD: usize = 10_000;
/// What they may weigh.
const HELD_BYTES: usize = 8 << 20;
/// What a line weighs beside its body.
const LINE: usize = 512;
/// How often lines are let go before the rest is passed over.
const ROUNDS: usize = 10;
/// How often a page is asked for.
const TRIES: u32 = 4;
/// Before the second time; then twice as long each.
const PAUSE: Duration = Duration::from_millis(250);

/// One gap.
#[derive(Debug)]
pub(crate) struct Gap {
    from: i64,
    cursor: Option<String>,
    /// The time of the newest record that was found.
    reached: i64,
    most: usize,
    shown: usize,
    rounds: usize,
    failures: u32,
    held: VecDeque<Box<LogRecord>>,
    bytes: usize,
    /// Live lines were let go.
    again: bool,
    /// What the answers lacked, as far as it was told.
    told: Vec<String>,
}

/// What comes after a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Another one.
    Page,
    /// The lines that waited, and live ones.
    Live,
    /// What is newer than this is passed over.
    Over(i64),
}

impl Gap {
    /// From a time on, nanoseconds; at most about `most` lines are shown.
    pub fn new(from: i64, most: usize) -> Self {
        Self {
            from,
            cursor: None,
            reached: from,
            most,
            shown: 0,
            rounds: 0,
            failures: 0,
            held: VecDeque::new(),
            bytes: 0,
            again: false,
            told: Vec::new(),
        }
    }

    /// Where it begins, nanoseconds.
    pub fn begin(&self) -> i64 {
        self.from
    }

    /// The next page of what is followed by `request`.
    pub fn request(&self, request: &NodeRequest) -> NodeRequest {
        NodeRequest {
            since: request.since.max(Some(self.from)),
            limit: Some(PAGE),
            cursor: self.cursor.clone(),
            order: Order::Oldest,
            ..request.clone()
        }
    }

    /// How long to wait before it is asked for.
    pub fn pause(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => PAUSE * 2u32.pow(failures - 1),
        }
    }

    /// Keeps a live line until the search is through; gives back what doesn't wait.
    pub fn hold(&mut self, line: TailLine) -> Option<TailLine> {
        match line {
            TailLine::Record(record) => {
                self.bytes += record.body.len() + LINE;
                self.held.push_back(record);
                if self.held.len() > HELD || self.bytes > HELD_BYTES {
                    self.let_go();
                }
            }
            // The search finds them.
            TailLine::Dropped { .. } => self.let_go(),
            line => return Some(line),
        }
        None
    }

    fn let_go(&mut self) {
        self.held.clear();
        self.bytes = 0;
        self.again = true;
    }

    /// A line of it was shown.
    pub fn count(&mut self) {
        self.shown += 1;
    }

    /// What an answer lacks and was not told before.
    pub fn lacks(&mut self, answer: &SearchAnswer) -> Vec<String> {
        let missing = answer.partial.iter().map(|missing| missing.error.clone());
        let new: Vec<String> = missing.filter(|error| !self.told.contains(error)).collect();
        self.told.extend(new.iter().cloned());
        new
    }

    /// Takes note of an answer's place.
    pub fn after(&mut self, answer: &SearchAnswer) -> After {
        self.failures = 0;
        let last = answer.records.last().and_then(|record| record.id.parse::<Position>().ok());
        self.reached = self.reached.max(last.map_or(self.reached, |last| last.time));
        self.cursor = answer.cursor.clone();
        let is_last = self.cursor.is_none();
        if is_last && !self.again {
            return After::Live;
        }
        if self.shown >= self.most || (is_last && self.rounds == ROUNDS) {
            return After::Over(self.reached.saturating_add(1));
        }
        if is_last {
            self.rounds += 1;
            self.again = false;
            self.from = self.from.max(self.reached.saturating_sub(BACK));
        }
        After::Page
    }

    /// Whether a page that failed is asked for once more.
    pub fn failed(&mut self) -> bool {
        self.failures += 1;
        self.failures < TRIES
    }

    /// Where the live lines begin that wait, those of a connection that was made at this time.
    pub fn end(&self, connected: i64) -> i64 {
        if !self.again {
            return connected;
        }
        let first = self.held.front().and_then(|record| record.id.parse::<Position>().ok());
        first.map_or_else(time::now, |first| first.time)
    }

    /// The live lines that waited.
    pub fn into_held(self) -> impl Iterator<Item = TailLine> {
        self.held.into_iter().map(TailLine::Record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, body: &str) -> LogRecord {
        let id = Position { time: seq.cast_signed(), stream: "s".into(), seq }.to_string();
        LogRecord { id, body: body.into(), ..LogRecord::default() }
    }

    fn live(seq: u64) -> TailLine {
        TailLine::Record(Box::new(record(seq, "live")))
    }

    fn page(last: u64, has_more: bool) -> SearchAnswer {
        let records = vec![record(last, "found")];
        let cursor = has_more.then(|| records[0].id.clone());
        SearchAnswer { records, cursor, ..SearchAnswer::default() }
    }

    #[test]
    fn pages_come_first_and_then_what_waited() {
        let mut gap = Gap::new(3, 100);
        let request = NodeRequest { query: "q".into(), ..NodeRequest::default() };
        assert_eq!((gap.request(&request).since, gap.request(&request).cursor), (Some(3), None));
        assert_eq!(gap.after(&page(7, true)), After::Page);
        assert_eq!(gap.request(&request).cursor, page(7, true).cursor);
        assert_eq!(gap.hold(live(9)), None);
        assert_eq!(gap.after(&page(8, false)), After::Live);
        assert_eq!(gap.into_held().collect::<Vec<_>>(), [live(9)]);
        // What the question itself says of time stays.
        let later = NodeRequest { since: Some(50), ..request };
        assert_eq!(Gap::new(3, 100).request(&later).since, Some(50));
    }

    #[test]
    fn live_lines_beyond_the_bound_are_searched_for() {
        for over in ["lines", "bytes", "dropped"] {
            let mut gap = Gap::new(3, 100);
            match over {
                "lines" => (0..=HELD as u64).for_each(|seq| assert_eq!(gap.hold(live(seq)), None)),
                "bytes" => {
                    let heavy = record(0, &"x".repeat(HELD_BYTES));
                    assert_eq!(gap.hold(TailLine::Record(Box::new(heavy))), None);
                }
                _ => assert_eq!(gap.hold(TailLine::Dropped { dropped: 7, node: "n".into() }), None),
            }
            assert!(gap.held.is_empty(), "{over}");
            assert_eq!(gap.hold(live(30_000)), None);
            assert_eq!(gap.end(5), 30_000, "{over}: what was let go stands before it");
            assert_eq!(gap.after(&page(7, false)), After::Page, "{over}: once more, to where they are");
            assert_eq!((gap.after(&page(8, false)), gap.end(5)), (After::Live, 5), "{over}");
            assert_eq!(gap.into_held().collect::<Vec<_>>(), [live(30_000)], "{over}");
        }
    }

    #[test]
    fn what_never_ends_is_passed_over_and_other_lines_do_not_wait() {
        let mut gap = Gap::new(3, 2);
        assert_eq!(gap.after(&page(7, true)), After::Page);
        gap.count();
        gap.count();
        assert_eq!(gap.after(&page(8, true)), After::Over(9));
        let mut gap = Gap::new(3, 100);
        for _ in 0..ROUNDS {
            gap.hold(TailLine::Dropped { dropped: 7, node: "n".into() });
            assert_eq!(gap.after(&page(7, false)), After::Page);
        }
        gap.hold(TailLine::Dropped { dropped: 7, node: "n".into() });
        assert_eq!(gap.after(&page(7, false)), After::Over(8));
        let ended = TailLine::Ended { ended: "why".into() };
        assert_eq!(gap.hold(ended.clone()), Some(ended));
    }

    #[test]
    fn a_page_that_fails_is_asked_for_again_a_few_times() {
        let mut gap = Gap::new(3, 2);
        assert_eq!(gap.pause(), Duration::ZERO);
        assert!(gap.failed() && gap.failed());
        assert_eq!(gap.pause(), 2 * PAUSE);
        assert_eq!(gap.after(&page(7, true)), After::Page);
        let tries = (1..).find(|_| !gap.failed());
        assert_eq!(tries, Some(TRIES as usize));
    }
}
