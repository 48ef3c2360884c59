//! `changes` and `resets`: how often something happened within a range.

use super::{
    super::{column::Cell, histogram::is_reset, window::Window},
    Said,
};

pub fn changes(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    if window.histograms.is_empty() {
        return Cell::Number(window.count_changes() as f64);
    }
    count(window, |before, now| match (before, now) {
        (Cell::Number(before), Cell::Number(now)) => before != now && !(before.is_nan() && now.is_nan()),
        (before, now) => before != now,
    })
}

pub fn resets(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    if window.histograms.is_empty() {
        return Cell::Number(window.count_resets() as f64);
    }
    count(window, |before, now| match (before, now) {
        (Cell::Number(before), Cell::Number(now)) => now < before,
        (Cell::Histogram(before), Cell::Histogram(now)) => is_reset(now, before),
        _ => true,
    })
}

fn count(window: &Window<'_>, happened: impl Fn(&Cell, &Cell) -> bool) -> Cell {
    let samples = window.samples();
    Cell::Number(samples.windows(2).filter(|pair| happened(&pair[0].1, &pair[1].1)).count() as f64)
}
