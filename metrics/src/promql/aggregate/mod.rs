//! Aggregations: many series to one a group, or to few of each group.
//!
//! The groups are found once, for all steps; then each member's row is taken into its
//! group's row, so memory is read in the order it stands in.

mod fold;
mod groups;
mod heap;
mod ranked;
mod spread;
mod values;

use promql_parser::parser::{
    AggregateExpr,
    token::{
        T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_GROUP, T_LIMIT_RATIO, T_LIMITK, T_MAX, T_MIN,
        T_QUANTILE, T_STDDEV, T_STDVAR, T_SUM, T_TOPK,
    },
};

use super::{
    column::Column,
    error::QueryError,
    evaluate::{Evaluated, Evaluator},
    grid::Grid,
    notes::Note,
};
use groups::{Group, groups};

/// What an aggregation noticed.
type Said = std::collections::BTreeMap<String, Note>;

fn say(said: &mut Said, note: Note) {
    said.entry(format!("{note:?}")).or_insert(note);
}

/// The names of all aggregations.
pub const NAMES: [&str; 14] = [
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];

pub async fn evaluate(
    evaluator: &Evaluator<'_>,
    aggregate: &AggregateExpr,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let parameter = match &aggregate.param {
        None => Evaluated::Scalar(Vec::new()),
        Some(expr) => evaluator.eval(expr, grid).await?,
    };
    let columns = evaluator.vector(&aggregate.expr, grid).await?;
    if columns.is_empty() {
        return Ok(columns);
    }
    let groups = groups(&columns, aggregate.modifier.as_ref());
    let mut said = Said::new();
    let mut found = Vec::with_capacity(groups.len());
    let op = aggregate.op.id();
    match (op, parameter) {
        (T_COUNT_VALUES, Evaluated::Text(label)) => {
            found = values::count(&columns, aggregate.modifier.as_ref(), &label, grid)?;
        }
        (T_TOPK | T_BOTTOMK | T_LIMITK | T_LIMIT_RATIO, Evaluated::Scalar(row)) => {
            found = match op {
                T_LIMITK => ranked::limit(columns, &groups, &row)?,
                T_LIMIT_RATIO => ranked::ratio(columns, &row, &mut said),
                _ => ranked::top(columns, &groups, &row, op == T_TOPK, grid, &mut said)?,
            };
        }
        (_, Evaluated::Scalar(row)) => {
            for group in &groups {
                let column = one(op, &columns, group, &row, grid, &mut said)?;
                if !column.is_empty() {
                    found.push(column);
                }
                evaluator.breathe().await;
            }
        }
        _ => {
            return Err(QueryError::Invalid(format!("the parameter of {} has the wrong type", aggregate.op)));
        }
    }
    said.values().for_each(|note| evaluator.note(note));
    Ok(found)
}

/// A group's column.
fn one(
    op: u16,
    columns: &[Column],
    group: &Group,
    parameter: &[f64],
    grid: Grid,
    said: &mut Said,
) -> Result<Column, QueryError> {
    Ok(match op {
        T_SUM => fold::sum(columns, group, grid, said),
        T_AVG => fold::avg(columns, group, grid, said),
        T_COUNT => fold::count(columns, group, grid),
        T_GROUP => fold::count(columns, group, grid).map(|_| 1.0),
        T_MIN => fold::extreme(columns, group, grid, "min", f64::min, said),
        T_MAX => fold::extreme(columns, group, grid, "max", f64::max, said),
        T_STDVAR => spread::variance(columns, group, grid, "stdvar", said),
        T_STDDEV => spread::variance(columns, group, grid, "stddev", said).map(f64::sqrt),
        T_QUANTILE => spread::quantile(columns, group, parameter, grid, said),
        _ => return Err(QueryError::Invalid("this aggregation is not known".into())),
    })
}
