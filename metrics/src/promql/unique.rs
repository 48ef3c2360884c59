//! No two series of an answer have the same labels.

use std::collections::HashMap;

use super::{column::Column, error::QueryError};
use crate::series::Labels;

/// Brings together series whose labels became the same and that never have a value at the
/// same step.
///
/// # Errors
/// Two of them have.
pub fn unique(columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
    if all_differ(&columns) {
        return Ok(columns);
    }
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(columns.len());
    let mut kept: Vec<Column> = Vec::with_capacity(columns.len());
    for column in columns {
        match places.get(&column.labels) {
            None => {
                places.insert(column.labels.clone(), kept.len());
                kept.push(column);
            }
            Some(place) => merge(&mut kept[*place], &column)?,
        }
    }
    Ok(kept)
}

pub fn all_differ(columns: &[Column]) -> bool {
    if columns.len() < 2 {
        return true;
    }
    // Series come in order of their labels from the store, and most functions keep that.
    if columns.windows(2).all(|pair| pair[0].labels < pair[1].labels) {
        return true;
    }
    let mut seen = std::collections::HashSet::with_capacity(columns.len());
    columns.iter().all(|column| seen.insert(&column.labels))
}

fn merge(into: &mut Column, from: &Column) -> Result<(), QueryError> {
    for step in 0..from.numbers.len() {
        if from.has(step) {
            if into.has(step) {
                return Err(QueryError::same_labels());
            }
            into.set(step, from.cell(step));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::column::ABSENT, *};

    #[test]
    fn the_same_labels_at_one_step_are_an_error() {
        let column = |numbers: &[f64]| Column::of_numbers(Labels::default(), numbers.to_vec());
        let merged = unique(vec![column(&[1.0, ABSENT]), column(&[ABSENT, 2.0])]).expect("apart");
        assert_eq!(merged, [column(&[1.0, 2.0])]);
        assert!(unique(vec![column(&[1.0, ABSENT]), column(&[1.0, 2.0])]).is_err());
    }
}
