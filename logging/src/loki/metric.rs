//! Metric queries: functions over windows, and what is made of them.

use futures::future::BoxFuture;

use super::{
    answer::LokiError,
    lines::Ask,
    logql::ast::{Metric, RangeOp, VectorOp},
    range::{Grid, range},
    vector::{Value, aggregate, binary, constant},
};

/// Functions over windows of a query: each one asks all nodes, and has its own numbers.
const MAX_FUNCTIONS: usize = 16;

/// Refuses a query of too many functions.
pub fn check(metric: &Metric) -> Result<(), LokiError> {
    match functions(metric) {
        count if count > MAX_FUNCTIONS => Err(LokiError::wrong(format!(
            "the query has {count} functions over ranges, more than {MAX_FUNCTIONS}: ask in several queries"
        ))),
        _ => Ok(()),
    }
}

fn functions(metric: &Metric) -> usize {
    match metric {
        Metric::Number(_) | Metric::Vector(_) => 0,
        Metric::Range(_) => 1,
        Metric::Aggregation { inner, .. } => functions(inner),
        Metric::Binary { left, right, .. } => functions(left) + functions(right),
    }
}

/// The query at each time of the grid; what is missing goes to `warnings`.
pub fn evaluate<'a>(
    ask: Ask<'a>,
    metric: &'a Metric,
    grid: Grid,
    warnings: &'a mut Vec<String>,
) -> BoxFuture<'a, Result<Value, LokiError>> {
    Box::pin(async move {
        Ok(match metric {
            Metric::Number(number) => Value::Scalar(*number),
            Metric::Vector(number) => Value::Vector(constant(*number, grid)),
            Metric::Range(function) => Value::Vector(range(ask, function, None, grid, warnings).await?),
            Metric::Aggregation { op, param, group, inner } => {
                let series = match &**inner {
                    // Sums of counts: the index counts by these labels and no more.
                    Metric::Range(function) if *op == VectorOp::Sum && function.op != RangeOp::Absent => {
                        let all = super::logql::ast::Group { without: false, labels: Vec::new() };
                        let group = group.as_ref().unwrap_or(&all);
                        range(ask, function, Some(group), grid, warnings).await?
                    }
                    other => match evaluate(ask, other, grid, warnings).await? {
                        Value::Vector(series) => series,
                        Value::Scalar(_) => {
                            let message = format!("`{}` takes series, not a number", op.name());
                            return Err(LokiError::wrong(message));
                        }
                    },
                };
                Value::Vector(aggregate(*op, *param, group.as_ref(), series))
            }
            Metric::Binary { op, bool, matching, left, right } => {
                let left = evaluate(ask, left, grid, warnings).await?;
                let right = evaluate(ask, right, grid, warnings).await?;
                binary(*op, *bool, matching.as_ref(), left, right)?
            }
        })
    })
}
