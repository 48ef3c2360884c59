//! Selectors: which series a query means, and what they have at each step.

use std::{borrow::Cow, pin::pin};

use futures::{StreamExt, TryStreamExt};
use promql_parser::{
    label::MatchOp as ParsedOp,
    parser::{AtModifier, Expr, Offset, VectorSelector},
};

use super::{
    braces,
    column::{Cell, Column},
    error::QueryError,
    evaluate::Evaluator,
    grid::Grid,
    parse::parse,
    workers,
};
use crate::series::{Batch, MatchOp, Matcher, NAME, SeriesColumns, Wanted, is_stale};

/// The matchers of a text that is a selector and nothing else.
///
/// # Errors
/// It is none.
pub fn matchers_of(text: &str) -> Result<Vec<Matcher>, QueryError> {
    match &*parse(text)? {
        Expr::VectorSelector(selector) => matchers(selector),
        _ => Err(QueryError::Invalid("it must be a selector such as up{job=\"node\"}".into())),
    }
}

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
        let value = match op {
            MatchOp::Equal | MatchOp::NotEqual => Cow::Borrowed(&*matcher.value),
            MatchOp::Matches | MatchOp::NotMatches => braces::literal(&matcher.value),
        };
        Matcher::new(&matcher.name, op, &value).map_err(QueryError::Invalid)
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

/// What of a sample is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Take {
    Value,
    /// Seconds.
    Time,
}

/// What the series of a selector have at each step: the newest sample within the lookback,
/// unless the series ended.
pub async fn instant(
    evaluator: &Evaluator<'_>,
    selector: &VectorSelector,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    columns(evaluator, selector, grid, Take::Value).await
}

/// The times of these samples instead, seconds.
pub async fn timestamps(
    evaluator: &Evaluator<'_>,
    selector: &VectorSelector,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    columns(evaluator, selector, grid, Take::Time).await
}

async fn columns(
    evaluator: &Evaluator<'_>,
    selector: &VectorSelector,
    grid: Grid,
    take: Take,
) -> Result<Vec<Column>, QueryError> {
    if grid.steps == 0 {
        return Ok(Vec::new());
    }
    let shift = Shift::new(selector.at.as_ref(), selector.offset.as_ref(), evaluator.whole);
    let (first, last) = (shift.of(grid.start), shift.of(grid.end()));
    let range = first.saturating_sub(evaluator.lookback).saturating_add(1)..last.saturating_add(1);
    let wanted = if first == last { Wanted::Newest } else { Wanted::All };
    let found = evaluator.source.stream(&matchers(selector)?, range, wanted, &evaluator.missing).await?;
    let steps = Steps { grid, shift, lookback: evaluator.lookback, take };
    let work = move |batch: Batch| {
        let (mut columns, mut places) = (Vec::new(), Places::default());
        for series in batch {
            let column = steps.column(&series?, &mut places);
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

/// The steps of a query, as a selector sees them.
#[derive(Debug, Clone, Copy)]
struct Steps {
    grid: Grid,
    shift: Shift,
    lookback: i64,
    take: Take,
}

impl Steps {
    /// One series over the steps.
    fn column(&self, series: &SeriesColumns, places: &mut Places) -> Column {
        let mut column = Column::new(series.labels.clone(), self.grid.steps);
        places.lay(self, &series.times);
        let numbers = places.newest.iter().map(|place| place.map(|place| place as usize));
        for (place, into) in numbers.clone().zip(&mut column.numbers) {
            if let Some(place) = place
                && !is_stale(series.values[place])
            {
                *into = match self.take {
                    Take::Value => series.values[place],
                    Take::Time => series.times[place] as f64 / 1000.0,
                };
            }
        }
        if !series.histograms.is_empty() {
            let numbers = numbers.map(|place| place.map(|place| series.times[place])).collect::<Vec<_>>();
            self.put_histograms(&mut column, series, &numbers);
        }
        column
    }

    /// Where a histogram is newer than the number of a step, it counts; also that it ended.
    fn put_histograms(&self, column: &mut Column, series: &SeriesColumns, numbers: &[Option<i64>]) {
        let mut after = 0;
        for (step, number) in numbers.iter().enumerate() {
            let (time, oldest) = self.reach(step);
            while series.histograms.get(after).is_some_and(|sample| sample.0 <= time) {
                after += 1;
            }
            let Some((at, histogram)) = after.checked_sub(1).map(|last| &series.histograms[last]) else {
                continue;
            };
            if *at <= oldest || number.is_some_and(|number| number >= *at) {
                continue;
            }
            column.set(
                step,
                match self.take {
                    _ if is_stale(histogram.sum) => Cell::Nothing,
                    Take::Value => Cell::Histogram(histogram.clone()),
                    Take::Time => Cell::Number(*at as f64 / 1000.0),
                },
            );
        }
    }

    /// The time that is meant at a step, and that from which on samples count, itself excluded.
    fn reach(&self, step: usize) -> (i64, i64) {
        let time = self.shift.of(self.grid.time(step));
        (time, time.saturating_sub(self.lookback))
    }
}

/// Where the newest sample of each step stands in the series before: what one scrape gives has
/// the same times throughout. For steps of one kind.
#[derive(Default)]
struct Places {
    times: Vec<i64>,
    newest: Vec<Option<u32>>,
}

impl Places {
    fn lay(&mut self, steps: &Steps, times: &[i64]) {
        if self.times == times && self.newest.len() == steps.grid.steps {
            return;
        }
        self.times.clear();
        self.times.extend_from_slice(times);
        let mut after = 0;
        self.newest.clear();
        self.newest.extend((0..steps.grid.steps).map(|step| {
            let (time, oldest) = steps.reach(step);
            while times.get(after).is_some_and(|at| *at <= time) {
                after += 1;
            }
            let last = after.checked_sub(1).filter(|last| times[*last] > oldest)?;
            u32::try_from(last).ok()
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        promql::column::ABSENT,
        series::{Histogram, STALE},
    };
    use proptest::prelude::*;

    #[test]
    fn the_newest_sample_counts_until_it_is_old_or_the_series_ends() {
        let series = SeriesColumns {
            times: vec![1, 10, 12, 40],
            values: vec![1.0, 2.0, STALE, 3.0],
            ..SeriesColumns::default()
        };
        let shift = Shift { at: None, offset: 0 };
        let steps = Steps { grid: Grid::range(0, 50, 5), shift, lookback: 10, take: Take::Value };
        let mut places = Places::default();
        let column = steps.column(&series, &mut places);
        let nothing = ABSENT.to_bits();
        let bits: Vec<_> = column.numbers.iter().map(|number| number.to_bits()).collect();
        let expected = [nothing, 1f64.to_bits(), 2f64.to_bits(), nothing, nothing, nothing, nothing, nothing];
        assert_eq!(bits[..8], expected);
        assert_eq!(bits[8..], [3f64.to_bits(), 3f64.to_bits(), nothing]);
    }

    /// Numbers at odd times and histograms at even ones, so that no time has both.
    fn series() -> impl Strategy<Value = SeriesColumns> {
        let sample = (0i64..60, prop::bool::weighted(0.2), any::<bool>());
        prop::collection::btree_map(0i64..60, sample, 0..12).prop_map(|samples| {
            let mut series = SeriesColumns::default();
            for (time, (number, is_stale, is_histogram)) in samples {
                let number = if is_stale { STALE } else { number as f64 };
                if is_histogram {
                    let histogram = Histogram { sum: number, ..Histogram::default() };
                    series.histograms.push((time * 2, histogram.into()));
                } else {
                    series.push(time * 2 + 1, number);
                }
            }
            series
        })
    }

    proptest! {
        #[test]
        fn each_series_has_the_newest_of_its_own(all in prop::collection::vec(series(), 1..5), lookback in 1i64..40) {
            let shift = Shift { at: None, offset: 3 };
            let steps = Steps { grid: Grid::range(-5, 130, 7), shift, lookback, take: Take::Value };
            let mut places = Places::default();
            for series in all {
                let column = steps.column(&series, &mut places);
                for step in 0..steps.grid.steps {
                    let time = steps.grid.time(step) - 3;
                    let numbers = series.times.iter().zip(&series.values);
                    let numbers = numbers.map(|(at, number)| (*at, Cell::Number(*number), *number));
                    let histograms = series.histograms.iter();
                    let histograms = histograms.map(|(at, one)| (*at, Cell::Histogram(one.clone()), one.sum));
                    let there = numbers.chain(histograms).filter(|(at, ..)| *at <= time && *at > time - lookback);
                    let newest = there.max_by_key(|(at, ..)| *at).filter(|(_, _, number)| !is_stale(*number));
                    prop_assert_eq!(column.cell(step), newest.map_or(Cell::Nothing, |(_, cell, _)| cell));
                }
            }
        }
    }
}
