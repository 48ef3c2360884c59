//! `changes` and `resets`: how often something happened within a range.

use super::{
    super::{column::Cell, histogram::is_reset, window::Window},
    Said,
};

pub fn changes(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    if window.histograms.is_empty() {
        let changed = |pair: &&[f64]| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan());
        return Cell::Number(window.numbers.windows(2).filter(changed).count() as f64);
    }
    count(window, |before, now| match (before, now) {
        (Cell::Number(before), Cell::Number(now)) => before != now && !(before.is_nan() && now.is_nan()),
        (before, now) => before != now,
    })
}

pub fn resets(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    if window.histograms.is_empty() {
        let fell = |pair: &&[f64]| pair[1] < pair[0];
        return Cell::Number(window.numbers.windows(2).filter(fell).count() as f64);
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
