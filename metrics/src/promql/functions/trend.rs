//! Lines through a range's samples: `deriv`, `predict_linear`, and exponential smoothing.

use super::{
    super::{column::Cell, error::QueryError, notes::Note, sums::Kahan, window::Window},
    Said,
};

pub fn deriv(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    let Some(first) = enough(window, said) else { return Cell::Nothing };
    Cell::Number(regression(window, first).0)
}

pub fn predict_linear(window: &Window<'_>, arguments: &[f64], said: &mut Said) -> Cell {
    if enough(window, said).is_none() {
        return Cell::Nothing;
    }
    let (slope, intercept) = regression(window, window.now);
    Cell::Number(slope * arguments.first().copied().unwrap_or(f64::NAN) + intercept)
}

/// The first sample's time, where there are two numbers.
fn enough(window: &Window<'_>, said: &mut Said) -> Option<i64> {
    if window.is_mixed() {
        said.note(Note::IgnoredInRange(window.metric().to_owned()));
    }
    (window.numbers.len() >= 2).then(|| window.times[0])
}

/// Slope per second, and the value at a time, of the line with the least squares.
fn regression(window: &Window<'_>, at: i64) -> (f64, f64) {
    let [mut x_sum, mut y_sum, mut xy_sum, mut xx_sum] = [Kahan::default(); 4];
    for (time, y) in window.times.iter().zip(window.numbers) {
        let x = (time - at) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    let first = window.numbers[0];
    if window.numbers.iter().all(|number| *number == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let count = window.numbers.len() as f64;
    let (x, y) = (x_sum.total(), y_sum.total());
    let slope = (xy_sum.total() - x * y / count) / (xx_sum.total() - x * x / count);
    (slope, y / count - slope * x / count)
}

/// # Errors
/// A factor of smoothing is not between 0 and 1.
pub fn check(function: &str, arguments: &[Vec<f64>]) -> Result<(), QueryError> {
    if function != "double_exponential_smoothing" && function != "holt_winters" {
        return Ok(());
    }
    for (which, row) in ["smoothing", "trend"].iter().zip(arguments) {
        if let Some(wrong) = row.iter().find(|factor| !(**factor > 0.0 && **factor < 1.0)) {
            return Err(QueryError::Execution(format!(
                "invalid {which} factor of {function}(): it must be above 0 and below 1, got {wrong}"
            )));
        }
    }
    Ok(())
}

/// Double exponential smoothing, with the factors of smoothing and trend.
pub fn smoothing(window: &Window<'_>, arguments: &[f64], said: &mut Said) -> Cell {
    if enough(window, said).is_none() {
        return Cell::Nothing;
    }
    let [smooth, trend_factor] = arguments else { return Cell::Nothing };
    let numbers = window.numbers;
    let (mut before, mut level, mut trend) = (0.0, numbers[0], numbers[1] - numbers[0]);
    for (place, number) in numbers[1..].iter().enumerate() {
        if place > 0 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smooth * number + (1.0 - smooth) * (level + trend);
        (before, level) = (level, next);
    }
    Cell::Number(level)
}
