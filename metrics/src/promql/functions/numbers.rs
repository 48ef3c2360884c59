//! Functions of single numbers that the language does not bring along.

use promql_parser::parser::Call;

use super::{
    super::{
        column::{ABSENT, Column, is_absent},
        error::QueryError,
        evaluate::Evaluator,
        grid::Grid,
    },
    Special, argument, renamed,
};

pub fn degrees(radians: f64) -> f64 {
    radians * 180.0 / std::f64::consts::PI
}

pub fn radians(degrees: f64) -> f64 {
    degrees * std::f64::consts::PI / 180.0
}

/// -1, 1, or the number itself where it is 0 or none.
pub fn sign(number: f64) -> f64 {
    if number == 0.0 || number.is_nan() { number } else { number.signum() }
}

/// The nearest multiple; halves are rounded up.
pub fn round(number: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (number * inverse + 0.5).floor() / inverse
}

/// A number brought between two others; NaN stays.
fn clamp(number: f64, lowest: f64, highest: f64) -> f64 {
    if number.is_nan() || lowest.is_nan() || highest.is_nan() {
        return f64::NAN;
    }
    lowest.max(highest.min(number))
}

/// `clamp`, `clamp_min`, `clamp_max` and `round`: one vector and scalars.
pub async fn with_scalars(
    evaluator: &Evaluator<'_>,
    call: &Call,
    special: Special,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let columns = evaluator.vector(argument(call, 0)?, grid).await?;
    let mut scalars = Vec::new();
    for number in 1..call.args.args.len() {
        scalars.push(evaluator.scalar(argument(call, number)?, grid).await?);
    }
    let at = |which: usize, step: usize, default: f64| scalars.get(which).map_or(default, |row| row[step]);
    let compute = |number: f64, step: usize| match special {
        Special::Round => round(number, at(0, step, 1.0)),
        Special::ClampMin => clamp(number, at(0, step, 0.0), f64::INFINITY),
        Special::ClampMax => clamp(number, f64::NEG_INFINITY, at(0, step, 0.0)),
        _ => {
            let (lowest, highest) = (at(0, step, 0.0), at(1, step, 0.0));
            if highest < lowest { ABSENT } else { clamp(number, lowest, highest) }
        }
    };
    let changed = columns.into_iter().map(|mut column| {
        column.histograms = Vec::new();
        for (step, number) in column.numbers.iter_mut().enumerate() {
            if !is_absent(*number) {
                *number = compute(*number, step);
            }
        }
        column
    });
    renamed(changed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_clamped_and_signed() {
        assert_eq!(
            (round(2.5, 1.0), round(-2.5, 1.0), round(7.0, 5.0), round(0.26, 0.1)),
            (3.0, -2.0, 5.0, 0.3)
        );
        assert_eq!((clamp(5.0, 1.0, 3.0), clamp(0.0, 1.0, 3.0), clamp(2.0, 1.0, 3.0)), (3.0, 1.0, 2.0));
        assert!(clamp(f64::NAN, 1.0, 3.0).is_nan());
        assert_eq!((sign(-3.0), sign(0.0), sign(f64::INFINITY)), (-1.0, 0.0, 1.0));
    }
}
