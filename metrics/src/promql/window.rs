//! Ranges of samples: a window that slides over each series, a step at a time.
//!
//! A series is fetched once for all windows. Its numbers and histograms stand apart, as
//! most functions want one kind. A window includes its end, not its start.

use std::{cell::RefCell, iter, sync::Arc, vec};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use promql_parser::parser::{Expr, MatrixSelector, SubqueryExpr};

use super::{
    column::{Cell, Column},
    error::QueryError,
    evaluate::Evaluator,
    extreme::Extreme,
    functions::{Layout, Spans},
    grid::Grid,
    selector::{Shift, matchers},
    sums::{Kahan, mean},
    track::{Track, within},
    workers::{self, Piece},
};
use crate::series::{Batch, Histogram, SeriesData, Value, Wanted};

/// Series of a subquery that one thread takes at a time.
const AT_ONCE: usize = 64;

/// What a function over a range sees at one step.
pub struct Window<'a> {
    track: &'a Track,
    first: usize,
    /// Whether the next window has some of the same samples.
    overlaps: bool,
    extremes: &'a RefCell<Extremes>,
    /// Not before `start`, which is not part of it; up to `end`. Milliseconds.
    pub start: i64,
    pub end: i64,
    /// The time of the step itself.
    pub now: i64,
    pub times: &'a [i64],
    pub numbers: &'a [f64],
    pub histograms: &'a [(i64, Arc<Histogram>)],
}

impl Window<'_> {
    pub fn metric(&self) -> &str {
        self.track.labels.name()
    }

    pub fn is_mixed(&self) -> bool {
        !self.numbers.is_empty() && !self.histograms.is_empty()
    }

    /// What a counter lost by beginning anew within the window.
    pub fn lost(&self) -> f64 {
        self.resets().iter().map(|place| self.track.numbers[place - 1]).sum()
    }

    /// Places of the numbers that are smaller than the one before, which is in the window too.
    fn resets(&self) -> &[usize] {
        within(self.track.resets(), self.first + 1, self.after())
    }

    pub fn count_resets(&self) -> usize {
        self.resets().len()
    }

    pub fn count_changes(&self) -> usize {
        within(self.track.changes(), self.first + 1, self.after()).len()
    }

    fn after(&self) -> usize {
        self.first + self.numbers.len()
    }

    /// The numbers added up, with little lost.
    pub fn sum(&self) -> f64 {
        if let Some(sums) = self.sums() {
            return sums[self.after()] - sums[self.first];
        }
        let mut sum = Kahan::default();
        self.numbers.iter().for_each(|number| sum.add(*number));
        sum.total()
    }

    pub fn mean(&self) -> f64 {
        match self.sums() {
            Some(_) => self.sum() / self.numbers.len() as f64,
            None => mean(self.numbers),
        }
    }

    fn sums(&self) -> Option<&[f64]> {
        self.overlaps.then(|| self.track.sums()).flatten()
    }

    /// The largest number; NaN only where nothing else is.
    pub fn max(&self) -> f64 {
        let largest = &mut self.extremes.borrow_mut().largest;
        largest.of(&self.track.numbers, self.first, self.after(), |one, other| one > other)
    }

    pub fn min(&self) -> f64 {
        let smallest = &mut self.extremes.borrow_mut().smallest;
        smallest.of(&self.track.numbers, self.first, self.after(), |one, other| one < other)
    }

    /// All samples of the window in order of time.
    pub fn samples(&self) -> Vec<(i64, Cell)> {
        let numbers =
            self.times.iter().zip(self.numbers).map(|(time, number)| (*time, Cell::Number(*number)));
        let histograms = self.histograms.iter().map(|(time, one)| (*time, Cell::Histogram(one.clone())));
        let mut samples: Vec<_> = numbers.chain(histograms).collect();
        samples.sort_by_key(|sample| sample.0);
        samples
    }
}

/// Extremes of the window, as it moves on over a series.
#[derive(Default)]
struct Extremes {
    largest: Extreme,
    smallest: Extreme,
}

/// Series, some at a time, and the windows over them.
pub struct Ranges {
    pub windows: Windows,
    tracks: BoxStream<'static, Result<Tracks, QueryError>>,
}

impl Ranges {
    /// What `work` makes of some series at a time, in their order, on several threads.
    pub fn each<T: Send + 'static>(
        self,
        work: impl Fn(Tracks) -> Result<T, QueryError> + Send + Sync + 'static,
    ) -> BoxStream<'static, Result<T, QueryError>> {
        workers::each(self.tracks, work).boxed()
    }
}

/// Some series. Iterating gives the samples of each.
pub enum Tracks {
    Stored(Batch),
    /// Of a subquery.
    Evaluated(vec::IntoIter<Column>, Grid),
}

impl Piece for Tracks {
    fn samples(&self) -> usize {
        match self {
            Self::Stored(batch) => batch.samples(),
            Self::Evaluated(columns, grid) => columns.len() * grid.steps,
        }
    }
}

impl Iterator for Tracks {
    type Item = Result<Track, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Stored(batch) => Some(batch.next()?.map(Track::of_columns).map_err(QueryError::from)),
            Self::Evaluated(columns, grid) => Some(Ok(Track::of_column(&columns.next()?, *grid))),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Windows {
    pub grid: Grid,
    shift: Shift,
    /// Milliseconds.
    range: i64,
}

impl Windows {
    /// Whether each step has the same window.
    pub fn are_fixed(&self) -> bool {
        self.shift.at.is_some()
    }

    /// The samples of series in the only window of an instant query; of those that have some.
    pub fn samples_of(&self, tracks: Tracks) -> Result<Vec<SeriesData>, QueryError> {
        let (mut found, mut known) = (Vec::new(), Known::default());
        for track in tracks {
            let track = track?;
            let samples = self.of_instant(&track, &mut known);
            if !samples.is_empty() {
                found.push(SeriesData { labels: track.labels, samples });
            }
        }
        Ok(found)
    }

    fn of_instant(&self, track: &Track, known: &mut Known) -> Vec<(i64, Value)> {
        let mut samples = Vec::new();
        self.slide(track, known, |_, window| {
            samples = window.samples();
            Cell::Nothing
        });
        let value = |(time, cell): (i64, Cell)| match cell {
            Cell::Nothing => None,
            Cell::Number(number) => Some((time, Value::Number(number))),
            Cell::Histogram(histogram) => Some((time, Value::Histogram(histogram))),
        };
        samples.into_iter().filter_map(value).collect()
    }

    /// Calls `each` for every step with samples in its window.
    pub fn slide(
        &self,
        track: &Track,
        known: &mut Known,
        mut each: impl FnMut(usize, &Window<'_>) -> Cell,
    ) -> Column {
        let mut column = Column::new(track.labels.clone(), self.grid.steps);
        known.lay(self, &track.times);
        let mut histograms = Edges::default();
        let extremes = RefCell::default();
        let overlaps = self.grid.steps > 1 && (self.are_fixed() || self.range > self.grid.step);
        for (step, (first, after)) in known.edges.iter().copied().enumerate() {
            let (start, end) = self.ends(step);
            histograms.move_to(&track.histograms, |sample| sample.0, start, end);
            if first == after && histograms.is_empty() {
                continue;
            }
            let cell = each(
                step,
                &Window {
                    track,
                    first,
                    overlaps,
                    extremes: &extremes,
                    start,
                    end,
                    now: self.grid.time(step),
                    times: &track.times[first..after],
                    numbers: &track.numbers[first..after],
                    histograms: &track.histograms[histograms.first..histograms.after],
                },
            );
            column.set(step, cell);
        }
        column
    }

    /// Where a step's window starts, and where it ends.
    #[inline]
    fn ends(&self, step: usize) -> (i64, i64) {
        let end = self.shift.of(self.grid.time(step));
        (end.saturating_sub(self.range), end)
    }
}

/// How windows lie over the samples of the series before: what one scrape gives has the same times
/// throughout. For windows of one kind.
#[derive(Default)]
pub struct Known {
    times: Vec<i64>,
    /// The places of each window's first number and of the one after its last.
    edges: Vec<(usize, usize)>,
    /// How each lies over its samples; empty until somebody asks.
    spans: Vec<Spans>,
}

impl Known {
    fn lay(&mut self, windows: &Windows, times: &[i64]) {
        if self.times == times && self.edges.len() == windows.grid.steps {
            return;
        }
        self.times.clear();
        self.times.extend_from_slice(times);
        self.spans.clear();
        let mut edges = Edges::default();
        self.edges.clear();
        self.edges.extend((0..windows.grid.steps).map(|step| {
            let (start, end) = windows.ends(step);
            edges.move_to(times, |time| *time, start, end);
            (edges.first, edges.after)
        }));
    }

    /// For functions that compute a number for each window of a series at once: the places of its
    /// first sample and of the one after its last, and how it lies over them, where it has two.
    pub fn spans(
        &mut self,
        windows: &Windows,
        times: &[i64],
    ) -> impl Iterator<Item = ((usize, usize), &Spans)> {
        self.lay(windows, times);
        if self.spans.is_empty() {
            let mut spans = Spans::default();
            self.spans.extend(self.edges.iter().enumerate().map(|(step, (at, after))| {
                if let [first, .., last] = times[*at..*after] {
                    let (start, end) = windows.ends(step);
                    spans.lay(Layout { start, first, last, end, samples: after - at });
                }
                spans
            }));
        }
        self.edges.iter().copied().zip(&self.spans)
    }
}

/// The places of a window's first sample and of the one after its last; both only move on.
#[derive(Default)]
struct Edges {
    first: usize,
    after: usize,
}

impl Edges {
    fn move_to<T>(&mut self, samples: &[T], time: impl Fn(&T) -> i64, start: i64, end: i64) {
        while samples.get(self.after).is_some_and(|sample| time(sample) <= end) {
            self.after += 1;
        }
        while self.first < self.after && time(&samples[self.first]) <= start {
            self.first += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.first == self.after
    }
}

/// The series that a range argument means, and its windows.
pub async fn ranges(evaluator: &Evaluator<'_>, expr: &Expr, grid: Grid) -> Result<Ranges, QueryError> {
    match expr {
        Expr::Paren(inner) => Box::pin(ranges(evaluator, &inner.expr, grid)).await,
        Expr::MatrixSelector(selector) => of_selector(evaluator, selector, grid).await,
        Expr::Subquery(subquery) => of_subquery(evaluator, subquery, grid).await,
        _ => Err(QueryError::Invalid("a range of samples is wanted here, such as metric[5m]".into())),
    }
}

/// Whether an argument is a range of samples.
pub fn is_range(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(inner) => is_range(&inner.expr),
        Expr::MatrixSelector(_) | Expr::Subquery(_) => true,
        _ => false,
    }
}

async fn of_selector(
    evaluator: &Evaluator<'_>,
    selector: &MatrixSelector,
    grid: Grid,
) -> Result<Ranges, QueryError> {
    let shift = Shift::new(selector.vs.at.as_ref(), selector.vs.offset.as_ref(), evaluator.whole);
    let windows = Windows { grid, shift, range: millis(selector.range) };
    if grid.steps == 0 {
        return Ok(Ranges { windows, tracks: stream::empty().boxed() });
    }
    let first = shift.of(grid.start).saturating_sub(windows.range).saturating_add(1);
    let last = shift.of(grid.end()).saturating_add(1);
    let stream = evaluator
        .source
        .stream(&matchers(&selector.vs)?, first..last, Wanted::All, &evaluator.missing)
        .await?;
    Ok(Ranges { windows, tracks: stream.map_ok(Tracks::Stored).map_err(QueryError::from).boxed() })
}

async fn of_subquery(
    evaluator: &Evaluator<'_>,
    subquery: &SubqueryExpr,
    grid: Grid,
) -> Result<Ranges, QueryError> {
    let shift = Shift::new(subquery.at.as_ref(), subquery.offset.as_ref(), evaluator.whole);
    let windows = Windows { grid, shift, range: millis(subquery.range) };
    let step = subquery.step.map_or(evaluator.subquery_step, millis).max(1);
    // Its steps are multiples of its step, after the first window's start.
    let after = shift.of(grid.start).saturating_sub(windows.range);
    let start = (after.div_euclid(step) + 1) * step;
    let inner = Grid::range(start, shift.of(grid.end()), step);
    let columns = evaluator.vector(&subquery.expr, inner).await?;
    let mut columns = columns.into_iter();
    let parts = iter::from_fn(move || {
        let part: Vec<_> = columns.by_ref().take(AT_ONCE).collect();
        (!part.is_empty()).then(|| Ok(Tracks::Evaluated(part.into_iter(), inner)))
    });
    Ok(Ranges { windows, tracks: stream::iter(parts).boxed() })
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::SeriesColumns;

    fn track(samples: impl Iterator<Item = (i64, f64)>) -> Track {
        let (times, values) = samples.unzip();
        Track::of_columns(SeriesColumns { times, values, ..SeriesColumns::default() })
    }

    #[test]
    fn a_window_has_its_end_and_not_its_start() {
        let samples = (0..10).map(|second| (second * 10, second as f64));
        let track = track(samples);
        let windows =
            Windows { grid: Grid::range(0, 120, 30), shift: Shift { at: None, offset: 0 }, range: 30 };
        let mut seen = Vec::new();
        windows.slide(&track, &mut Known::default(), |_, window| {
            seen.push(window.times.to_vec());
            Cell::Nothing
        });
        assert_eq!(seen, [vec![0], vec![10, 20, 30], vec![40, 50, 60], vec![70, 80, 90]]);
    }

    #[test]
    fn what_is_told_without_a_walk_is_what_a_walk_tells() {
        let whole = (0..90).map(|second| (second * 1000, f64::from(second as i32 * 37 % 11 - 5)));
        let tenths = (0..90).map(|second| (second * 1000, f64::from(second as i32 * 37 % 11) / 10.0));
        for track in [track(whole), track(tenths)] {
            let shift = Shift { at: None, offset: 0 };
            let windows = Windows { grid: Grid::range(0, 100_000, 3000), shift, range: 20_000 };
            windows.slide(&track, &mut Known::default(), |_, window| {
                let mut sum = Kahan::default();
                window.numbers.iter().for_each(|number| sum.add(*number));
                assert_eq!(window.sum().to_bits(), sum.total().to_bits());
                assert_eq!(window.mean().to_bits(), mean(window.numbers).to_bits());
                let pairs = window.numbers.windows(2);
                assert_eq!(window.count_changes(), pairs.clone().filter(|pair| pair[0] != pair[1]).count());
                assert_eq!(window.count_resets(), pairs.filter(|pair| pair[0] > pair[1]).count());
                Cell::Nothing
            });
        }
    }

    #[test]
    fn windows_lie_over_each_series_as_its_own_times_say() {
        let windows =
            Windows { grid: Grid::range(0, 100, 7), shift: Shift { at: None, offset: 0 }, range: 15 };
        let mut known = Known::default();
        // The second has the times of the first, the third as many others.
        for apart in [10, 10, 9, 3, 10] {
            let track = track((0..10).map(|number| (number * apart, number as f64)));
            let seen = |known: &mut Known| {
                let mut seen = Vec::new();
                windows.slide(&track, known, |step, window| {
                    seen.push((step, window.times.to_vec(), window.numbers.to_vec()));
                    Cell::Nothing
                });
                seen
            };
            assert_eq!(seen(&mut known), seen(&mut Known::default()));
        }
    }

    #[test]
    fn what_a_counter_lost_is_counted_within_the_window() {
        let numbers = [5.0, 9.0, 2.0, 4.0, 1.0, 3.0];
        let samples = (0i64..).zip(numbers);
        let track = track(samples);
        let windows = Windows { grid: Grid::range(2, 5, 1), shift: Shift { at: None, offset: 0 }, range: 3 };
        let mut lost = Vec::new();
        windows.slide(&track, &mut Known::default(), |_, window| {
            lost.push(window.lost());
            Cell::Nothing
        });
        assert_eq!(lost, [9.0, 9.0, 4.0, 4.0]);
    }
}
