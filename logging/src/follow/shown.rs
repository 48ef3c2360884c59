//! Which records of each stream were shown: what comes twice is shown once.
//!
//! Records come twice where a search overlaps the live lines, and where a collector that was
//! killed reads again what it had not committed. They come out of order too, since a search goes by time.
//! So the numbers of a stream are kept as ranges, few of them: below the lowest all counts as shown.

use std::collections::HashMap;

use crate::record::Position;

/// Ranges of a stream: without holes it has one, and a query that takes few lines makes many.
const RANGES: usize = 32;
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
        numbers.newest = numbers.newest.max(at.time);
        numbers.add(at.seq)
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
    /// First and last of each, ascending, with holes between them.
    ranges: Vec<(u64, u64)>,
    /// The greatest time of a record, nanoseconds.
    newest: i64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { floor: None, ranges: Vec::new(), newest: i64::MIN }
    }
}

impl Numbers {
    /// Whether it was not there.
    fn add(&mut self, number: u64) -> bool {
        if self.floor.is_some_and(|floor| number <= floor) {
            return false;
        }
        let at = self.ranges.partition_point(|(_, last)| *last < number);
        let next = self.ranges.get(at).map(|(first, _)| *first);
        if next.is_some_and(|first| first <= number) {
            return false;
        }
        let follows = at > 0 && self.ranges[at - 1].1 + 1 == number;
        let precedes = next.is_some_and(|first| first - 1 == number);
        match (follows, precedes) {
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = number,
            (false, true) => self.ranges[at].0 = number,
            (false, false) => self.ranges.insert(at, (number, number)),
        }
        if self.ranges.len() > RANGES {
            self.floor = Some(self.ranges.remove(0).1);
        }
        true
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
    fn few_ranges_are_kept_and_nothing_is_shown_twice_for_that() {
        let mut shown = Shown::default();
        let every_third: Vec<u64> = (1..=1_000).map(|number| 3 * number).collect();
        assert!(every_third.iter().all(|number| shown.is_new(&id(5, "a", *number))));
        assert!(!every_third.iter().any(|number| shown.is_new(&id(5, "a", *number))));
        let kept = &shown.streams["a"];
        assert_eq!((kept.ranges.len(), kept.floor), (RANGES, Some(3 * (1_000 - RANGES as u64))));
        // Without holes one is enough.
        (0..10_000).for_each(|number| assert!(shown.is_new(&id(5, "b", number))));
        assert_eq!(shown.streams["b"].ranges, [(0, 9_999)]);
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
