//! Numbers of single native histograms.

use super::super::{
    column::{ABSENT, Column},
    histogram::deviation,
};
use crate::series::Histogram;

pub fn count(histogram: &Histogram) -> f64 {
    histogram.count
}

pub fn sum(histogram: &Histogram) -> f64 {
    histogram.sum
}

pub fn avg(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}

pub fn stdvar(histogram: &Histogram) -> f64 {
    deviation(histogram)
}

pub fn stddev(histogram: &Histogram) -> f64 {
    deviation(histogram).sqrt()
}

/// The number of each histogram; numbers go.
pub fn each(column: &Column, compute: fn(&Histogram) -> f64) -> Column {
    let number = |step: usize| column.histogram(step).map_or(ABSENT, |histogram| compute(histogram));
    Column::of_numbers(column.labels.clone(), (0..column.numbers.len()).map(number).collect())
}
