//! Stabilization: the past of the recommendations holds back the present one.
//!
//! Scaling up goes no higher than the lowest recommendation of its window;
//! scaling down no lower than the highest of its own.

use std::{cmp::Ordering, collections::VecDeque};

/// Recommendations of one autoscaler, oldest first.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// (microseconds since the Unix epoch, replicas)
    recommendations: VecDeque<(i64, i32)>,
}

/// Windows in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub up: i64,
    pub down: i64,
}

impl History {
    /// The number of replicas that is found at the start counts as a recommendation, so that a
    /// fresh autoscaler does not scale down at once.
    pub fn begin(&mut self, current: i32, now: i64) {
        if self.recommendations.is_empty() {
            self.recommendations.push_back((now, current));
        }
    }

    /// The clock was set by so much: what is remembered is as old as it was.
    pub fn shift(&mut self, by: i64) {
        self.recommendations.iter_mut().for_each(|(time, _)| *time = time.saturating_add(by));
    }

    /// Remembers `desired` and gives the highest recommendation of a window.
    pub fn highest(&mut self, desired: i32, window: i64, now: i64) -> i32 {
        self.stabilize(desired, desired, Windows { up: 0, down: window }, now);
        let recent = self.recommendations.iter().filter(|(time, _)| *time > now - window);
        recent.map(|(_, replicas)| *replicas).fold(desired, i32::max)
    }

    /// When the last of the recommendations that are higher than `desired` leaves a window.
    pub fn leaves(&self, desired: i32, window: i64, now: i64) -> Option<i64> {
        let higher = self.recommendations.iter().rfind(|(time, one)| *one > desired && *time > now - window);
        higher.map(|(time, _)| time + window)
    }

    /// Remembers `desired` and gives what stabilization makes of it, and when what holds it
    /// back leaves its window.
    pub fn stabilize(
        &mut self,
        current: i32,
        desired: i32,
        windows: Windows,
        now: i64,
    ) -> (i32, Option<i64>) {
        let longest = windows.up.max(windows.down);
        while self.recommendations.front().is_some_and(|(time, _)| *time <= now - longest) {
            self.recommendations.pop_front();
        }
        let (mut lowest, mut highest) = ((desired, None), (desired, None));
        for (time, replicas) in &self.recommendations {
            if *time > now - windows.up && *replicas <= lowest.0 {
                lowest = (*replicas, Some(*time));
            }
            if *time > now - windows.down && *replicas >= highest.0 {
                highest = (*replicas, Some(*time));
            }
        }
        self.remember(now, desired);
        // Not `clamp`: with windows of different length the bounds may cross.
        let stabilized = current.max(lowest.0).min(highest.0);
        let until = match stabilized.cmp(&desired) {
            Ordering::Equal => None,
            Ordering::Greater => highest.1.map(|time| time + windows.down),
            Ordering::Less => lowest.1.map(|time| time + windows.up),
        };
        (stabilized, until)
    }

    /// Of equal recommendations in a row only the first and the last matter to a window's edge.
    fn remember(&mut self, now: i64, desired: i32) {
        let length = self.recommendations.len();
        if length >= 2
            && self.recommendations[length - 1].1 == desired
            && self.recommendations[length - 2].1 == desired
        {
            self.recommendations[length - 1].0 = now;
        } else {
            self.recommendations.push_back((now, desired));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows { up: 0, down: 300 };

    #[test]
    fn downwards_waits_for_the_window_and_upwards_does_not() {
        let mut history = History::default();
        assert_eq!(history.stabilize(1, 5, WINDOWS, 0).0, 5);
        assert_eq!(history.stabilize(5, 1, WINDOWS, 10), (5, Some(300)));
        assert_eq!(history.stabilize(5, 3, WINDOWS, 290).0, 5);
        // The 5 of time 0 has left the window; 3 is the highest in it.
        assert_eq!(history.stabilize(5, 1, WINDOWS, 301).0, 3);
        assert_eq!(history.stabilize(3, 9, WINDOWS, 302).0, 9);
    }

    #[test]
    fn what_is_found_at_the_start_holds_for_a_window() {
        let mut history = History::default();
        history.begin(3, 0);
        assert_eq!(history.stabilize(3, 1, WINDOWS, 1).0, 3);
        history.begin(3, 200);
        assert_eq!(history.stabilize(3, 1, WINDOWS, 301).0, 1);
    }

    #[test]
    fn upwards_waits_too_when_it_has_a_window() {
        let windows = Windows { up: 60, down: 300 };
        let mut history = History::default();
        assert_eq!(history.stabilize(2, 2, windows, 0).0, 2);
        assert_eq!(history.stabilize(2, 6, windows, 30).0, 2);
        assert_eq!(history.stabilize(2, 6, windows, 61).0, 6);
    }

    #[test]
    fn a_clock_that_is_set_changes_no_window() {
        for by in [-3600, 3600, 30_000_000] {
            let mut history = History::default();
            assert_eq!(history.stabilize(1, 5, WINDOWS, 0).0, 5);
            assert_eq!(history.stabilize(5, 1, WINDOWS, 10), (5, Some(300)));
            history.shift(by);
            assert_eq!(history.leaves(1, 300, by + 20), Some(by + 300));
            assert_eq!(history.stabilize(5, 1, WINDOWS, by + 290), (5, Some(by + 300)), "set by {by}");
            assert_eq!(history.stabilize(5, 1, WINDOWS, by + 301), (1, None), "set by {by}");
            assert!(history.recommendations.iter().all(|(time, _)| *time <= by + 301));
        }
    }

    #[test]
    fn a_long_calm_takes_no_memory() {
        let mut history = History::default();
        for second in 0..10_000 {
            history.stabilize(4, 4, WINDOWS, second);
        }
        assert!(history.recommendations.len() <= 3);
        assert_eq!(history.stabilize(4, 2, WINDOWS, 10_001).0, 4);
    }
}
