//! `count_values`: a series for each value, with how often it is there.

use std::collections::HashMap;

use promql_parser::parser::LabelModifier;

use super::{
    super::{
        column::{Cell, Column},
        error::QueryError,
        grid::Grid,
        histogram::text,
    },
    groups::labels_of,
};
use crate::series::Labels;

pub fn count(
    columns: &[Column],
    modifier: Option<&LabelModifier>,
    label: &str,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    if label.is_empty() {
        return Err(QueryError::Execution(format!("invalid label name {label:?}")));
    }
    let drops_label = matches!(modifier, Some(LabelModifier::Exclude(names)) if names.labels.iter().any(|name| name == label));
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut found: Vec<Column> = Vec::new();
    for column in columns {
        let group = labels_of(&column.labels, modifier);
        let mut known: HashMap<String, usize> = HashMap::new();
        for step in 0..grid.steps {
            let value = match column.cell(step) {
                Cell::Nothing => continue,
                Cell::Number(number) => written(number),
                Cell::Histogram(histogram) => text(&histogram),
            };
            let place = *known.entry(value).or_insert_with_key(|value| {
                let mut labels = group.edit();
                if !drops_label {
                    labels.set(label, value);
                }
                let labels = labels.finish();
                *places.entry(labels.clone()).or_insert_with(|| {
                    found.push(Column::new(labels, grid.steps));
                    found.len() - 1
                })
            });
            let before = match found[place].cell(step) {
                Cell::Number(count) => count,
                _ => 0.0,
            };
            found[place].set(step, Cell::Number(before + 1.0));
        }
    }
    Ok(found)
}

/// A number as Prometheus writes it into a label.
fn written(number: f64) -> String {
    if number == f64::INFINITY {
        "+Inf".to_owned()
    } else if number == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        number.to_string()
    }
}
