//! How late it is, as far as the clock is believed.
//!
//! A clock may be wrong by years for a minute. What goes for its age must not go in that minute:
//! it can't be had again, and to wait costs nothing. What is stored can't say how late it is
//! either, as whatever is written in that minute has its time. So a clock that leaps ahead counts
//! when it has stood for a while; one that goes back counts at once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const SECOND: i64 = 1_000_000;
/// How long a clock has to stand before something goes for its age.
const STANDS: Duration = Duration::from_secs(3600);

/// What a clock has told, beside one that nobody sets.
#[derive(Debug)]
pub struct Late {
    begun: Instant,
    /// Microseconds.
    stands: i64,
    /// By how many seconds the clock was ahead of the other one, and since when: each more than the
    /// one before. The first is what is believed.
    told: VecDeque<(i64, i64)>,
}

impl Default for Late {
    fn default() -> Self {
        Self::standing(STANDS)
    }
}

impl Late {
    /// Begins with the newest time that is stored, microseconds since the Unix epoch: the clock may
    /// be wrong when the process begins.
    pub fn since(newest: Option<i64>) -> Self {
        let told = newest.map(|newest| (0, newest.div_euclid(SECOND))).into_iter().collect();
        Self { told, ..Self::default() }
    }

    /// A clock that counts when it has stood for so long, and at first as it is.
    pub fn standing(stands: Duration) -> Self {
        let stands = i64::try_from(stands.as_micros()).unwrap_or(i64::MAX);
        Self { begun: Instant::now(), stands, told: VecDeque::new() }
    }

    /// How late it is when the clock tells `clock`, microseconds since the Unix epoch: no later than
    /// that, and up to a second earlier where it is believed.
    pub fn is(&mut self, clock: i64) -> i64 {
        let running = i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.at(clock, running)
    }

    /// The same when `running` microseconds have passed.
    fn at(&mut self, clock: i64, running: i64) -> i64 {
        let ahead = clock.saturating_sub(running).div_euclid(SECOND);
        while self.told.back().is_some_and(|(_, more)| *more > ahead) {
            self.told.pop_back();
        }
        if self.told.back().is_none_or(|(_, less)| *less < ahead) {
            self.told.push_back((running, ahead));
        }
        while self.told.get(1).is_some_and(|(since, _)| running - since >= self.stands) {
            self.told.pop_front();
        }
        let believed = self.told.front().map_or(ahead, |(_, ahead)| *ahead);
        running.saturating_add(believed.saturating_mul(SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600 * SECOND;
    const YEAR: i64 = 365 * 24 * HOUR;
    /// What the clock tells when the process begins.
    const BEGIN: i64 = 50 * YEAR;

    #[test]
    fn a_clock_that_goes_on_is_believed() {
        let mut late = Late::default();
        for running in (0..10 * HOUR).step_by(10_000_007) {
            let told = late.at(BEGIN + running, running);
            assert!((0..SECOND).contains(&(BEGIN + running - told)), "{running}");
        }
        assert_eq!(late.told.len(), 1);
    }

    #[test]
    fn a_leap_counts_when_it_has_stood_and_a_step_back_at_once() {
        let mut late = Late::default();
        let mut at = |by: i64, running: i64| late.at(BEGIN + by + running, running) - BEGIN - running;
        assert_eq!(at(0, 0), 0);
        // Wrong for a minute.
        assert_eq!(at(YEAR, HOUR), 0);
        assert_eq!(at(2 * YEAR, HOUR + SECOND), 0);
        assert_eq!(at(0, HOUR + 60 * SECOND), 0);
        assert_eq!(at(0, 5 * HOUR), 0);
        // Set for good. How often it is asked doesn't matter.
        assert_eq!(at(YEAR, 9 * HOUR), 0);
        assert_eq!(at(YEAR, 10 * HOUR - 1), 0);
        assert_eq!(at(YEAR, 10 * HOUR), YEAR);
        assert_eq!(at(-HOUR, 10 * HOUR + SECOND), -HOUR);
        assert_eq!(at(0, 10 * HOUR + 2 * SECOND), -HOUR);
        assert_eq!(at(0, 12 * HOUR), 0);
    }

    #[test]
    fn a_process_begins_with_what_is_stored() {
        let mut late = Late::since(Some(BEGIN));
        assert_eq!(late.at(BEGIN + YEAR, 0), BEGIN);
        assert_eq!(late.at(BEGIN + 60 * SECOND, 60 * SECOND), BEGIN + 60 * SECOND);
        // What is stored is of the future: the clock was wrong when it was written.
        let mut late = Late::since(Some(BEGIN + YEAR));
        assert_eq!(late.at(BEGIN, 0), BEGIN);
        assert_eq!(Late::since(None).at(BEGIN, 0), BEGIN);
    }
}
