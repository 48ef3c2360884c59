//! Selectors: which series a query means, and what they have at each step.

use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use promql_parser::{
    label::MatchOp as ParsedOp,
    parser::{AtModifier, Offset, VectorSelector},
};

use super::{
    column::{Cell, Column},
    error::QueryError,
    evaluate::Evaluator,
    grid::Grid,
    workers,
};
use crate::series::{Batch, MatchOp, Matcher, NAME, SeriesColumns, is_stale};

/// The matchers of a selector, the name among them.
///
/// # Errors
/// A value is no regular expression, or alternatives are asked for.
pub fn matchers(selector: &VectorSelector) -> Result<Vec<Matcher>, QueryError> {
    if !selector.matchers.or_matchers.is_empty() {
        return Err(QueryError::Invalid("\"or\" within a selector is not part of PromQL".into()));
    }
    let name = selector.name.as_deref().map(|name| Ok(Matcher::equal(NAME, name)));
    let others = selector.matchers.matchers.iter().map(|matcher| {
        let op = match matcher.op {
            ParsedOp::Equal => MatchOp::Equal,
            ParsedOp::NotEqual => MatchOp::NotEqual,
            ParsedOp::Re(_) => MatchOp::Matches,
            ParsedOp::NotRe(_) => MatchOp::NotMatches,
        };
        Matcher::new(&matcher.name, op, &matcher.value).map_err(QueryError::Invalid)
    });
    name.into_iter().chain(others).collect()
}

/// Where a selector's or a subquery's time is, seen from a step.
#[derive(Debug, Clone, Copy)]
pub struct Shift {
    /// The moment it is fixed to.
    pub at: Option<i64>,
    /// Subtracted from it.
    pub offset: i64,
}

impl Shift {
    pub fn new(at: Option<&AtModifier>, offset: Option<&Offset>, whole: Grid) -> Self {
        let at = at.map(|at| match at {
            AtModifier::Start => whole.start,
            AtModifier::End => whole.until,
            AtModifier::At(time) => match time.duration_since(std::time::UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
            },
        });
        let millis = |duration: &std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let offset = match offset {
            None => 0,
            Some(Offset::Pos(by)) => millis(by),
            Some(Offset::Neg(by)) => -millis(by),
        };
        Self { at, offset }
    }

    /// The moment that is meant at a step's time.
    pub fn of(&self, time: i64) -> i64 {
        self.at.unwrap_or(time).saturating_sub(self.offset)
    }
}

/// What the series of a selector have at each step: the newest sample within the lookback,
/// unless the series ended.
pub async fn instant(
    evaluator: &Evaluator<'_>,
    selector: &VectorSelector,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    columns(evaluator, selector, grid, |_, cell| cell).await
}

/// The times of these samples instead, seconds.
pub async fn timestamps(
    evaluator: &Evaluator<'_>,
    selector: &VectorSelector,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    columns(evaluator, selector, grid, |time, _| Cell::Number(time as f64 / 1000.0)).await
}

async fn columns(
    evaluator: &Evaluator<'_>,
    selector: &VectorSelector,
    grid: Grid,
    take: fn(i64, Cell) -> Cell,
) -> Result<Vec<Column>, QueryError> {
    if grid.steps == 0 {
        return Ok(Vec::new());
    }
    let shift = Shift::new(selector.at.as_ref(), selector.offset.as_ref(), evaluator.whole);
    let (first, last) = (shift.of(grid.start), shift.of(grid.end()));
    let range = first.saturating_sub(evaluator.lookback).saturating_add(1)..last.saturating_add(1);
    let found = evaluator.source.stream(&matchers(selector)?, range, &evaluator.missing).await?;
    let lookback = evaluator.lookback;
    let work = move |batch: Batch| {
        let mut columns = Vec::new();
        for series in batch {
            let column = column(&series?, grid, shift, lookback, take);
            if !column.is_empty() {
                columns.push(column);
            }
        }
        Ok(columns)
    };
    let mut found = pin!(workers::each(found.map_err(QueryError::from), work));
    let mut columns = Vec::new();
    while let Some(more) = found.next().await.transpose()? {
        evaluator.hold(more.len() * grid.steps)?;
        columns.extend(more);
        evaluator.breathe().await;
    }
    Ok(columns)
}

/// One series over the steps. Pure.
fn column(
    series: &SeriesColumns,
    grid: Grid,
    shift: Shift,
    lookback: i64,
    take: fn(i64, Cell) -> Cell,
) -> Column {
    let mut column = Column::new(series.labels.clone(), grid.steps);
    let (mut numbers, mut histograms) = (0, 0);
    for step in 0..grid.steps {
        let time = shift.of(grid.time(step));
        let oldest = time.saturating_sub(lookback);
        while series.times.get(numbers).is_some_and(|at| *at <= time) {
            numbers += 1;
        }
        while series.histograms.get(histograms).is_some_and(|sample| sample.0 <= time) {
            histograms += 1;
        }
        let number = numbers.checked_sub(1).map(|last| (series.times[last], series.values[last]));
        let histogram = histograms.checked_sub(1).map(|last| &series.histograms[last]);
        if let Some((at, histogram)) = histogram
            && number.is_none_or(|(other, _)| other < *at)
        {
            if *at > oldest && !is_stale(histogram.sum) {
                column.set(step, take(*at, Cell::Histogram(histogram.clone())));
            }
            continue;
        }
        if let Some((at, number)) = number
            && at > oldest
            && !is_stale(number)
            && let Cell::Number(number) = take(at, Cell::Number(number))
        {
            column.numbers[step] = number;
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{promql::column::ABSENT, series::STALE};

    #[test]
    fn the_newest_sample_counts_until_it_is_old_or_the_series_ends() {
        let series = SeriesColumns {
            times: vec![1, 10, 12, 40],
            values: vec![1.0, 2.0, STALE, 3.0],
            ..SeriesColumns::default()
        };
        let shift = Shift { at: None, offset: 0 };
        let column = column(&series, Grid::range(0, 50, 5), shift, 10, |_, cell| cell);
        let nothing = ABSENT.to_bits();
        let bits: Vec<_> = column.numbers.iter().map(|number| number.to_bits()).collect();
        let expected = [nothing, 1f64.to_bits(), 2f64.to_bits(), nothing, nothing, nothing, nothing, nothing];
        assert_eq!(bits[..8], expected);
        assert_eq!(bits[8..], [3f64.to_bits(), 3f64.to_bits(), nothing]);
    }
}
