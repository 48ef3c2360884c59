//! By how much the clock was set between two looks. Pure.
//!
//! What is remembered from look to look has its age by the clock. When that is set, all of it is
//! shifted as far: a recommendation holds back for its window and no longer, whether an hour is
//! there twice or a year is left out.

/// Less than this is the clock following the true time, microseconds.
const SET: i64 = 1_000_000;

#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// What it told at the look before, and for how long the process had run.
    last: Option<(i64, i64)>,
}

impl Clock {
    /// By how much it was set since it was asked before, where it tells `now` and the process has
    /// run for `running`. All in microseconds.
    pub fn set_by(&mut self, now: i64, running: i64) -> i64 {
        let Some((told, ran)) = self.last.replace((now, running)) else { return 0 };
        let by = now.saturating_sub(told).saturating_sub(running - ran);
        if by.saturating_abs() < SET { 0 } else { by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_says_by_how_much_once() {
        let (second, hour) = (1_000_000, 3_600_000_000);
        let mut clock = Clock::default();
        let table = [
            (10 * hour, 0, 0),
            (10 * hour + second, second, 0),
            // It follows the true time by little.
            (10 * hour + 15 * second + 70_000, 15 * second, 0),
            (9 * hour + 16 * second, 16 * second, -hour - 70_000),
            (9 * hour + 17 * second, 17 * second, 0),
            (9 * hour + 30 * second + 365 * 24 * hour, 30 * second, 365 * 24 * hour),
            (9 * hour + 31 * second, 31 * second, -365 * 24 * hour),
        ];
        for (now, running, expected) in table {
            assert_eq!(clock.set_by(now, running), expected, "{now} {running}");
        }
    }
}
