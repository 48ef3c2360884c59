//! What was known last of each figure of an object: a rate reaches back to there, past rows in which
//! the figure isn't known. Pure.

use crate::tables::joined::LOOKBACK;

/// The figures that are asked for, by their place among those.
pub struct Latest {
    /// Of the last row, microseconds since the Unix epoch.
    pub time: i64,
    figures: Vec<Known>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// When it was known last, microseconds since the Unix epoch, and what it was.
    last: Option<(i64, u64)>,
    /// What it lost since then by beginning anew.
    fallen: u64,
}

impl Latest {
    /// Nothing is known of so many figures.
    pub fn new(figures: usize) -> Self {
        Self { time: i64::MIN, figures: vec![Known::default(); figures] }
    }

    /// A counter lost so much since the row before.
    pub fn falls(&mut self, figure: usize, by: u64) {
        let known = &mut self.figures[figure];
        known.fallen = known.fallen.saturating_add(by);
    }

    /// Notes what a counter is at a time, microseconds since the Unix epoch; what [`Latest::rate`]
    /// was then.
    pub fn next(&mut self, figure: usize, time: i64, value: u64) -> Option<f64> {
        let rate = self.rate(figure, time, value);
        self.figures[figure] = Known { last: Some((time, value)), fallen: 0 };
        rate
    }

    /// Units a second that a counter grew by since it was known last. Absent: that is too long ago.
    pub fn rate(&self, figure: usize, time: i64, value: u64) -> Option<f64> {
        let Known { last, fallen } = self.figures[figure];
        let (since, before) = last.filter(|(since, _)| (1..=LOOKBACK * 1000).contains(&(time - since)))?;
        let value = value.saturating_add(fallen);
        // Between two files nobody tells of a fall.
        let grown = value.checked_sub(before).unwrap_or(value);
        Some(grown as f64 / ((time - since) as f64 / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_rate_reaches_back_to_where_the_figure_was_known() {
        let mut latest = Latest::new(2);
        assert_eq!(latest.next(0, 0, 100), None);
        // The other one is known in between; this one only falls.
        assert_eq!(latest.next(1, 100 * SECOND, 7), None);
        latest.falls(0, 150);
        latest.falls(0, 50);
        assert_eq!(latest.rate(0, 200 * SECOND, 20), Some(0.6));
        assert_eq!(latest.next(0, 300 * SECOND, 20), Some(0.4));
        // That it fell counts once.
        assert_eq!(latest.next(0, 310 * SECOND, 30), Some(1.0));
        assert_eq!(latest.next(1, 400 * SECOND, 10), Some(0.01));
    }

    #[test]
    fn a_rate_is_of_five_minutes_at_most() {
        let known = |value| {
            let mut latest = Latest::new(1);
            latest.next(0, 1000 * SECOND, value);
            latest
        };
        let table = [
            (known(10), 1300 * SECOND, 40, Some(0.1)),
            (known(10), 1300 * SECOND + 1, 40, None),
            (known(10), 1000 * SECOND, 40, None),
            (known(10), 900 * SECOND, 40, None),
            (known(10), 1010 * SECOND, 5, Some(0.5)),
            (Latest::new(1), 1010 * SECOND, 5, None),
        ];
        for (latest, time, value, expected) in table {
            assert_eq!(latest.rate(0, time, value), expected, "{value} at {time}");
        }
    }
}
