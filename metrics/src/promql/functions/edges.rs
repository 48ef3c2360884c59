//! The first and the last sample of a range, and their times.

use super::{
    super::{column::Cell, window::Window},
    Said,
};

pub fn first(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    match (window.times.first(), window.histograms.first()) {
        (Some(_), None) => Cell::Number(window.numbers[0]),
        (Some(time), Some((other, _))) if time < other => Cell::Number(window.numbers[0]),
        (_, Some((_, histogram))) => Cell::Histogram(histogram.clone()),
        (None, None) => Cell::Nothing,
    }
}

pub fn last(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    let number = || window.numbers.last().map_or(Cell::Nothing, |number| Cell::Number(*number));
    match (window.times.last(), window.histograms.last()) {
        (_, None) => number(),
        (Some(time), Some((other, _))) if time > other => number(),
        (_, Some((_, histogram))) => Cell::Histogram(histogram.clone()),
    }
}

pub fn time_of_first(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    let times = window.times.first().copied().into_iter();
    seconds(times.chain(window.histograms.first().map(|sample| sample.0)).min())
}

pub fn time_of_last(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    let times = window.times.last().copied().into_iter();
    seconds(times.chain(window.histograms.last().map(|sample| sample.0)).max())
}

fn seconds(time: Option<i64>) -> Cell {
    time.map_or(Cell::Nothing, |time| Cell::Number(time as f64 / 1000.0))
}
