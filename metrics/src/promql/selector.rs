//! Selectors: which series a query means, and what they have at each step.

use promql_parser::{
    label::MatchOp as ParsedOp,
    parser::{AtModifier, Offset, VectorSelector},
};

use super::{
    column::{Cell, Column},
    error::QueryError,
    evaluate::Evaluator,
    grid::Grid,
};
use crate::series::{MatchOp, Matcher, NAME, SeriesData, Value};

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
    columns(evaluator, selector, grid, |_, value| match value {
        Value::Number(number) => Cell::Number(*number),
        Value::Histogram(histogram) => Cell::Histogram(histogram.clone()),
    })
    .await
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
    take: fn(i64, &Value) -> Cell,
) -> Result<Vec<Column>, QueryError> {
    if grid.steps == 0 {
        return Ok(Vec::new());
    }
    let shift = Shift::new(selector.at.as_ref(), selector.offset.as_ref(), evaluator.whole);
    let (first, last) = (shift.of(grid.start), shift.of(grid.end()));
    let range = first.saturating_sub(evaluator.lookback).saturating_add(1)..last.saturating_add(1);
    let found = evaluator.source.select(&matchers(selector)?, range, evaluator.room()).await?;
    let mut columns = Vec::with_capacity(found.len());
    for series in found {
        let column = column(&series, grid, shift, evaluator.lookback, take);
        if !column.is_empty() {
            evaluator.hold(grid.steps)?;
            columns.push(column);
        }
        evaluator.breathe().await;
    }
    Ok(columns)
}

/// One series over the steps. Pure.
fn column(
    series: &SeriesData,
    grid: Grid,
    shift: Shift,
    lookback: i64,
    take: fn(i64, &Value) -> Cell,
) -> Column {
    let mut column = Column::new(series.labels.clone(), grid.steps);
    let mut passed = 0;
    for step in 0..grid.steps {
        let time = shift.of(grid.time(step));
        while series.samples.get(passed).is_some_and(|sample| sample.0 <= time) {
            passed += 1;
        }
        let Some((at, value)) = passed.checked_sub(1).map(|last| &series.samples[last]) else { continue };
        if *at > time.saturating_sub(lookback) && !value.is_stale() {
            match take(*at, value) {
                Cell::Number(number) => column.numbers[step] = number,
                other => column.set(step, other),
            }
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        promql::column::ABSENT,
        series::{Labels, STALE},
    };

    #[test]
    fn the_newest_sample_counts_until_it_is_old_or_the_series_ends() {
        let samples = [(1, 1.0), (10, 2.0), (12, STALE), (40, 3.0)];
        let samples = samples.map(|(time, number)| (time, Value::Number(number))).to_vec();
        let series = SeriesData { labels: Labels::default(), samples };
        let take = |_, value: &Value| Cell::Number(value.number().expect("numbers only"));
        let shift = Shift { at: None, offset: 0 };
        let column = column(&series, Grid::range(0, 50, 5), shift, 10, take);
        let nothing = ABSENT.to_bits();
        let bits: Vec<_> = column.numbers.iter().map(|number| number.to_bits()).collect();
        let expected = [nothing, 1f64.to_bits(), 2f64.to_bits(), nothing, nothing, nothing, nothing, nothing];
        assert_eq!(bits[..8], expected);
        assert_eq!(bits[8..], [3f64.to_bits(), 3f64.to_bits(), nothing]);
    }
}
