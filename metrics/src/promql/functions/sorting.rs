//! `sort` and `sort_by_label`: the order of an instant query's answer.

use std::cmp::Ordering;

use promql_parser::parser::Call;

use super::{
    super::{
        column::Column,
        error::QueryError,
        evaluate::{Evaluator, text_argument},
        grid::Grid,
        notes::Note,
    },
    argument,
};

/// Order of two numbers, NaN after all others either way.
pub fn by_number(left: f64, right: f64, descending: bool) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = left.partial_cmp(&right).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

pub async fn by_value(
    evaluator: &Evaluator<'_>,
    call: &Call,
    descending: bool,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let columns = evaluator.vector(argument(call, 0)?, grid).await?;
    let mut numbers: Vec<_> = columns.into_iter().map(|column| column.map(|number| number)).collect();
    numbers.retain(|column| !column.is_empty());
    if grid.is_instant() {
        numbers.sort_by(|a, b| by_number(a.numbers[0], b.numbers[0], descending));
    } else {
        evaluator.note(&Note::SortOfRange);
    }
    Ok(numbers)
}

pub async fn by_label(
    evaluator: &Evaluator<'_>,
    call: &Call,
    descending: bool,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let names: Result<Vec<_>, _> =
        (1..call.args.args.len()).map(|number| text_argument(call, number)).collect();
    let names = names?;
    let mut columns = evaluator.vector(argument(call, 0)?, grid).await?;
    if grid.is_instant() {
        columns.sort_by(|a, b| {
            let by_names = names.iter().map(|name| {
                let value = |column: &Column| column.labels.get(name).unwrap_or_default().to_owned();
                natural(&value(a), &value(b))
            });
            let order = by_names.fold(Ordering::Equal, Ordering::then).then_with(|| a.labels.cmp(&b.labels));
            if descending { order.reverse() } else { order }
        });
    } else {
        evaluator.note(&Note::SortOfRange);
    }
    Ok(columns)
}

/// Order of texts in which numbers count as numbers: `a9` before `a10`.
fn natural(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left, right);
    while !left.is_empty() && !right.is_empty() {
        let (one, other) = (piece(left), piece(right));
        let digits = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        let order = if digits(one) && digits(other) {
            let (a, b) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b)).then_with(|| one.cmp(other))
        } else {
            one.cmp(other)
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (&left[one.len()..], &right[other.len()..]);
    }
    left.len().cmp(&right.len())
}

/// The digits, or what is none, at a text's start.
fn piece(text: &str) -> &str {
    let is_digit = |c: char| c.is_ascii_digit();
    let first = text.starts_with(is_digit);
    let end = text.find(|c: char| is_digit(c) != first).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_texts_count_as_numbers() {
        let mut texts = ["a10", "a9", "b1", "a", "a09", "10", "9"];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(texts, ["9", "10", "a", "a09", "a9", "a10", "b1"]);
    }

    #[test]
    fn nan_comes_last_either_way() {
        for descending in [false, true] {
            let mut numbers = [f64::NAN, 1.0, 3.0, 2.0];
            numbers.sort_by(|a, b| by_number(*a, *b, descending));
            let expected = if descending { [3.0, 2.0, 1.0] } else { [1.0, 2.0, 3.0] };
            assert_eq!(numbers[..3], expected);
        }
    }
}
