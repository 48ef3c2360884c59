//! What one object has under one name, the series of that name added up.
//!
//! ```text
//! rows       |         |         |         |         |
//! samples    1         2    9 3            5    x         x: it ends
//! value      1         2         ?         5         none
//! fallen     0         0         9         0         5
//! ```
//!
//! Rows stand where the anchor of an object has samples. Of days that were made coarser each counter
//! keeps both sides of its own resets, so some rows have no sample of others, and some samples stand
//! in no row. What has no sample because none was kept is told apart from what isn't there, and what
//! counters lost between rows is kept, so that their growth is what it was. Pure.

use crate::series::{SeriesColumns, is_stale};

/// How far back a series is looked for that has no sample at a time, milliseconds, as PromQL does:
/// the samples that stay of coarser days are no farther apart.
pub const LOOKBACK: i64 = 5 * 60_000;

/// What the values at an object's times don't say.
#[derive(Debug, Default)]
pub struct Between {
    /// Empty: nowhere.
    left_out: Vec<bool>,
    /// Empty: nothing.
    fallen: Vec<f64>,
}

impl Between {
    /// Whether some series of the name went on at a time of which no sample of it is kept: what it
    /// was then isn't known.
    pub fn is_left_out(&self, at: usize) -> bool {
        self.left_out.get(at).copied().unwrap_or(false)
    }

    /// What counters lost since the time before, by beginning anew or by ending.
    pub fn fallen(&self, at: usize) -> f64 {
        self.fallen.get(at).copied().unwrap_or(0.0)
    }
}

/// The sum of the series of a name.
pub struct Column {
    /// For each time; NaN where there is none or where it isn't known.
    pub values: Vec<f64>,
    pub between: Between,
}

impl Column {
    /// Nothing yet, at so many times.
    pub fn new(length: usize) -> Self {
        Self { values: vec![f64::NAN; length], between: Between::default() }
    }

    /// Adds what a series has at these times, which ascend.
    pub fn add(&mut self, times: &[i64], series: &SeriesColumns) {
        let mut samples = series.times.iter().copied().zip(series.values.iter().copied()).peekable();
        let mut newest: Option<(i64, f64)> = None;
        // What a counter would have to lose.
        let mut stands: Option<f64> = None;
        for (at, time) in times.iter().enumerate() {
            while let Some(sample) = samples.next_if(|(when, _)| when <= time) {
                newest = Some(sample);
                if is_stale(sample.1) {
                    continue;
                }
                let before = stands.replace(sample.1);
                self.fall(at, before.filter(|before| sample.1 < *before));
            }
            match newest.filter(|(when, value)| *when > time - LOOKBACK && !is_stale(*value)) {
                Some((when, value)) if when == *time => self.put(at, value),
                Some(_) => self.leave_out(at),
                None => self.fall(at, stands.take()),
            }
        }
    }

    fn put(&mut self, at: usize, value: f64) {
        if self.between.is_left_out(at) {
            return;
        }
        let sum = &mut self.values[at];
        *sum = if sum.is_nan() { value } else { *sum + value };
    }

    fn leave_out(&mut self, at: usize) {
        self.between.left_out.resize(self.values.len(), false);
        self.between.left_out[at] = true;
        // Without one of them it is no sum.
        self.values[at] = f64::NAN;
    }

    fn fall(&mut self, at: usize, lost: Option<f64>) {
        if let Some(lost) = lost {
            self.between.fallen.resize(self.values.len(), 0.0);
            self.between.fallen[at] += lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::STALE;

    const MINUTE: i64 = 60_000;

    /// The sum of series, by minutes, at the times of rows.
    fn summed(rows: &[i64], all: &[&[(i64, f64)]]) -> Column {
        let times: Vec<_> = rows.iter().map(|minute| minute * MINUTE).collect();
        let mut column = Column::new(times.len());
        for samples in all {
            let mut series = SeriesColumns::default();
            samples.iter().for_each(|(minute, value)| series.push(minute * MINUTE, *value));
            column.add(&times, &series);
        }
        column
    }

    /// Number, absent, or left out (`?`).
    fn shown(column: &Column) -> Vec<String> {
        let one = |(at, value): (usize, &f64)| match column.between.is_left_out(at) {
            true => {
                assert!(value.is_nan(), "a number that isn't known");
                "?".to_owned()
            }
            false if value.is_nan() => "-".to_owned(),
            false => value.to_string(),
        };
        column.values.iter().enumerate().map(one).collect()
    }

    /// What is so, rows, the samples of a series, and what is expected of each row.
    type Case<T> = (&'static str, &'static [i64], &'static [(i64, f64)], &'static [T]);

    fn lost(column: &Column) -> Vec<f64> {
        (0..column.values.len()).map(|at| column.between.fallen(at)).collect()
    }

    #[test]
    fn what_went_on_is_not_known_where_it_has_no_sample() {
        let table: [Case<&str>; 6] = [
            ("each row has one", &[0, 1, 2], &[(0, 1.0), (1, 2.0), (2, 3.0)], &["1", "2", "3"]),
            ("rows more", &[0, 3, 4, 5], &[(0, 1.0), (5, 2.0)], &["1", "?", "?", "2"]),
            ("it begins", &[0, 3, 5], &[(4, 1.0), (5, 2.0)], &["-", "-", "2"]),
            ("it has ended", &[0, 3, 4], &[(0, 1.0), (2, STALE)], &["1", "-", "-"]),
            ("it ends at a row", &[0, 3], &[(0, 1.0), (3, STALE)], &["1", "-"]),
            ("it was long ago", &[0, 4, 5, 10], &[(0, 1.0), (10, 2.0)], &["1", "?", "-", "2"]),
        ];
        for (what, rows, samples, expected) in table {
            assert_eq!(shown(&summed(rows, &[samples])), expected, "{what}");
        }
        // In whichever order, a sum without one of its series is none.
        let (whole, thin): (&[_], &[_]) = (&[(0, 1.0), (2, 1.0), (5, 1.0)], &[(0, 5.0), (5, 6.0)]);
        for all in [[whole, thin], [thin, whole]] {
            assert_eq!(shown(&summed(&[0, 2, 5], &all)), ["6", "?", "7"]);
        }
    }

    #[test]
    fn what_counters_lose_between_rows_is_kept() {
        let table: [Case<f64>; 6] = [
            ("it grows", &[0, 5], &[(0, 1.0), (5, 2.0)], &[0.0, 0.0]),
            ("from row to row", &[0, 5], &[(0, 7.0), (5, 2.0)], &[0.0, 7.0]),
            ("between rows", &[0, 5], &[(0, 7.0), (2, 9.0), (3, 1.0), (5, 30.0)], &[0.0, 9.0]),
            ("twice", &[0, 5], &[(0, 7.0), (2, 1.0), (3, 5.0), (4, 2.0), (5, 3.0)], &[0.0, 12.0]),
            ("it ends", &[0, 5], &[(0, 7.0), (2, 9.0), (3, STALE)], &[0.0, 9.0]),
            // What it was is told of once.
            ("and begins anew", &[0, 2, 4], &[(0, 7.0), (2, STALE), (4, 3.0)], &[0.0, 7.0, 0.0]),
        ];
        for (what, rows, samples, expected) in table {
            assert_eq!(lost(&summed(rows, &[samples])), expected, "{what}");
        }
        let both: [&[(i64, f64)]; 2] = [&[(0, 7.0), (5, 2.0)], &[(0, 4.0), (3, 5.0), (4, 0.0), (5, 9.0)]];
        assert_eq!(lost(&summed(&[0, 5], &both)), [0.0, 12.0]);
    }
}
