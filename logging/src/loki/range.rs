//! Functions over windows of lines: `rate({...}[5m])`.
//!
//! A window at the time t holds the lines of (t - range, t]. Where the index can count,
//! cells as wide as the greatest common divisor of range and step are added up;
//! otherwise each line goes through the stages and into the windows that it lies in.

use std::{collections::HashMap, ops::ControlFlow};

use serde::Deserialize;

use super::{
    answer::{LokiError, missing},
    labels::{self, Labels},
    lines::Ask,
    logql::ast::{Group, MatchOp, RangeAggregation, RangeOp, Stage},
    pipeline::Line,
    translate,
};
use crate::{
    root::stats::{self, Cells},
    search::{LABELS, Sketch},
    time::SECOND,
    wire::{MAX_KEYS, NodeStatsRequest},
};

/// Numbers of all windows and series that lines are put into.
pub const MAX_SAMPLES: usize = 200_000;
/// Series by steps, of which not each has a number.
const MAX_PLACES: usize = 2_000_000;
/// Cells of a range.
const MAX_CELLS: i64 = 11_000;

/// The times that a query is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub start: i64,
    pub step: i64,
    pub count: usize,
}

impl Grid {
    pub fn time(self, at: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(at as i64))
    }
}

/// A number, or none, at each time of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: Labels,
    pub values: Vec<Option<f64>>,
}

/// The labels that a group leaves.
pub fn grouped(labels: &Labels, group: Option<&Group>) -> Labels {
    match group {
        None => labels.clone(),
        Some(group) => {
            let kept = labels.iter().filter(|(name, _)| group.labels.contains(name) != group.without);
            kept.map(|(name, value)| (name.clone(), value.clone())).collect()
        }
    }
}

/// The function at each time of the grid. `summed`: only sums by these labels are wanted.
pub async fn range(
    ask: Ask<'_>,
    function: &RangeAggregation,
    summed: Option<&Group>,
    grid: Grid,
    warnings: &mut Vec<String>,
) -> Result<Vec<Series>, LokiError> {
    let pushed = translate::push(&function.logs);
    let windows = Windows::new(function, grid);
    let counts = matches!(
        function.op,
        RangeOp::Rate | RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Absent
    );
    let unwraps = function.logs.stages.iter().any(|stage| matches!(stage, Stage::Unwrap { .. }));
    let mut series = if pushed.exact && counts && !unwraps && windows.cells() <= MAX_CELLS {
        by_cells(ask, function, &pushed.expr.to_string(), summed, windows, warnings).await?
    } else {
        by_lines(ask, function, windows, warnings).await?
    };
    if function.op == RangeOp::Absent {
        series = vec![absent(function, &series, grid)];
    }
    Ok(series)
}

/// The windows of a grid.
#[derive(Debug, Clone, Copy)]
struct Windows {
    /// The end of the first one.
    start: i64,
    range: i64,
    step: i64,
    count: usize,
    /// The width of a cell.
    cell: i64,
}

impl Windows {
    fn new(function: &RangeAggregation, grid: Grid) -> Self {
        let cell = if grid.count <= 1 { function.range } else { divisor(function.range, grid.step) };
        let start = grid.start.saturating_sub(function.offset);
        Self { start, range: function.range, step: grid.step, count: grid.count, cell }
    }

    /// All times that lie in some window.
    fn span(self) -> std::ops::Range<i64> {
        let last = self.start.saturating_add(self.step.saturating_mul(self.count.saturating_sub(1) as i64));
        self.start.saturating_sub(self.range).saturating_add(1)..last.saturating_add(1)
    }

    fn cells(self) -> i64 {
        let span = self.span();
        (span.end.saturating_sub(span.start) / self.cell).saturating_add(1)
    }

    /// The windows that a time lies in.
    fn of(self, time: i64) -> std::ops::Range<usize> {
        let before = (i128::from(time) - i128::from(self.start)).max(-i128::from(self.range));
        let step = i128::from(self.step.max(1));
        // The first whose end is not before the time, up to the last that it is not too old for.
        let first = (before + step - 1).div_euclid(step).clamp(0, self.count as i128);
        let end = (before + i128::from(self.range) - 1).div_euclid(step) + 1;
        let end = end.clamp(first, self.count as i128);
        first as usize..end as usize
    }

    /// The cells of a window.
    fn cells_of(self, window: usize) -> std::ops::Range<u32> {
        let first = window as i64 * self.step / self.cell;
        let number = |at: i64| u32::try_from(at).unwrap_or(u32::MAX);
        number(first)..number(first + self.range / self.cell)
    }
}

fn divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.max(1) } else { divisor(b, a % b) }
}

async fn by_cells(
    ask: Ask<'_>,
    function: &RangeAggregation,
    query: &str,
    summed: Option<&Group>,
    windows: Windows,
    warnings: &mut Vec<String>,
) -> Result<Vec<Series>, LokiError> {
    let wanted = summed.filter(|group| !group.without && group.labels.len() <= MAX_KEYS);
    let by: Vec<String> = match wanted {
        Some(group) => group.labels.iter().map(|label| translate::field(label)).collect(),
        None => vec![LABELS.to_owned(), "stream".into(), "level".into()],
    };
    let bytes = matches!(function.op, RangeOp::Bytes | RangeOp::BytesRate);
    let field = bytes.then(|| "_bytes".to_owned());
    let want = NodeStatsRequest { field, by, step_ns: windows.cell, origin: None, sketch: false };
    let gathered = stats::cells(ask.root, ask.user, query, windows.span(), want).await?;
    warnings.extend(missing(&gathered.partial));
    if !gathered.other.is_empty() {
        warnings
            .push("there are more series than are told apart, some are missing: sum by fewer labels".into());
    }
    check_size(gathered.groups.len(), windows.count)?;
    let mut series = Vec::new();
    for (group, cells) in gathered.groups {
        let labels = match wanted {
            Some(wanted) => {
                let values = wanted.labels.iter().cloned().zip(group);
                values.filter_map(|(name, value)| Some((name, value?))).collect()
            }
            None => stream_labels(group)?,
        };
        let value = |window| value_of(function, &cells, windows.cells_of(window));
        series.push(Series { labels, values: (0..windows.count).map(value).collect() });
    }
    Ok(merged(series))
}

/// Refuses more numbers than an answer may be made of.
fn check_size(series: usize, steps: usize) -> Result<(), LokiError> {
    if series.saturating_mul(steps) <= MAX_PLACES {
        return Ok(());
    }
    Err(LokiError::wrong(format!(
        "the query makes {series} series of {steps} steps, more than {MAX_PLACES} numbers: sum by fewer labels, or make the step longer"
    )))
}

fn value_of(function: &RangeAggregation, cells: &Cells, window: std::ops::Range<u32>) -> Option<f64> {
    if window.is_empty() {
        return None;
    }
    let (mut count, mut bytes) = (0, 0.0);
    for (_, cell) in cells.range(window) {
        count += cell.count;
        bytes += cell.measured.as_ref().map_or(0.0, |measured| measured.sum);
    }
    let seconds = function.range as f64 / SECOND as f64;
    let value = match function.op {
        RangeOp::Rate => count as f64 / seconds,
        RangeOp::BytesRate => bytes / seconds,
        RangeOp::Bytes => bytes,
        _ => count as f64,
    };
    (count > 0).then_some(value)
}

#[derive(Deserialize)]
struct StreamLabels {
    namespace: String,
    pod: String,
    container: String,
    node: String,
    #[serde(default)]
    labels: Option<Labels>,
}

/// Labels of the key [`LABELS`], if they are such.
pub fn read_labels(text: &str) -> Option<Labels> {
    let read: StreamLabels = serde_json::from_str(text).ok()?;
    let pod = read.labels.unwrap_or_default();
    Some(labels::of_stream(pod.iter(), |name| match name {
        "namespace" => &read.namespace,
        "pod" => &read.pod,
        "container" => &read.container,
        _ => &read.node,
    }))
}

fn stream_labels(group: Vec<Option<String>>) -> Result<Labels, LokiError> {
    let mut group = group.into_iter();
    let text = group.next().flatten().unwrap_or_default();
    let mut labels =
        read_labels(&text).ok_or_else(|| LokiError::wrong("a node sent labels that can't be read"))?;
    for name in ["stream", "level"] {
        if let Some(value) = group.next().flatten() {
            labels.insert(name.into(), value);
        }
    }
    Ok(labels)
}

/// Series of equal labels added up: containers that were started again.
fn merged(series: Vec<Series>) -> Vec<Series> {
    let mut by_labels: HashMap<Labels, Vec<Option<f64>>> = HashMap::new();
    for one in series {
        match by_labels.get_mut(&one.labels) {
            None => {
                by_labels.insert(one.labels, one.values);
            }
            Some(sums) => {
                for (sum, value) in sums.iter_mut().zip(one.values) {
                    *sum = sum.map(|sum| sum + value.unwrap_or_default()).or(value);
                }
            }
        }
    }
    by_labels.into_iter().map(|(labels, values)| Series { labels, values }).collect()
}

async fn by_lines(
    ask: Ask<'_>,
    function: &RangeAggregation,
    windows: Windows,
    warnings: &mut Vec<String>,
) -> Result<Vec<Series>, LokiError> {
    let mut samples = Samples { function, windows, series: HashMap::new(), count: 0, failed: None };
    let walked = ask
        .each_line(&function.logs, windows.span(), true, None, |time, line| samples.add(time, line))
        .await?;
    if let Some(error) = samples.failed {
        return Err(error);
    }
    if walked.cut {
        return Err(LokiError::wrong(walked.warnings.last().cloned().unwrap_or_default()));
    }
    warnings.extend(walked.warnings);
    let seconds = function.range as f64 / SECOND as f64;
    let value = |window: Option<Window>| window.and_then(|window| window.value(function, seconds));
    let one = |(labels, windows): (Labels, Vec<Option<Window>>)| Series {
        labels,
        values: windows.into_iter().map(value).collect(),
    };
    Ok(samples.series.into_iter().map(one).collect())
}

/// Windows that fill with lines.
struct Samples<'a> {
    function: &'a RangeAggregation,
    windows: Windows,
    series: HashMap<Labels, Vec<Option<Window>>>,
    count: usize,
    failed: Option<LokiError>,
}

impl Samples<'_> {
    fn add(&mut self, time: i64, line: Line) -> ControlFlow<()> {
        if let Some(error) = line.labels.get("__error__") {
            self.failed = Some(LokiError::wrong(format!(
                "pipeline error: '{error}' for a line of {:?}; leave such lines out with | __error__=\"\"",
                line.labels
            )));
            return ControlFlow::Break(());
        }
        let unwraps = self.function.logs.stages.iter().any(|stage| matches!(stage, Stage::Unwrap { .. }));
        if unwraps && line.value.is_none() {
            return ControlFlow::Continue(());
        }
        let labels = grouped(&line.labels, self.function.group.as_ref());
        let windows = self.series.entry(labels).or_insert_with(|| vec![None; self.windows.count]);
        for at in self.windows.of(time) {
            self.count += usize::from(windows[at].is_none());
            windows[at].get_or_insert_with(Window::default).add(time, &line, self.function.op);
        }
        if self.count > MAX_SAMPLES || self.series.len() * self.windows.count > MAX_PLACES {
            self.failed = Some(LokiError::wrong(format!(
                "the query makes more than {MAX_SAMPLES} numbers: sum by fewer labels, or make the step longer"
            )));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// What lies in one window of one series.
#[derive(Debug, Clone, Default)]
struct Window {
    count: u64,
    bytes: u64,
    sum: f64,
    squares: f64,
    least: f64,
    most: f64,
    first: (i64, f64),
    last: (i64, f64),
    /// What a counter had come to each time that it began anew, added up.
    resets: f64,
    sketch: Option<Box<Sketch>>,
}

impl Window {
    fn add(&mut self, time: i64, line: &Line, op: RangeOp) {
        let value = line.value.unwrap_or_default();
        if self.count == 0 {
            (self.least, self.most) = (value, value);
            (self.first, self.last) = ((time, value), (time, value));
        }
        self.count += 1;
        self.bytes += line.text.len() as u64;
        self.sum += value;
        self.squares += value * value;
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        if time < self.first.0 {
            self.first = (time, value);
        }
        if value < self.last.1 {
            self.resets += self.last.1;
        }
        if time >= self.last.0 {
            self.last = (time, value);
        }
        if op == RangeOp::Quantile && value.is_finite() {
            self.sketch.get_or_insert_default().add(value);
        }
    }

    fn value(&self, function: &RangeAggregation, seconds: f64) -> Option<f64> {
        let count = self.count as f64;
        let unwraps = function.logs.stages.iter().any(|stage| matches!(stage, Stage::Unwrap { .. }));
        let variance = (self.squares / count - (self.sum / count).powi(2)).max(0.0);
        Some(match function.op {
            RangeOp::Rate if unwraps => self.sum / seconds,
            RangeOp::Rate => count / seconds,
            // Lines come in order. Of one alone it isn't known what it added.
            RangeOp::RateCounter => (self.last.1 - self.first.1 + self.resets) / seconds,
            RangeOp::Count | RangeOp::Absent => count,
            RangeOp::Bytes => self.bytes as f64,
            RangeOp::BytesRate => self.bytes as f64 / seconds,
            RangeOp::Sum => self.sum,
            RangeOp::Avg => self.sum / count,
            RangeOp::Min => self.least,
            RangeOp::Max => self.most,
            RangeOp::First => self.first.1,
            RangeOp::Last => self.last.1,
            RangeOp::Stdvar => variance,
            RangeOp::Stddev => variance.sqrt(),
            RangeOp::Quantile => {
                let quantile = self.sketch.as_ref()?.quantile(function.param.unwrap_or_default())?;
                quantile.clamp(self.least, self.most)
            }
        })
    }
}

/// One where no series has a number.
fn absent(function: &RangeAggregation, series: &[Series], grid: Grid) -> Series {
    let equal = function.logs.selector.iter().filter(|matcher| matcher.op == MatchOp::Equal);
    let labels = equal.map(|matcher| (matcher.name.clone(), matcher.value.clone())).collect();
    let value = |at: usize| series.iter().all(|series| series.values[at].is_none()).then_some(1.0);
    Series { labels, values: (0..grid.count).map(value).collect() }
}

/// For messages.
pub fn label_text(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A number of an instant, for sorting.
pub fn instant(series: &Series) -> f64 {
    series.values.first().copied().flatten().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::logql::{Query, ast::Metric, parse};

    #[test]
    fn abuse_35_series_by_steps_are_bounded() {
        assert_eq!(check_size(181, 11_000), Ok(()));
        let error = check_size(182, 11_000).expect_err("refused").to_string();
        assert!(
            error.contains("182 series of 11000 steps") && error.contains("make the step longer"),
            "{error}"
        );
    }

    #[test]
    fn a_counter_that_begins_anew_goes_on() {
        let query = parse(r#"rate_counter({a="b"} | logfmt | unwrap n [10s])"#).expect("a query");
        let Query::Metric(Metric::Range(function)) = query else { panic!("a function is expected") };
        let rate = |values: &[f64]| {
            let mut window = Window::default();
            for (time, value) in (7..).zip(values) {
                let line = Line { text: String::new(), labels: Labels::new(), value: Some(*value) };
                window.add(time, &line, function.op);
            }
            window.value(&function, 10.0)
        };
        assert_eq!(rate(&[5.0, 7.0, 7.0, 12.0]), Some(0.7));
        // Four, then two from nothing, then four more.
        assert_eq!(rate(&[5.0, 9.0, 2.0, 6.0]), Some(1.0));
        assert_eq!(rate(&[5.0]), Some(0.0));
    }

    #[test]
    fn windows_over_all_of_time_have_many_cells() {
        let cell = divisor(1, i64::MAX);
        let windows = Windows { start: 0, range: 1, step: i64::MAX, count: 2, cell };
        assert_eq!((cell, windows.cells()), (1, i64::MAX));
    }

    #[test]
    fn a_time_lies_in_the_windows_that_hold_it() {
        for (range, step) in [(10, 10), (30, 10), (10, 30), (7, 5), (1, 1)] {
            let windows = Windows { start: 100, range, step, count: 6, cell: divisor(range, step) };
            for time in 0..300 {
                let expected: Vec<usize> = (0..6)
                    .filter(|at| {
                        let end = 100 + step * *at as i64;
                        time > end - range && time <= end
                    })
                    .collect();
                assert_eq!(windows.of(time).collect::<Vec<_>>(), expected, "{time} of {range} by {step}");
                // Cells say the same.
                let span = windows.span();
                if span.contains(&time) {
                    let cell = ((time - span.start) / windows.cell) as u32;
                    let in_cells: Vec<usize> =
                        (0..6).filter(|at| windows.cells_of(*at).contains(&cell)).collect();
                    assert_eq!(in_cells, expected, "{time} of {range} by {step}");
                }
            }
        }
    }
}
