//! Which records of each stream were shown: what comes twice is shown once.
//!
//! Records come twice where a search overlaps the live lines, and where a collector that was
//! killed reads again what it had not committed. They come out of order too, since a search goes by time.
//! So the numbers of a stream are kept as ranges, few of them once they are old: below those all
//! counts as shown. Numbers need not rise with time, as what comes by a door has its sender's times,
//! so a range stays until it is two [`BACK`] older than the newest record of its stream. A search goes
//! back further where a node's watermark stands still for longer; what it finds below the ranges that
//! are left isn't shown again.

use std::collections::HashMap;

use super::BACK;
use crate::record::Position;

/// Ranges that stay of a stream though they are old: without holes it has one, and a query that takes few
/// lines makes many.
const RANGES: usize = 32;
/// Ranges of a stream however new they are, which bounds what they weigh.
const MOST_RANGES: usize = 16_384;
/// Streams among which none is looked for that could be forgotten.
const FEW: usize = 1_000;

/// The records that were shown, by the number in their stream.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    streams: HashMap<String, Numbers>,
    /// With so many streams it is looked for old ones.
    sweep: usize,
}

impl Shown {
    /// Whether the record of this id was not shown before; from now on it was. An id that
    /// can't be read is new each time.
    pub fn is_new(&mut self, id: &str) -> bool {
        let Ok(at) = id.parse::<Position>() else { return true };
        let numbers = self.streams.entry(at.stream).or_default();
        numbers.add(at.seq, at.time)
    }

    /// Forgets streams without a record since `time`, nanoseconds, once there are many. Nothing
    /// older may be searched for afterwards.
    pub fn forget(&mut self, time: i64) {
        if self.streams.len() < self.sweep.max(FEW) {
            return;
        }
        self.streams.retain(|_, numbers| numbers.newest >= time);
        self.sweep = 2 * self.streams.len();
    }
}

#[derive(Debug)]
struct Numbers {
    /// All up to here count as shown.
    floor: Option<u64>,
    /// Ascending, with holes between them.
    ranges: Vec<Range>,
    /// The greatest time of a record, nanoseconds.
    newest: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u64,
    last: u64,
    /// The greatest time of its records, nanoseconds.
    newest: i64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { floor: None, ranges: Vec::new(), newest: i64::MIN }
    }
}

impl Numbers {
    /// Whether it was not there.
    fn add(&mut self, number: u64, time: i64) -> bool {
        self.newest = self.newest.max(time);
        if self.floor.is_some_and(|floor| number <= floor) {
            return false;
        }
        let at = self.ranges.partition_point(|range| range.last < number);
        let next = self.ranges.get(at).map(|range| range.first);
        if next.is_some_and(|first| first <= number) {
            return false;
        }
        let mut new = Range { first: number, last: number, newest: time };
        let mut begin = at;
        if at > 0 && self.ranges[at - 1].last + 1 == number {
            begin = at - 1;
            new = new.with(self.ranges[begin]);
        }
        let mut end = at;
        if next.is_some_and(|first| first - 1 == number) {
            new = new.with(self.ranges[at]);
            end = at + 1;
        }
        if begin == end {
            self.ranges.insert(at, new);
        } else {
            self.ranges[begin] = new;
            self.ranges.drain(begin + 1..end);
        }
        self.let_go();
        true
    }

    /// Lets the lowest ranges go that are too many.
    fn let_go(&mut self) {
        let old = self.newest.saturating_sub(2 * BACK);
        while let Some(lowest) = self.ranges.first().copied()
            && self.ranges.len() > RANGES
            && (lowest.newest < old || self.ranges.len() > MOST_RANGES)
        {
            self.ranges.remove(0);
            self.floor = Some(lowest.last);
        }
    }
}

impl Range {
    /// Both, which touch, as one.
    fn with(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            newest: self.newest.max(other.newest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(time: i64, stream: &str, seq: u64) -> String {
        Position { time, stream: stream.into(), seq }.to_string()
    }

    fn check(shown: &mut Shown, stream: &str, numbers: &[(u64, bool)]) {
        for (number, expected) in numbers {
            assert_eq!(shown.is_new(&id(5, stream, *number)), *expected, "{stream} {number}");
        }
    }

    #[test]
    fn what_is_there_twice_is_shown_once() {
        let mut shown = Shown::default();
        // Out of order, as a search gives them; another stream has numbers of its own.
        check(&mut shown, "a", &[(9, true), (8, true), (9, false), (10, true), (12, true)]);
        check(&mut shown, "b", &[(9, true), (u64::MAX, true), (0, true), (u64::MAX, false), (0, false)]);
        // Read again after a kill, and then what is new.
        check(&mut shown, "a", &[(8, false), (9, false), (10, false), (11, true), (12, false), (13, true)]);
        assert!(shown.is_new("no position") && shown.is_new("no position"));
    }

    #[test]
    fn few_old_ranges_are_kept_and_nothing_is_shown_twice_for_that() {
        let mut shown = Shown::default();
        let every_third: Vec<(i64, u64)> =
            (1..=1_000).map(|number| (number * BACK, 3 * number as u64)).collect();
        assert!(every_third.iter().all(|(time, number)| shown.is_new(&id(*time, "a", *number))));
        assert!(!every_third.iter().any(|(time, number)| shown.is_new(&id(*time, "a", *number))));
        let kept = &shown.streams["a"];
        assert_eq!((kept.ranges.len(), kept.floor), (RANGES, Some(3 * (1_000 - RANGES as u64))));
        // Without holes one is enough.
        (0..10_000).for_each(|number| assert!(shown.is_new(&id(5, "b", number))));
        assert_eq!(shown.streams["b"].ranges, [Range { first: 0, last: 9_999, newest: 5 }]);
        // New ones have a bound too.
        let many = MOST_RANGES as u64 + 10;
        (0..many).for_each(|number| assert!(shown.is_new(&id(5, "c", 2 * number))));
        assert_eq!(shown.streams["c"].ranges.len(), MOST_RANGES);
        assert!(!shown.is_new(&id(5, "c", 0)));
    }

    #[test]
    fn numbers_that_fall_while_time_rises_are_all_new() {
        let mut shown = Shown::default();
        // A part that was sent once more, and later, has the older times and the greater numbers.
        let late = (0..300).map(|at| (at * BACK / 600, 1_000 + 3 * at as u64));
        let rest = (0..300).map(|at| (BACK / 2 + at * BACK / 600, 3 * at as u64));
        let all: Vec<String> = late.chain(rest).map(|(time, number)| id(time, "a", number)).collect();
        for id in &all {
            assert!(shown.is_new(id), "{id}");
        }
        assert!(!all.iter().any(|id| shown.is_new(id)));
        // Once they are old, the lowest of them are let go.
        assert!(shown.is_new(&id(4 * BACK, "a", 5_000)));
        assert_eq!(shown.streams["a"].ranges.len(), RANGES);
    }

    #[test]
    fn streams_that_ended_are_forgotten_once_there_are_many() {
        let mut shown = Shown::default();
        for stream in 0..FEW {
            assert!(shown.is_new(&id(stream as i64, &format!("pod-{stream}"), 0)));
            shown.forget(i64::MIN);
        }
        shown.forget(FEW as i64 - 10);
        assert_eq!(shown.streams.len(), FEW, "it was looked for not long ago");
        for stream in FEW..2 * FEW {
            assert!(shown.is_new(&id(stream as i64, &format!("pod-{stream}"), 0)));
        }
        shown.forget(2 * FEW as i64 - 10);
        assert_eq!(shown.streams.len(), 10);
        assert!(!shown.is_new(&id(0, &format!("pod-{}", 2 * FEW - 1), 0)));
    }
}
