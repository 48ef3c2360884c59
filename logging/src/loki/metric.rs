//! Metric queries: functions over windows, and what is made of them.

use futures::future::BoxFuture;

use super::{
    answer::LokiError,
    lines::Ask,
    logql::ast::{Metric, RangeOp, VectorOp},
    range::{Grid, range},
    vector::{Value, aggregate, binary, constant},
};

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
