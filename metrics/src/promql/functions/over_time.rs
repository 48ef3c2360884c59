//! Aggregations over a range of samples of one series.

use super::{
    super::{
        column::Cell,
        histogram::{Total, scale},
        notes::Note,
        quantile::quantile as quantile_of,
        sums::Kahan,
        window::Window,
    },
    Said,
};
use crate::series::Histogram;

pub fn count(window: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    Cell::Number((window.numbers.len() + window.histograms.len()) as f64)
}

pub fn present(_: &Window<'_>, _: &[f64], _: &mut Said) -> Cell {
    Cell::Number(1.0)
}

pub fn sum(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    if !window.histograms.is_empty() {
        return native(window, said, |sum, _| sum);
    }
    Cell::Number(window.sum())
}

pub fn avg(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    if !window.histograms.is_empty() {
        return native(window, said, |sum, count| scale(&sum, 1.0 / count));
    }
    Cell::Number(window.mean())
}

/// Histograms of the window added up.
fn native(window: &Window<'_>, said: &mut Said, finish: impl Fn(Histogram, f64) -> Histogram) -> Cell {
    if window.is_mixed() {
        said.note(Note::Mixed(window.metric().to_owned()));
        return Cell::Nothing;
    }
    let mut total = Total::of(&window.histograms[0].1);
    for (_, histogram) in &window.histograms[1..] {
        if total.take(histogram).is_err() {
            said.note(Note::MixedSchemas(window.metric().to_owned()));
            return Cell::Nothing;
        }
    }
    if total.reconciled {
        said.note(Note::ReconciledBounds("aggregation"));
    }
    Cell::histogram(finish(total.sum, window.histograms.len() as f64))
}

/// Numbers only; says so where histograms are left out.
fn numbers(window: &Window<'_>, said: &mut Said, compute: impl Fn(&[f64]) -> f64) -> Cell {
    if window.numbers.is_empty() {
        return Cell::Nothing;
    }
    if !window.histograms.is_empty() {
        said.note(Note::IgnoredInRange(window.metric().to_owned()));
    }
    Cell::Number(compute(window.numbers))
}

pub fn max(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    numbers(window, said, |_| window.max())
}

pub fn min(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    numbers(window, said, |_| window.min())
}

pub fn time_of_max(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    numbers(window, said, |numbers| time_of(window, numbers, |number, best| number >= best))
}

pub fn time_of_min(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    numbers(window, said, |numbers| time_of(window, numbers, |number, best| number <= best))
}

/// The time of the last sample that is as good as any.
fn time_of(window: &Window<'_>, numbers: &[f64], as_good: impl Fn(f64, f64) -> bool) -> f64 {
    let best = numbers.iter().enumerate().fold(0, |best, (place, number)| {
        if as_good(*number, numbers[best]) || numbers[best].is_nan() { place } else { best }
    });
    window.times[best] as f64 / 1000.0
}

pub fn stdvar(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    numbers(window, said, variance)
}

pub fn stddev(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    numbers(window, said, |numbers| variance(numbers).sqrt())
}

fn variance(numbers: &[f64]) -> f64 {
    let (mut mean, mut squares) = (Kahan::default(), Kahan::default());
    for (place, number) in numbers.iter().enumerate() {
        let difference = number - mean.total();
        mean.add(difference / (place + 1) as f64);
        squares.add(difference * (number - mean.total()));
    }
    squares.total() / numbers.len() as f64
}

pub fn quantile(window: &Window<'_>, arguments: &[f64], said: &mut Said) -> Cell {
    let q = arguments.first().copied().unwrap_or(f64::NAN);
    if window.numbers.is_empty() {
        return Cell::Nothing;
    }
    if !(0.0..=1.0).contains(&q) {
        said.note(Note::BadQuantile(q));
    }
    numbers(window, said, |numbers| quantile_of(q, &mut numbers.to_vec()))
}

/// The median of the distances from the median.
pub fn mad(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    numbers(window, said, |numbers| {
        if numbers.iter().any(|number| number.is_nan()) {
            return f64::NAN;
        }
        let mut numbers = numbers.to_vec();
        let median = quantile_of(0.5, &mut numbers);
        numbers.iter_mut().for_each(|number| *number = (*number - median).abs());
        quantile_of(0.5, &mut numbers)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variance_is_of_all_numbers() {
        assert_eq!(variance(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 4.0);
    }
}
