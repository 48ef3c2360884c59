//! One series over the steps of a grid: labels once, and a row of numbers.
//!
//! Most columns hold numbers only, so a step without a value is a number of its own, the
//! stale marker: it never comes out of a selector or a computation. A column with native
//! histograms has a second row for them; a step has a number, a histogram or nothing.

use std::sync::Arc;

use crate::series::{Histogram, Labels, STALE, is_stale};

/// Stands where a step has no number.
pub const ABSENT: f64 = STALE;

pub fn is_absent(number: f64) -> bool {
    is_stale(number)
}

/// What a series has at one step.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Nothing,
    Number(f64),
    Histogram(Arc<Histogram>),
}

impl Cell {
    pub fn histogram(histogram: Histogram) -> Self {
        Self::Histogram(Arc::new(histogram))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub labels: Labels,
    /// One a step; [`ABSENT`] where there is no number.
    pub numbers: Vec<f64>,
    /// Empty, or one a step.
    pub histograms: Vec<Option<Arc<Histogram>>>,
}

impl Column {
    /// A column without values.
    pub fn new(labels: Labels, steps: usize) -> Self {
        Self { labels, numbers: vec![ABSENT; steps], histograms: Vec::new() }
    }

    pub fn of_numbers(labels: Labels, numbers: Vec<f64>) -> Self {
        Self { labels, numbers, histograms: Vec::new() }
    }

    pub fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    pub fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(step)?.as_ref()
    }

    pub fn cell(&self, step: usize) -> Cell {
        match self.histogram(step) {
            Some(histogram) => Cell::Histogram(histogram.clone()),
            None if is_absent(self.numbers[step]) => Cell::Nothing,
            None => Cell::Number(self.numbers[step]),
        }
    }

    pub fn has(&self, step: usize) -> bool {
        !is_absent(self.numbers[step]) || self.histogram(step).is_some()
    }

    #[inline]
    pub fn set(&mut self, step: usize, cell: Cell) {
        match cell {
            Cell::Nothing => {
                self.numbers[step] = ABSENT;
                if let Some(there) = self.histograms.get_mut(step) {
                    *there = None;
                }
            }
            Cell::Number(number) => {
                // No computation may make a value vanish.
                self.numbers[step] = if is_absent(number) { f64::NAN } else { number };
                if let Some(there) = self.histograms.get_mut(step) {
                    *there = None;
                }
            }
            Cell::Histogram(histogram) => {
                if self.histograms.is_empty() {
                    self.histograms = vec![None; self.numbers.len()];
                }
                self.numbers[step] = ABSENT;
                self.histograms[step] = Some(histogram);
            }
        }
    }

    /// Values, numbers and histograms together.
    pub fn values(&self) -> usize {
        let numbers = self.numbers.iter().filter(|number| !is_absent(**number)).count();
        numbers + self.histograms.iter().flatten().count()
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.iter().all(|number| is_absent(*number)) && self.histograms.iter().all(Option::is_none)
    }

    /// Takes values away where `keep` says no.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        for step in 0..self.numbers.len() {
            if !keep(step) {
                self.set(step, Cell::Nothing);
            }
        }
    }

    /// The same number computed of each number; histograms go.
    pub fn map(mut self, change: impl Fn(f64) -> f64) -> Self {
        self.histograms = Vec::new();
        for number in &mut self.numbers {
            if !is_absent(*number) {
                *number = change(*number);
            }
        }
        self
    }
}

/// Labels that say what a metric is and not whose; they go when a value is computed.
const OF_THE_METRIC: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// Labels without the metric's name, type and unit. The same memory where it has none.
pub fn without_name(labels: &Labels) -> Labels {
    if labels.iter().any(|(name, _)| OF_THE_METRIC.contains(&name)) {
        labels.without(&OF_THE_METRIC)
    } else {
        labels.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_one_value_or_none() {
        let mut column = Column::new(Labels::default(), 2);
        assert!(column.is_empty() && !column.has(0));
        column.set(0, Cell::Number(ABSENT));
        assert!(column.has(0) && column.numbers[0].is_nan());
        column.set(0, Cell::histogram(Histogram::default()));
        assert!(is_absent(column.numbers[0]) && column.histogram(0).is_some() && !column.has(1));
        column.set(0, Cell::Number(3.0));
        assert_eq!(column.cell(0), Cell::Number(3.0));
        assert_eq!(column.values(), 1);
        column.retain(|_| false);
        assert!(column.is_empty());
    }

    #[test]
    fn a_computed_value_has_no_name() {
        let labels = Labels::new([("__name__", "up"), ("job", "a")]);
        assert_eq!(without_name(&labels), Labels::new([("job", "a")]));
    }
}
