//! Bars over a range of time: of a round width, from a round time on, so that they
//! stand still while the range moves on, and nodes that are asked one by one have
//! the same ones.

use crate::time::{self, SECOND};

const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Widths from a second on. Shorter ones are 1, 2 or 5 of a power of ten, longer ones whole
/// days.
const WIDTHS: [i64; 18] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
];

/// The bars of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Where the first bar begins, nanoseconds: not after the range does.
    pub origin: i64,
    /// The width of a bar, nanoseconds.
    pub step: i64,
    pub bars: usize,
}

impl Grid {
    /// About `most` bars over `since..until`, or fewer, as a round width allows. The first and the
    /// last may stand out of the range, so there may be one more, and a little more of range (that
    /// of an hour up to a moment ago) takes some more bars, not all bars of twice the width.
    pub fn new(since: i64, until: i64, most: usize) -> Self {
        let until = until.max(since.saturating_add(1));
        let least = (i128::from(until) - i128::from(since) + most as i128 - 1) / most.max(1) as i128;
        let step = round(i64::try_from(least - least / 64).unwrap_or(i64::MAX));
        // The very first times have no round time before them.
        let origin = since.checked_sub(since.rem_euclid(step)).unwrap_or(i64::MIN);
        let width = i128::from(until) - i128::from(origin);
        let bars = (width + i128::from(step) - 1) / i128::from(step);
        Self { origin, step, bars: usize::try_from(bars).unwrap_or(most) }
    }

    /// When a bar begins.
    pub fn start(self, bar: usize) -> String {
        let start = i128::from(self.origin) + i128::from(self.step) * bar as i128;
        time::format(i64::try_from(start).unwrap_or(i64::MAX))
    }
}

/// Numbers times by the step they are in. Times that come one after the other are mostly in
/// the same one: only a new one costs a division.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    origin: i64,
    step: i64,
    /// The last one: its number, first time and last time.
    last: (i64, i64, i64),
}

impl Steps {
    /// Steps of `step` nanoseconds, one of which begins at `origin`.
    pub fn new(origin: i64, step: i64) -> Self {
        // No time is in it.
        Self { origin, step: step.max(1), last: (0, i64::MAX, i64::MIN) }
    }

    /// The number of the step; 0 begins at the origin.
    pub fn number(&mut self, time: i64) -> i64 {
        let (number, first, last) = self.last;
        if (first..=last).contains(&time) {
            return number;
        }
        let distance = i128::from(time) - i128::from(self.origin);
        let number = distance.div_euclid(i128::from(self.step));
        let first = i128::from(self.origin) + number * i128::from(self.step);
        let narrow = |time: i128| time.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        // A step of one nanosecond over all of i64 has more numbers than that.
        self.last = (narrow(number), narrow(first), narrow(first + i128::from(self.step) - 1));
        self.last.0
    }
}

/// The least round width that is no less.
fn round(least: i64) -> i64 {
    if least >= SECOND {
        let fits = WIDTHS.into_iter().find(|width| *width >= least);
        let days = || (least / DAY + i64::from(least % DAY > 0)).saturating_mul(DAY);
        return fits.unwrap_or_else(days);
    }
    let powers = (0..9).map(|exponent| 10i64.pow(exponent));
    powers.flat_map(|power| [power, 2 * power, 5 * power]).find(|width| *width >= least).unwrap_or(SECOND)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bars_are_round() {
        let at = |text: &str| time::parse(text).expect("a time");
        let hour = Grid::new(at("2026-03-01T10:17:23Z"), at("2026-03-01T11:17:23Z"), 60);
        assert_eq!(
            (hour.start(0).as_str(), hour.step, hour.bars),
            ("2026-03-01T10:17:00.000000000Z", MINUTE, 61)
        );
        let a_bit_more = Grid::new(at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00Z") + 1, 60);
        assert_eq!((a_bit_more.step, a_bit_more.bars), (MINUTE, 61));
        let day = Grid::new(at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:00Z"), 60);
        assert_eq!((day.step, day.bars), (30 * MINUTE, 48));
        assert_eq!(Grid::new(3, 24, 7), Grid { origin: 0, step: 5, bars: 5 });
    }

    proptest! {
        #[test]
        fn all_of_the_range_is_in_a_bar(since in any::<i64>(), until in any::<i64>(), most in 1usize..1000) {
            let grid = Grid::new(since, until, most);
            prop_assert!(grid.origin <= since && grid.step > 0 && (1..=most + most / 63 + 2).contains(&grid.bars), "{grid:?}");
            let end = i128::from(grid.origin) + i128::from(grid.step) * grid.bars as i128;
            prop_assert!(end >= i128::from(until.max(since.saturating_add(1))), "{grid:?}");
            prop_assert!(grid.origin.rem_euclid(grid.step) == 0 || grid.origin == i64::MIN, "{grid:?}");
        }

        #[test]
        fn steps_are_those_of_a_division(
            origin in -50i64..50,
            step in 1i64..20,
            times in proptest::collection::vec(-200i64..200, 1..40),
        ) {
            let mut steps = Steps::new(origin, step);
            for time in times {
                prop_assert_eq!(steps.number(time), (time - origin).div_euclid(step));
            }
        }
    }
}
