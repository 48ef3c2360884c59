//! What time a second has: the clock's, but even, since rates are computed from it. Pure.
//!
//! A clock that is set by little is followed by little, a tenth of what passes at most: no rate
//! is off by more. One that is set by more is followed at once, and the second says so: from
//! there on a new run begins, and no rate may reach across.

/// What a clock is off by before it is followed at once, microseconds.
const LITTLE: i64 = 2_000_000;

/// The times of seconds, one after the other.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The time of the last one, and for how long the process had run then.
    last: Option<(i64, i64)>,
}

impl Times {
    /// The time of a second at which the clock tells `clock` and the process has run for `running`,
    /// and whether a new run begins with it. All in microseconds.
    pub fn next(&mut self, clock: i64, running: i64) -> (i64, bool) {
        let (time, anew) = match self.last {
            Some((told, ran)) => follow(clock, told, running - ran),
            None => (clock, false),
        };
        self.last = Some((time, running));
        (time, anew)
    }
}

/// The time after one that was told, when so much has passed.
fn follow(clock: i64, told: i64, passed: i64) -> (i64, bool) {
    let passed = passed.max(10);
    let even = told.saturating_add(passed);
    let off = clock.saturating_sub(even);
    match (-LITTLE..=LITTLE).contains(&off) {
        true => (even + off.clamp(-passed / 10, passed / 10), false),
        false => (clock, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3600 * SECOND;

    /// Seconds of a process whose clock is set by so much at its fifth second.
    fn seconds(set_by: i64) -> Vec<(i64, bool)> {
        let mut times = Times::default();
        let clock = |second: i64| 2 * HOUR + second * SECOND + if second < 5 { 0 } else { set_by };
        (0..60).map(|second| times.next(clock(second), second * SECOND)).collect()
    }

    #[test]
    fn a_clock_that_is_not_set_is_what_is_told() {
        let expected: Vec<_> = (0..60).map(|second| (2 * HOUR + second * SECOND, false)).collect();
        assert_eq!(seconds(0), expected);
        let mut times = Times::default();
        // Read a little late, and after a pause.
        for (clock, running) in [(1000, 0), (SECOND + 1300, SECOND), (9 * SECOND + 900, 9 * SECOND)] {
            assert_eq!(times.next(clock, running), (clock, false));
        }
    }

    #[test]
    fn a_clock_that_is_set_by_little_is_followed_evenly() {
        for set_by in [LITTLE, 400_000, -400_000, -999_999, -LITTLE] {
            let told = seconds(set_by);
            for pair in told.windows(2) {
                let step = pair[1].0 - pair[0].0;
                assert!((SECOND * 9 / 10..=SECOND * 11 / 10).contains(&step), "{set_by}: {step}");
            }
            assert!(told.iter().all(|(_, anew)| !anew), "{set_by}");
            assert_eq!(told.last(), Some(&(2 * HOUR + 59 * SECOND + set_by, false)));
        }
    }

    #[test]
    fn a_clock_that_is_set_by_more_begins_a_run_once() {
        for set_by in [HOUR, LITTLE + 1, -LITTLE - 1, -HOUR, 100 * 365 * 24 * HOUR, -2 * HOUR] {
            let told = seconds(set_by);
            assert_eq!(told[5], (2 * HOUR + 5 * SECOND + set_by, true), "{set_by}");
            assert_eq!(told.iter().filter(|(_, anew)| *anew).count(), 1, "{set_by}");
            assert_eq!(told.last(), Some(&(2 * HOUR + 59 * SECOND + set_by, false)));
        }
    }
}
