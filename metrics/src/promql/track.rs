//! Samples of one series, and what is known of all of them at once, so that windows that
//! overlap need not look at each sample again.
//!
//! Everything here gives the same bits as a walk over a window does: counts of places are
//! counts, and sums are only taken ahead where each number is whole and the sum of all is
//! small enough to be exact, so that the order of additions can't matter.

use std::sync::{Arc, OnceLock};

use super::{
    column::{Column, is_absent},
    grid::Grid,
};
use crate::series::{Histogram, Labels, SeriesColumns, Value, is_stale};

/// Whole numbers up to here are exact, and so are their sums.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Samples of one series, stale markers left out.
#[derive(Debug, Default)]
pub struct Track {
    pub labels: Labels,
    pub times: Vec<i64>,
    pub numbers: Vec<f64>,
    pub histograms: Vec<(i64, Arc<Histogram>)>,
    resets: OnceLock<Vec<usize>>,
    changes: OnceLock<Vec<usize>>,
    sums: OnceLock<Option<Vec<f64>>>,
}

impl Track {
    pub fn of_columns(columns: SeriesColumns) -> Self {
        let (mut times, mut numbers) = (columns.times, columns.values);
        // Mostly none, which is found out several at a time.
        if numbers.iter().fold(false, |found, number| found | is_stale(*number)) {
            let kept = times.iter().zip(&numbers).filter(|(_, number)| !is_stale(**number));
            (times, numbers) = kept.unzip();
        }
        let mut histograms = columns.histograms;
        histograms.retain(|(_, histogram)| !is_stale(histogram.sum));
        Self { labels: columns.labels, times, numbers, histograms, ..Self::default() }
    }

    pub fn of_column(column: &Column, grid: Grid) -> Self {
        let mut track = Self { labels: column.labels.clone(), ..Self::default() };
        for step in 0..grid.steps {
            match column.histogram(step) {
                Some(histogram) => track.push(grid.time(step), Value::Histogram(histogram.clone())),
                None if is_absent(column.numbers[step]) => {}
                None => track.push(grid.time(step), Value::Number(column.numbers[step])),
            }
        }
        track
    }

    fn push(&mut self, time: i64, value: Value) {
        match value {
            Value::Number(number) => {
                self.times.push(time);
                self.numbers.push(number);
            }
            Value::Histogram(histogram) => self.histograms.push((time, histogram)),
        }
    }

    /// Places of the numbers that are smaller than the one before.
    pub fn resets(&self) -> &[usize] {
        self.resets.get_or_init(|| self.places(|before, now| now < before))
    }

    /// Places of the numbers that differ from the one before.
    pub fn changes(&self) -> &[usize] {
        self.changes
            .get_or_init(|| self.places(|before, now| before != now && !(before.is_nan() && now.is_nan())))
    }

    fn places(&self, happened: impl Fn(f64, f64) -> bool) -> Vec<usize> {
        let pairs = || self.numbers.iter().zip(self.numbers.iter().skip(1));
        // Mostly none, which counting finds out several at a time.
        let count: usize = pairs().map(|(before, now)| usize::from(happened(*before, *now))).sum();
        if count == 0 {
            return Vec::new();
        }
        let all = pairs().enumerate().filter(|(_, (before, now))| happened(**before, **now));
        all.map(|(place, _)| place + 1).collect()
    }

    /// The sum of the numbers before each place, where it is exact.
    pub fn sums(&self) -> Option<&[f64]> {
        self.sums.get_or_init(|| exact_sums(&self.numbers)).as_deref()
    }
}

fn exact_sums(numbers: &[f64]) -> Option<Vec<f64>> {
    let (mut sums, mut sum, mut size) = (Vec::with_capacity(numbers.len() + 1), 0.0, 0.0);
    sums.push(0.0);
    for number in numbers {
        size += number.abs();
        if number.fract() != 0.0 || size.is_nan() || size >= EXACT {
            return None;
        }
        sum += number;
        sums.push(sum);
    }
    Some(sums)
}

/// The places of a sorted list that lie in `from..to`.
pub fn within(places: &[usize], from: usize, to: usize) -> &[usize] {
    let first = places.partition_point(|place| *place < from);
    let after = places.partition_point(|place| *place < to);
    &places[first..after.max(first)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_taken_ahead_only_where_they_are_exact() {
        assert_eq!(exact_sums(&[1.0, -3.0, 5.0]), Some(vec![0.0, 1.0, -2.0, 3.0]));
        for inexact in [0.5, f64::NAN, f64::INFINITY, EXACT, -EXACT] {
            assert_eq!(exact_sums(&[1.0, inexact]), None, "{inexact}");
        }
        assert_eq!(exact_sums(&[EXACT - 1.0, 2.0]), None);
    }

    #[test]
    fn places_are_found_in_a_part() {
        assert_eq!(within(&[2, 5, 9], 3, 9), [5]);
        assert_eq!(within(&[2, 5, 9], 9, 3), [0usize; 0]);
    }
}
