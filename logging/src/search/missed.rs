//! How old the oldest is of what a slow follower missed, so that it can be searched for from there on.
//!
//! Records are published in order of their numbers, not of their times: files are read one after the
//! other, and a backlog is older than what is written now. Of all that was published since a number the
//! oldest time is asked for, so only those batches are kept behind which none is older. Pure.

use std::collections::VecDeque;

/// Steps that are kept; of two that are joined the older time counts.
const STEPS: usize = 1_024;

/// Ends and times both ascend.
#[derive(Debug, Default)]
pub(super) struct Oldest {
    steps: VecDeque<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// Behind the last record that it counts for.
    end: u64,
    /// Nothing from its first record on is older, nanoseconds.
    time: i64,
}

impl Oldest {
    /// Records up to the number `end`, exclusive, were published; the oldest is of this time.
    pub fn add(&mut self, end: u64, time: i64) {
        while self.steps.back().is_some_and(|last| last.time >= time) {
            self.steps.pop_back();
        }
        self.steps.push_back(Step { end, time });
        if self.steps.len() > STEPS {
            self.join();
        }
    }

    /// No record from this number on is older; `None` when there is none.
    pub fn since(&self, number: u64) -> Option<i64> {
        let at = self.steps.partition_point(|step| step.end <= number);
        self.steps.get(at).map(|step| step.time)
    }

    /// Half as many, of which each says no more than it knows.
    fn join(&mut self) {
        let steps = std::mem::take(&mut self.steps);
        let mut steps = steps.into_iter();
        while let Some(first) = steps.next() {
            let end = steps.next().map_or(first.end, |second| second.end);
            self.steps.push_back(Step { end, time: first.time });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_that_was_published_since_is_older(times in prop::collection::vec(-50i64..50, 1..60), from in 0u64..70) {
            let mut oldest = Oldest::default();
            for (at, time) in times.iter().enumerate() {
                oldest.add(at as u64 + 1, *time);
            }
            let expected = times.iter().skip(usize::try_from(from).expect("small")).min().copied();
            prop_assert_eq!(oldest.since(from), expected);
        }
    }

    #[test]
    fn few_are_kept_and_they_never_say_too_late_a_time() {
        let mut oldest = Oldest::default();
        let all = 10 * STEPS as u64;
        for number in 0..all {
            oldest.add(number + 1, number.cast_signed());
            assert!(oldest.steps.len() <= STEPS);
        }
        for number in 0..all {
            let since = oldest.since(number).expect("there is more");
            assert!(since <= number.cast_signed(), "{number}: {since}");
        }
        assert_eq!(oldest.since(all), None);
        // An old one behind them all stands for all.
        oldest.add(all + 1, -5);
        assert_eq!((oldest.since(0), oldest.steps.len()), (Some(-5), 1));
    }
}
