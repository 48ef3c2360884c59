//! Operators between two expressions: scalars, a vector and a scalar, two vectors.

mod matching;
mod operator;
mod sets;
mod vectors;

use std::sync::Arc;

use promql_parser::parser::{
    BinaryExpr,
    token::{T_LAND, T_LOR, T_LUNLESS},
};

use super::{
    column::{Cell, Column, is_absent, without_name},
    error::QueryError,
    evaluate::{Evaluated, Evaluator},
    grid::Grid,
    histogram::scale,
    notes::Note,
    unique::unique,
};
use crate::series::Histogram;
use operator::Operator;

/// What was noticed, each thing once.
pub type Said = std::collections::BTreeMap<String, Note>;

fn say(said: &mut Said, note: Note) {
    said.entry(format!("{note:?}")).or_insert(note);
}

pub async fn evaluate(
    evaluator: &Evaluator<'_>,
    binary: &BinaryExpr,
    grid: Grid,
) -> Result<Evaluated, QueryError> {
    let left = evaluator.eval(&binary.lhs, grid).await?;
    let right = evaluator.eval(&binary.rhs, grid).await?;
    let op = binary.op.id();
    if let (T_LAND | T_LOR | T_LUNLESS, Evaluated::Vector(left), Evaluated::Vector(right)) =
        (op, &left, &right)
    {
        let signature = matching::Signature::of(binary.modifier.as_ref());
        return sets::combine(op, left, right, &signature).map(Evaluated::Vector);
    }
    let operator = Operator::of(op)
        .ok_or_else(|| QueryError::Invalid(format!("operator {} is not known", binary.op)))?;
    let as_bool = binary.return_bool();
    let mut said = Said::new();
    let value = match (left, right) {
        (Evaluated::Scalar(left), Evaluated::Scalar(right)) => {
            let numbers = left.iter().zip(&right).map(|(left, right)| operator.of_scalars(*left, *right));
            Evaluated::Scalar(numbers.collect())
        }
        (Evaluated::Vector(columns), Evaluated::Scalar(row)) => {
            Evaluated::Vector(with_scalar(operator, columns, &row, false, as_bool, &mut said)?)
        }
        (Evaluated::Scalar(row), Evaluated::Vector(columns)) => {
            Evaluated::Vector(with_scalar(operator, columns, &row, true, as_bool, &mut said)?)
        }
        (Evaluated::Vector(left), Evaluated::Vector(right)) => {
            evaluator.breathe().await;
            Evaluated::Vector(vectors::combine(operator, &left, &right, binary, &mut said)?)
        }
        _ => return Err(QueryError::Invalid("operators stand between scalars and vectors only".into())),
    };
    said.values().for_each(|note| evaluator.note(note));
    Ok(value)
}

/// Each value of a vector with the number of its step.
fn with_scalar(
    operator: Operator,
    columns: Vec<Column>,
    row: &[f64],
    scalar_first: bool,
    as_bool: bool,
    said: &mut Said,
) -> Result<Vec<Column>, QueryError> {
    let computed = columns.into_iter().map(|mut column| {
        if operator.changes_meaning() || as_bool {
            column.labels = without_name(&column.labels);
        }
        if column.has_histograms() {
            for (step, number) in row.iter().enumerate() {
                let (mine, other) = (column.cell(step), Cell::Number(*number));
                let cell = match scalar_first {
                    false => operator.of_cells(&mine, &other, as_bool, said),
                    true => operator.of_cells(&other, &mine, as_bool, said).or_own(operator, as_bool, &mine),
                };
                column.set(step, cell);
            }
            return column;
        }
        for (mine, other) in column.numbers.iter_mut().zip(row) {
            if !is_absent(*mine) {
                let (left, right) = if scalar_first { (*other, *mine) } else { (*mine, *other) };
                *mine = operator.of_numbers(left, right, *mine, as_bool);
            }
        }
        column
    });
    unique(computed.filter(|column| !column.is_empty()).collect())
}

impl Cell {
    /// A comparison keeps the vector's value, also where the scalar stands first.
    fn or_own(self, operator: Operator, as_bool: bool, own: &Self) -> Self {
        if operator.is_comparison() && !as_bool && self != Self::Nothing { own.clone() } else { self }
    }
}

/// Histograms of a row by a factor.
pub fn scaled(histograms: &[Option<Arc<Histogram>>], factor: f64) -> Vec<Option<Arc<Histogram>>> {
    histograms.iter().map(|one| one.as_ref().map(|one| Arc::new(scale(one, factor)))).collect()
}
