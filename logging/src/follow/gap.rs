//! What was written while a node was not listened to, or faster than its lines were taken: searched
//! for page by page, while live lines wait. Pure; who asks is [`crate::root`].
//!
//! ```text
//! page, page, ... last page -> live lines that waited -> live
//!            too many waited: they are let go, and the search goes on where the oldest of them is
//!            too many pages, or slower than lines are written: the rest is passed over, which is told
//! ```
//!
//! Bounds: pages of [`PAGE_BYTES`], [`HELD`] live lines of [`HELD_BYTES`], [`MOST`] lines in all, and [`LAG`].

use std::{collections::VecDeque, time::Duration};

use crate::{
    record::Position,
    time,
    wire::{LogRecord, NodeRequest, Order, SearchAnswer, TailLine},
};

/// How far before a watermark is searched, nanoseconds: what a sender or a runtime gave its time comes a while
/// later.
pub(crate) const BACK: i64 = 120 * time::SECOND;
/// The most lines of a gap that are shown.
pub(crate) const MOST: usize = 1_000_000;
/// Records of the first page, and the least of a later one.
const FIRST: usize = 100;
const LEAST: usize = 10;
/// What a page may weigh if its records are like those of the one before, and the most of them.
const PAGE_BYTES: usize = 4 << 20;
const PAGE: usize = 4_000;
/// Live lines that wait for the search.
pub(crate) const HELD: usize = 10_000;
/// What they may weigh.
const HELD_BYTES: usize = 8 << 20;
/// What a line weighs beside its body.
const LINE: usize = 512;
/// How often lines are let go, without a new one that was shown, before the rest is passed over.
const ROUNDS: usize = 10;
/// How far a reader may fall back behind what is written now, beyond what it was behind when the gap
/// began, nanoseconds.
const LAG: i64 = 60 * time::SECOND;
/// How often a page is asked for.
const TRIES: u32 = 4;
/// Before the second time; then twice as long each.
const PAUSE: Duration = Duration::from_millis(250);

/// One gap.
#[derive(Debug)]
pub(crate) struct Gap {
    from: i64,
    /// It never goes back further, nanoseconds.
    floor: i64,
    /// Live lines are those since then; `None`: those that are held.
    until: Option<i64>,
    cursor: Option<String>,
    /// Records of the next page.
    page: usize,
    /// The time of the newest record that was found since `from`.
    reached: i64,
    /// How far behind `from` was when it was new.
    lag: i64,
    most: usize,
    shown: usize,
    /// Those when the lines were let go last.
    shown_before: usize,
    rounds: usize,
    failures: u32,
    held: VecDeque<Box<LogRecord>>,
    /// The least time of those.
    held_since: i64,
    /// The newest that came by the live lines.
    watermark: Option<i64>,
    bytes: usize,
    /// Live lines were let go, none older than this.
    again: Option<i64>,
    /// The oldest time of all that were let go, and what of the time before `floor` was told.
    oldest: i64,
    told_from: i64,
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
    /// Seen at the time `now`: all from a time on, and if need be from an older one on, but never before
    /// `floor`, nanoseconds. At most about `most` lines are shown.
    /// Live lines begin at `until`, if they do not come from now on.
    pub fn new(from: i64, floor: i64, until: Option<i64>, now: i64, most: usize) -> Self {
        Self {
            from,
            floor,
            until,
            cursor: None,
            page: FIRST,
            reached: from,
            lag: now.saturating_sub(from),
            most,
            shown: 0,
            shown_before: 0,
            rounds: 0,
            failures: 0,
            held: VecDeque::new(),
            held_since: i64::MAX,
            watermark: None,
            bytes: 0,
            again: None,
            oldest: i64::MAX,
            told_from: floor,
            told: Vec::new(),
        }
    }

    /// From where on lines are missing when it ends here, nanoseconds.
    pub fn begin(&self) -> i64 {
        self.again.map_or(self.from, |since| since.min(self.from))
    }

    /// None of the live lines that were let go, and were not searched for since, is older.
    pub fn let_go_since(&self) -> Option<i64> {
        self.again
    }

    /// Between which times lines were let go that it doesn't go back to, unless it was told.
    pub fn too_old(&mut self) -> Option<(i64, i64)> {
        let is_news = self.oldest < self.told_from;
        self.told_from = self.told_from.min(self.oldest);
        is_news.then_some((self.told_from, self.floor))
    }

    /// The next page of what is followed by `request`.
    pub fn request(&self, request: &NodeRequest) -> NodeRequest {
        NodeRequest {
            since: request.since.max(Some(self.from)),
            limit: Some(self.page),
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
                let time = record.id.parse::<Position>().map_or(i64::MAX, |at| at.time);
                self.held_since = self.held_since.min(time);
                self.held.push_back(record);
                if self.held.len() > HELD || self.bytes > HELD_BYTES {
                    self.let_go(i64::MAX);
                }
            }
            // The search finds them.
            TailLine::Dropped { since, .. } => {
                self.let_go(since.unwrap_or_else(|| self.reached.saturating_sub(BACK).max(self.floor)));
            }
            TailLine::Watermark { watermark, .. } => {
                self.watermark = time::parse(&watermark).max(self.watermark);
            }
            line => return Some(line),
        }
        None
    }

    /// Those that wait, and others that are no older than `since`.
    fn let_go(&mut self, since: i64) {
        let oldest = std::mem::replace(&mut self.held_since, i64::MAX).min(since);
        self.again = self.again.into_iter().chain([oldest]).min();
        self.oldest = self.oldest.min(oldest);
        self.held.clear();
        self.bytes = 0;
    }

    /// All that was written before has been found, or came earlier, behind the pages so far.
    pub fn whole(&self) -> Option<i64> {
        let waits = self.again.map_or(self.held_since, |again| again.min(self.held_since));
        self.watermark.map(|watermark| watermark.min(self.reached).min(waits))
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

    /// Takes note of the place of an answer that came at the time `now`.
    pub fn after(&mut self, answer: &SearchAnswer, now: i64) -> After {
        self.failures = 0;
        let last = answer.records.last().and_then(|record| record.id.parse::<Position>().ok());
        self.reached = self.reached.max(last.map_or(self.reached, |last| last.time));
        self.cursor = answer.cursor.clone();
        let bytes: usize = answer.records.iter().map(|record| record.body.len() + LINE).sum();
        if let Some(each) = bytes.checked_div(answer.records.len()) {
            self.page = (PAGE_BYTES / each).clamp(LEAST, PAGE);
        }
        let is_last = self.cursor.is_none();
        if is_last && self.again.is_none() {
            return After::Live;
        }
        let is_late = now.saturating_sub(self.reached) > self.lag.saturating_add(LAG);
        if self.shown >= self.most || is_late || (is_last && self.rounds == ROUNDS) {
            return After::Over(self.reached.saturating_add(1));
        }
        if let Some(since) = self.again.take_if(|_| is_last) {
            self.rounds = if self.shown > self.shown_before { 0 } else { self.rounds + 1 };
            self.shown_before = self.shown;
            self.from = since.max(self.floor);
            self.reached = self.from;
            self.lag = self.lag.max(now.saturating_sub(self.from));
        }
        After::Page
    }

    /// Whether a page that failed is asked for once more.
    pub fn failed(&mut self) -> bool {
        self.failures += 1;
        self.failures < TRIES
    }

    /// Where the live lines begin that wait.
    pub fn end(&self) -> i64 {
        if let (Some(until), None) = (self.until, self.again) {
            return until;
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

    fn dropped(since: Option<i64>) -> TailLine {
        TailLine::Dropped { dropped: 7, node: "n".into(), since }
    }

    fn page(last: u64, has_more: bool) -> SearchAnswer {
        let records = vec![record(last, "found")];
        let cursor = has_more.then(|| records[0].id.clone());
        SearchAnswer { records, cursor, ..SearchAnswer::default() }
    }

    #[test]
    fn pages_come_first_and_then_what_waited() {
        let mut gap = Gap::new(3, 0, Some(5), 5, 100);
        let request = NodeRequest { query: "q".into(), ..NodeRequest::default() };
        assert_eq!((gap.request(&request).since, gap.request(&request).cursor), (Some(3), None));
        assert_eq!(gap.after(&page(7, true), 10), After::Page);
        assert_eq!(gap.request(&request).cursor, page(7, true).cursor);
        assert_eq!(gap.hold(live(9)), None);
        assert_eq!(gap.after(&page(8, false), 10), After::Live);
        assert_eq!(gap.into_held().collect::<Vec<_>>(), [live(9)]);
        // What the question itself says of time stays.
        let later = NodeRequest { since: Some(50), ..request };
        assert_eq!(Gap::new(3, 0, Some(5), 5, 100).request(&later).since, Some(50));
    }

    #[test]
    fn pages_weigh_about_as_much_whatever_their_lines_do() {
        let limit = |gap: &Gap| gap.request(&NodeRequest::default()).limit;
        let mut gap = Gap::new(3, 0, None, 5, 100);
        assert_eq!(limit(&gap), Some(FIRST));
        for (body, expected) in
            [(10, PAGE), (1 << 20, LEAST), (64 << 10, 63), (PAGE_BYTES / 1_000 - LINE, 1_000)]
        {
            let records = vec![record(7, &"x".repeat(body)); 3];
            let cursor = Some(records[0].id.clone());
            gap.after(&SearchAnswer { records, cursor, ..SearchAnswer::default() }, 10);
            assert_eq!(limit(&gap), Some(expected), "{body}");
        }
        gap.after(&SearchAnswer { cursor: Some("c".into()), ..SearchAnswer::default() }, 10);
        assert_eq!(limit(&gap), Some(1_000), "as before");
    }

    #[test]
    fn live_lines_beyond_the_bound_are_searched_for() {
        for over in ["lines", "bytes", "dropped"] {
            let mut gap = Gap::new(3, 0, Some(5), 5, 100);
            match over {
                "lines" => (0..=HELD as u64).for_each(|seq| assert_eq!(gap.hold(live(seq)), None)),
                "bytes" => {
                    let heavy = record(0, &"x".repeat(HELD_BYTES));
                    assert_eq!(gap.hold(TailLine::Record(Box::new(heavy))), None);
                }
                _ => assert_eq!(gap.hold(dropped(Some(0))), None),
            }
            assert!(gap.held.is_empty(), "{over}");
            assert_eq!(gap.hold(live(30_000)), None);
            assert_eq!(gap.end(), 30_000, "{over}: what was let go stands before it");
            assert_eq!(gap.after(&page(7, false), 10), After::Page, "{over}: once more, to where they are");
            assert_eq!((gap.after(&page(8, false), 10), gap.end()), (After::Live, 5), "{over}");
            assert_eq!(gap.into_held().collect::<Vec<_>>(), [live(30_000)], "{over}");
        }
    }

    #[test]
    fn what_never_ends_is_passed_over_and_other_lines_do_not_wait() {
        let mut gap = Gap::new(3, 0, Some(5), 5, 2);
        assert_eq!(gap.after(&page(7, true), 10), After::Page);
        gap.count();
        gap.count();
        assert_eq!(gap.after(&page(8, true), 10), After::Over(9));
        let mut gap = Gap::new(3, 0, Some(5), 5, 100);
        for _ in 0..ROUNDS {
            gap.hold(dropped(Some(9)));
            assert_eq!(gap.after(&page(7, false), 10), After::Page);
        }
        gap.hold(dropped(Some(9)));
        assert_eq!(gap.after(&page(7, false), 10), After::Over(10), "none of those let go is before 9");
        let ended = TailLine::Ended { ended: "why".into() };
        assert_eq!(gap.hold(ended.clone()), Some(ended));
    }

    #[test]
    fn lines_that_are_let_go_are_searched_for_from_the_oldest_on() {
        let since = |gap: &Gap| gap.request(&NodeRequest::default()).since;
        let mut gap = Gap::new(500, 100, None, 600, 100);
        assert_eq!(gap.after(&page(800, true), 900), After::Page);
        assert_eq!(since(&gap), Some(500));
        // A file that is read late has older lines than what was found, and than those of the others.
        for seq in (700..).take(HELD).chain([650]) {
            gap.hold(live(seq));
        }
        assert_eq!((gap.after(&page(900, false), 950), since(&gap)), (After::Page, Some(650)));
        assert_eq!(gap.after(&page(960, true), 970), After::Page);
        gap.hold(dropped(Some(300)));
        gap.hold(dropped(Some(400)));
        assert_eq!((gap.after(&page(980, false), 990), since(&gap)), (After::Page, Some(300)));
        assert_eq!(gap.too_old(), None);
        gap.hold(dropped(Some(7)));
        assert_eq!((gap.let_go_since(), gap.begin()), (Some(7), 7));
        assert_eq!((gap.after(&page(980, false), 990), since(&gap)), (After::Page, Some(100)), "the floor");
        assert_eq!((gap.too_old(), gap.too_old()), (Some((7, 100)), None), "it is told once");
        // An older collector doesn't say.
        let mut gap = Gap::new(3 * BACK, 0, None, 3 * BACK, 100);
        gap.hold(dropped(None));
        assert_eq!((gap.after(&page(7, false), 3 * BACK), since(&gap)), (After::Page, Some(2 * BACK)));
    }

    #[test]
    fn what_a_page_found_counts_as_far_as_the_node_was_and_nothing_older_waits() {
        let mark = |time| TailLine::Watermark { watermark: time::format(time), node: "n".into() };
        let mut gap = Gap::new(100, 0, None, 500, 100);
        gap.after(&page(200, true), 500);
        assert_eq!(gap.whole(), None, "the node has not said how far it is");
        assert_eq!(gap.hold(mark(450)), None);
        assert_eq!(gap.whole(), Some(200));
        gap.after(&page(480, true), 500);
        assert_eq!(gap.whole(), Some(450), "what it reads later may be older than what was found");
        gap.hold(live(300));
        gap.hold(live(400));
        assert_eq!(gap.whole(), Some(300), "it waits");
        gap.hold(dropped(Some(250)));
        gap.hold(live(470));
        assert_eq!(gap.whole(), Some(250), "it is searched for");
    }

    #[test]
    fn who_gets_something_new_each_time_goes_on_for_as_long_as_he_keeps_up() {
        let mut gap = Gap::new(0, 0, None, BACK, usize::MAX);
        let mut now = BACK;
        let mut next = |gap: &mut Gap, passes: i64, found: i64| {
            now += passes;
            gap.hold(dropped(Some(now)));
            gap.count();
            gap.after(&page(found.cast_unsigned(), false), now)
        };
        for number in 1..10 * ROUNDS as i64 {
            assert_eq!(next(&mut gap, BACK, number * BACK), After::Page, "{number}");
        }
        let at = 10 * ROUNDS as i64 * BACK;
        assert_eq!(next(&mut gap, BACK, at), After::Page);
        // What was written since is `BACK` old, as it was at the begin, and then more than `LAG` older.
        assert_eq!(next(&mut gap, LAG, at + BACK), After::Page);
        assert_eq!(next(&mut gap, BACK + LAG + 1, at + BACK), After::Over(at + BACK + LAG + 1));
    }

    #[test]
    fn a_page_that_fails_is_asked_for_again_a_few_times() {
        let mut gap = Gap::new(3, 0, Some(5), 5, 2);
        assert_eq!(gap.pause(), Duration::ZERO);
        assert!(gap.failed() && gap.failed());
        assert_eq!(gap.pause(), 2 * PAUSE);
        assert_eq!(gap.after(&page(7, true), 10), After::Page);
        let tries = (1..).find(|_| !gap.failed());
        assert_eq!(tries, Some(TRIES as usize));
    }
}
