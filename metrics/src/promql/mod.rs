//! PromQL: Prometheus' query language over the store of series.
//!
//! ```text
//! text ─ parse ─> tree ─ evaluate (columns over a step grid) ─> answer ─ http ─> JSON
//!                              └─ Select: samples, once a selector
//! ```
//!
//! The language is Prometheus 3's; [`promql_parser`] gives the tree. A whole range is
//! evaluated at once, series by series ([`column`], [`window`]), so labels are looked at
//! once a series and not once a step. What it must not do: know where series come from,
//! or who asks; the [`http`] door narrows [`Select`] to what its user may see.

mod aggregate;
mod binary;
pub(crate) mod braces;
mod budget;
mod column;
mod error;
mod evaluate;
mod extreme;
mod functions;
mod grid;
pub(crate) mod histogram;
mod http;
mod nearest;
mod notes;
mod parse;
mod parsed;
mod place;
mod quantile;
mod selector;
mod sums;
mod track;
mod unique;
mod walk;
mod warm;
mod window;
mod workers;

#[cfg(test)]
mod tests;

use std::{
    sync::atomic::AtomicUsize,
    time::{Duration, Instant},
};

use futures::StreamExt;
use parking_lot::Mutex;
use promql_parser::parser::value::ValueType;

pub use budget::{Budget, Share};
pub use column::Column;
pub use error::QueryError;
pub use grid::Grid;
pub use http::{PREFIX, Scoped, routes, routes_sharing};
pub use notes::Notes;
pub use parse::parse;
pub use selector::matchers_of;
pub use warm::warm;

use crate::series::{Missing, Select, SeriesData};
use evaluate::{Evaluated, Evaluator};

/// How much one query may take.
#[derive(Debug, Clone)]
pub struct Limits {
    pub steps: usize,
    /// Samples and values in memory.
    pub samples: usize,
    pub deadline: Duration,
    /// How old a sample may be that an instant selector takes.
    pub lookback: Duration,
    /// The step of subqueries that name none.
    pub subquery_step: Duration,
    /// What it takes of what all queries together may hold; who keeps a clone keeps it taken.
    pub share: Share,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 11_000,
            samples: 50_000_000,
            deadline: Duration::from_secs(120),
            lookback: Duration::from_secs(300),
            subquery_step: Duration::from_secs(60),
            share: Share::default(),
        }
    }
}

/// What a query comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The time in milliseconds, and the number.
    Scalar(i64, f64),
    Text(i64, String),
    /// One value a series, at a time.
    Vector(i64, Vec<Column>),
    /// Values over the steps, series in order of their labels.
    Matrix(Grid, Vec<Column>),
    /// Samples as they are, of an instant query for a range.
    Samples(Vec<SeriesData>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub outcome: Outcome,
    pub notes: Notes,
}

/// Answers a query at one time, milliseconds since the Unix epoch.
///
/// # Errors
/// The query is wrong, can't be evaluated over what is there, or outgrows the limits.
pub async fn instant(
    source: &dyn Select,
    query: &str,
    time: i64,
    limits: &Limits,
) -> Result<Answer, QueryError> {
    let expr = parse(query)?;
    answer(source, Grid::instant(time), limits, async |evaluator, grid| {
        if window::is_range(&expr) {
            let found = window::ranges(evaluator, &expr, grid).await?;
            let windows = found.windows;
            let mut found = found.each(move |tracks| windows.samples_of(tracks));
            let mut series = Vec::new();
            while let Some(more) = found.next().await.transpose()? {
                evaluator.hold(more.iter().map(|one| one.samples.len()).sum())?;
                series.extend(more);
            }
            return Ok(Outcome::Samples(series));
        }
        Ok(match evaluator.eval(&expr, grid).await? {
            Evaluated::Scalar(numbers) => Outcome::Scalar(time, numbers[0]),
            Evaluated::Text(text) => Outcome::Text(time, text),
            Evaluated::Vector(columns) => Outcome::Vector(time, columns),
        })
    })
    .await
}

/// Answers a query at the steps of a grid.
///
/// # Errors
/// The same, and more steps than the limit.
pub async fn range(
    source: &dyn Select,
    query: &str,
    grid: Grid,
    limits: &Limits,
) -> Result<Answer, QueryError> {
    let expr = parse(query)?;
    if grid.steps > limits.steps {
        return Err(QueryError::Invalid(format!(
            "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
            limits.steps
        )));
    }
    let kind = expr.value_type();
    if !matches!(kind, ValueType::Scalar | ValueType::Vector) {
        let kind = if kind == ValueType::Matrix { "range vector" } else { "string" };
        return Err(QueryError::Invalid(format!(
            "invalid expression type {kind:?} for range query, must be Scalar or instant Vector"
        )));
    }
    answer(source, grid, limits, async |evaluator, grid| {
        let mut columns = match evaluator.eval(&expr, grid).await? {
            Evaluated::Scalar(numbers) => functions::of_scalar(numbers),
            Evaluated::Vector(columns) => columns,
            Evaluated::Text(_) => Vec::new(),
        };
        columns.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Outcome::Matrix(grid, columns))
    })
    .await
}

async fn answer(
    source: &dyn Select,
    grid: Grid,
    limits: &Limits,
    work: impl AsyncFnOnce(&Evaluator<'_>, Grid) -> Result<Outcome, QueryError>,
) -> Result<Answer, QueryError> {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let evaluator = Evaluator {
        source,
        lookback: millis(limits.lookback),
        whole: grid,
        subquery_step: millis(limits.subquery_step),
        most: limits.samples,
        held: AtomicUsize::new(0),
        share: limits.share.clone(),
        notes: Mutex::new(Notes::default()),
        missing: Missing::default(),
        turn: Mutex::new(Instant::now()),
    };
    let outcome = tokio::time::timeout(limits.deadline, work(&evaluator, grid))
        .await
        .map_err(|_| QueryError::TooSlow(limits.deadline.as_secs()))??;
    let mut notes = evaluator.notes.into_inner();
    notes.warnings.extend(evaluator.missing.sentences());
    Ok(Answer { outcome, notes })
}
