//! Between scalars and vectors.

use super::super::{
    column::{Column, is_absent},
    grid::Grid,
};
use crate::series::Labels;

/// The only number at each step, or NaN.
pub fn scalar(columns: &[Column], grid: Grid) -> Vec<f64> {
    let only = |step: usize| {
        let mut there =
            columns.iter().map(|column| column.numbers[step]).filter(|number| !is_absent(*number));
        match (there.next(), there.next()) {
            (Some(number), None) => number,
            _ => f64::NAN,
        }
    };
    (0..grid.steps).map(only).collect()
}

pub fn vector(numbers: Vec<f64>) -> Vec<Column> {
    if numbers.is_empty() { Vec::new() } else { vec![Column::of_numbers(Labels::default(), numbers)] }
}

/// The larger or smaller of two numbers; NaN if one is.
pub fn extreme(left: &[f64], right: &[f64], largest: bool) -> Vec<f64> {
    let of = |(left, right): (&f64, &f64)| {
        if left.is_nan() || right.is_nan() {
            f64::NAN
        } else if largest {
            left.max(*right)
        } else {
            left.min(*right)
        }
    };
    left.iter().zip(right).map(of).collect()
}
