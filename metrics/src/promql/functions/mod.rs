//! The functions of PromQL: one list of all of them, and how each kind is called.
//!
//! Source of what each does: <https://prometheus.io/docs/prometheus/latest/querying/functions/>.

mod absent;
mod counting;
mod dates;
mod edges;
mod info;
mod labels;
mod natives;
mod numbers;
mod over_time;
mod quantiles;
mod rate;
mod rate_native;
mod scalars;
mod sorting;
mod trend;

use std::collections::BTreeSet;

use futures::StreamExt;
use promql_parser::parser::{Call, Expr};

use super::{
    column::{Cell, Column, without_name},
    error::QueryError,
    evaluate::{Evaluated, Evaluator},
    grid::Grid,
    notes::Note,
    selector,
    track::Track,
    unique::{all_differ, unique},
    window::{Known, Tracks, Window, Windows, is_range, ranges},
};
use crate::series::Histogram;

/// What is computed of one window, with the numbers of the other arguments at its step.
type Kernel = fn(&Window<'_>, &[f64], &mut Said) -> Cell;

/// How a function is called.
#[derive(Clone, Copy)]
enum Function {
    /// Of each number by itself.
    Number(fn(f64) -> f64),
    /// Of each native histogram by itself.
    Native(fn(&Histogram) -> f64),
    /// Of the numbers as seconds since the Unix epoch, or of the step's time.
    Date(fn(i64) -> f64),
    /// Of a range of samples.
    Range(Kernel),
    /// The same, and the series keep their names.
    Edge(Kernel),
    /// Of a range of samples too: how much they grew.
    Growth(Growth),
    Special(Special),
}

/// Functions that look at more than one value at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Absent,
    AbsentOverTime,
    Clamp,
    ClampMin,
    ClampMax,
    Round,
    HistogramQuantile,
    HistogramQuantiles,
    HistogramFraction,
    Info,
    LabelJoin,
    LabelReplace,
    Scalar,
    Vector,
    Sort { descending: bool },
    SortByLabel { descending: bool },
    Timestamp,
    StartTimestamp,
    Time,
    Pi,
    MaxOf,
    MinOf,
    Start,
    End,
    RangeOfQuery,
    Step,
}

/// Every function, by name.
const ALL: &[(&str, Function)] = &[
    ("abs", Function::Number(f64::abs)),
    ("absent", Function::Special(Special::Absent)),
    ("absent_over_time", Function::Special(Special::AbsentOverTime)),
    ("acos", Function::Number(f64::acos)),
    ("acosh", Function::Number(f64::acosh)),
    ("asin", Function::Number(f64::asin)),
    ("asinh", Function::Number(f64::asinh)),
    ("atan", Function::Number(f64::atan)),
    ("atanh", Function::Number(f64::atanh)),
    ("avg_over_time", Function::Range(over_time::avg)),
    ("ceil", Function::Number(f64::ceil)),
    ("changes", Function::Range(counting::changes)),
    ("clamp", Function::Special(Special::Clamp)),
    ("clamp_max", Function::Special(Special::ClampMax)),
    ("clamp_min", Function::Special(Special::ClampMin)),
    ("cos", Function::Number(f64::cos)),
    ("cosh", Function::Number(f64::cosh)),
    ("count_over_time", Function::Range(over_time::count)),
    ("day_of_month", Function::Date(dates::day_of_month)),
    ("day_of_week", Function::Date(dates::day_of_week)),
    ("day_of_year", Function::Date(dates::day_of_year)),
    ("days_in_month", Function::Date(dates::days_in_month)),
    ("deg", Function::Number(numbers::degrees)),
    ("delta", Function::Growth(rate::DELTA)),
    ("deriv", Function::Range(trend::deriv)),
    ("double_exponential_smoothing", Function::Range(trend::smoothing)),
    ("end", Function::Special(Special::End)),
    ("exp", Function::Number(f64::exp)),
    ("first_over_time", Function::Edge(edges::first)),
    ("floor", Function::Number(f64::floor)),
    ("histogram_avg", Function::Native(natives::avg)),
    ("histogram_count", Function::Native(natives::count)),
    ("histogram_fraction", Function::Special(Special::HistogramFraction)),
    ("histogram_quantile", Function::Special(Special::HistogramQuantile)),
    ("histogram_quantiles", Function::Special(Special::HistogramQuantiles)),
    ("histogram_stddev", Function::Native(natives::stddev)),
    ("histogram_stdvar", Function::Native(natives::stdvar)),
    ("histogram_sum", Function::Native(natives::sum)),
    ("holt_winters", Function::Range(trend::smoothing)),
    ("hour", Function::Date(dates::hour)),
    ("idelta", Function::Range(rate::idelta)),
    ("increase", Function::Growth(rate::INCREASE)),
    ("info", Function::Special(Special::Info)),
    ("irate", Function::Range(rate::irate)),
    ("label_join", Function::Special(Special::LabelJoin)),
    ("label_replace", Function::Special(Special::LabelReplace)),
    ("last_over_time", Function::Edge(edges::last)),
    ("ln", Function::Number(f64::ln)),
    ("log10", Function::Number(f64::log10)),
    ("log2", Function::Number(f64::log2)),
    ("mad_over_time", Function::Range(over_time::mad)),
    ("max_of", Function::Special(Special::MaxOf)),
    ("max_over_time", Function::Range(over_time::max)),
    ("min_of", Function::Special(Special::MinOf)),
    ("min_over_time", Function::Range(over_time::min)),
    ("minute", Function::Date(dates::minute)),
    ("month", Function::Date(dates::month)),
    ("pi", Function::Special(Special::Pi)),
    ("predict_linear", Function::Range(trend::predict_linear)),
    ("present_over_time", Function::Range(over_time::present)),
    ("quantile_over_time", Function::Range(over_time::quantile)),
    ("rad", Function::Number(numbers::radians)),
    ("range", Function::Special(Special::RangeOfQuery)),
    ("rate", Function::Growth(rate::RATE)),
    ("resets", Function::Range(counting::resets)),
    ("round", Function::Special(Special::Round)),
    ("scalar", Function::Special(Special::Scalar)),
    ("sgn", Function::Number(numbers::sign)),
    ("sin", Function::Number(f64::sin)),
    ("sinh", Function::Number(f64::sinh)),
    ("sort", Function::Special(Special::Sort { descending: false })),
    ("sort_by_label", Function::Special(Special::SortByLabel { descending: false })),
    ("sort_by_label_desc", Function::Special(Special::SortByLabel { descending: true })),
    ("sort_desc", Function::Special(Special::Sort { descending: true })),
    ("sqrt", Function::Number(f64::sqrt)),
    ("start", Function::Special(Special::Start)),
    ("start_timestamp", Function::Special(Special::StartTimestamp)),
    ("stddev_over_time", Function::Range(over_time::stddev)),
    ("stdvar_over_time", Function::Range(over_time::stdvar)),
    ("step", Function::Special(Special::Step)),
    ("sum_over_time", Function::Range(over_time::sum)),
    ("tan", Function::Number(f64::tan)),
    ("tanh", Function::Number(f64::tanh)),
    ("time", Function::Special(Special::Time)),
    ("timestamp", Function::Special(Special::Timestamp)),
    ("ts_of_first_over_time", Function::Range(edges::time_of_first)),
    ("ts_of_last_over_time", Function::Range(edges::time_of_last)),
    ("ts_of_max_over_time", Function::Range(over_time::time_of_max)),
    ("ts_of_min_over_time", Function::Range(over_time::time_of_min)),
    ("vector", Function::Special(Special::Vector)),
    ("year", Function::Date(dates::year)),
];

/// The names of all functions.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

use rate::Growth;
pub use rate::{Layout, Spans};
pub use scalars::vector as of_scalar;
pub use sorting::by_number;

/// What a kernel noticed, each thing once.
#[derive(Default)]
pub struct Said {
    last: Option<Note>,
    notes: BTreeSet<String>,
    all: Vec<Note>,
}

impl Said {
    pub fn note(&mut self, note: Note) {
        if self.last.as_ref() == Some(&note) {
            return;
        }
        if self.notes.insert(format!("{note:?}")) {
            self.all.push(note.clone());
        }
        self.last = Some(note);
    }

    fn tell(self, evaluator: &Evaluator<'_>) {
        self.all.iter().for_each(|note| evaluator.note(note));
    }
}

pub async fn call(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Evaluated, QueryError> {
    let name = call.func.name;
    let Some((_, function)) = ALL.iter().find(|(known, _)| *known == name) else {
        return Err(QueryError::Invalid(format!("function {name}() is not part of PromQL")));
    };
    let argument = |number: usize| argument(call, number);
    let columns = match function {
        Function::Number(compute) => {
            let columns = evaluator.vector(argument(0)?, grid).await?;
            renamed(columns.into_iter().map(|column| column.map(compute)).collect())?
        }
        Function::Native(compute) => {
            let columns = evaluator.vector(argument(0)?, grid).await?;
            renamed(columns.iter().map(|column| natives::each(column, *compute)).collect())?
        }
        Function::Date(compute) => match call.args.args.first() {
            None => vec![dates::of_steps(grid, *compute)],
            Some(dates) => {
                let columns = evaluator.vector(dates, grid).await?;
                let of_seconds = |seconds: f64| dates::of_seconds(seconds, *compute);
                renamed(columns.into_iter().map(|column| column.map(of_seconds)).collect())?
            }
        },
        Function::Range(kernel) => over_range(evaluator, call, Compute::Each(*kernel), false, grid).await?,
        Function::Edge(kernel) => over_range(evaluator, call, Compute::Each(*kernel), true, grid).await?,
        Function::Growth(growth) => {
            over_range(evaluator, call, Compute::Growth(*growth), false, grid).await?
        }
        Function::Special(special) => return special_call(evaluator, call, *special, grid).await,
    };
    Ok(Evaluated::Vector(columns))
}

fn argument(call: &Call, number: usize) -> Result<&Expr, QueryError> {
    call.args
        .args
        .get(number)
        .map(AsRef::as_ref)
        .ok_or_else(|| QueryError::Invalid(format!("{}() needs argument {}", call.func.name, number + 1)))
}

/// Columns without names, empty ones left out.
fn renamed(columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
    let renamed = columns.into_iter().filter(|column| !column.is_empty()).map(|mut column| {
        column.labels = without_name(&column.labels);
        column
    });
    unique(renamed.collect())
}

async fn over_range(
    evaluator: &Evaluator<'_>,
    call: &Call,
    compute: Compute,
    keeps_name: bool,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let (mut found, mut others) = (None, Vec::new());
    for expr in &call.args.args {
        if found.is_none() && is_range(expr) {
            found = Some(ranges(evaluator, expr, grid).await?);
        } else {
            others.push(evaluator.scalar(expr, grid).await?);
        }
    }
    let found = found.ok_or_else(|| {
        QueryError::Invalid(format!("{}() needs a range of samples, such as metric[5m]", call.func.name))
    })?;
    let name = call.func.name;
    trend::check(name, &others)?;
    // Where each step has the same window and arguments, one result serves all; only a
    // prediction depends on the step's time.
    let same = |numbers: &Vec<f64>| numbers.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits());
    let once = found.windows.are_fixed() && name != "predict_linear" && others.iter().all(same);
    let slide = Slide { name, compute, keeps_name, others, once, windows: found.windows };
    let mut found = found.each(move |tracks| slide.over(tracks));
    let (mut columns, mut said) = (Vec::new(), Said::default());
    while let Some((more, notes)) = found.next().await.transpose()? {
        evaluator.hold(more.len() * grid.steps)?;
        columns.extend(more);
        notes.all.into_iter().for_each(|note| said.note(note));
        evaluator.breathe().await;
    }
    said.tell(evaluator);
    if all_differ(&columns) { Ok(columns) } else { Err(QueryError::same_labels()) }
}

/// What is computed of windows.
#[derive(Clone, Copy)]
enum Compute {
    /// Of each by itself.
    Each(Kernel),
    Growth(Growth),
}

/// A function over windows, as it is computed of each series by itself.
struct Slide {
    name: &'static str,
    compute: Compute,
    keeps_name: bool,
    /// The other arguments, one number a step.
    others: Vec<Vec<f64>>,
    /// Whether one result serves all steps.
    once: bool,
    windows: Windows,
}

impl Slide {
    /// The columns of these series, and what was noticed.
    fn over(&self, tracks: Tracks) -> Result<(Vec<Column>, Said), QueryError> {
        let (mut columns, mut said) = (Vec::new(), Said::default());
        let (mut arguments, mut known) = (vec![0.0; self.others.len()], Known::default());
        for track in tracks {
            let track = track?;
            let mut column = match self.compute {
                Compute::Growth(growth) if track.histograms.is_empty() => {
                    growth.of_numbers(&track, &self.windows, &mut known)
                }
                Compute::Growth(growth) => {
                    self.slide(&track, &mut known, |_, window| growth.of(window, &mut said))
                }
                Compute::Each(kernel) => self.slide(&track, &mut known, |step, window| {
                    for (argument, numbers) in arguments.iter_mut().zip(&self.others) {
                        *argument = numbers[step];
                    }
                    kernel(window, &arguments, &mut said)
                }),
            };
            if column.is_empty() {
                continue;
            }
            rate::doubt(self.name, &column, &mut said);
            if !self.keeps_name {
                column.labels = without_name(&column.labels);
            }
            columns.push(column);
        }
        Ok((columns, said))
    }

    fn slide(
        &self,
        track: &Track,
        known: &mut Known,
        mut compute: impl FnMut(usize, &Window<'_>) -> Cell,
    ) -> Column {
        let mut first = None;
        self.windows.slide(track, known, |step, window| {
            if let Some(first) = &first {
                return Clone::clone(first);
            }
            let cell = compute(step, window);
            if self.once {
                first = Some(cell.clone());
            }
            cell
        })
    }
}

async fn special_call(
    evaluator: &Evaluator<'_>,
    call: &Call,
    special: Special,
    grid: Grid,
) -> Result<Evaluated, QueryError> {
    let constant = |number: f64| Ok(Evaluated::Scalar(vec![number; grid.steps]));
    let whole = evaluator.whole;
    let columns = match special {
        Special::Absent => absent::absent(evaluator, argument(call, 0)?, grid).await?,
        Special::AbsentOverTime => absent::absent_over_time(evaluator, argument(call, 0)?, grid).await?,
        Special::Clamp | Special::ClampMin | Special::ClampMax | Special::Round => {
            numbers::with_scalars(evaluator, call, special, grid).await?
        }
        Special::HistogramQuantile => quantiles::quantile(evaluator, call, grid).await?,
        Special::HistogramQuantiles => quantiles::quantiles(evaluator, call, grid).await?,
        Special::HistogramFraction => quantiles::fraction(evaluator, call, grid).await?,
        Special::Info => info::info(evaluator, call, grid).await?,
        Special::LabelJoin => labels::join(evaluator, call, grid).await?,
        Special::LabelReplace => labels::replace(evaluator, call, grid).await?,
        Special::Sort { descending } => sorting::by_value(evaluator, call, descending, grid).await?,
        Special::SortByLabel { descending } => sorting::by_label(evaluator, call, descending, grid).await?,
        Special::Timestamp => match argument(call, 0)? {
            Expr::VectorSelector(chosen) => renamed(selector::timestamps(evaluator, chosen, grid).await?)?,
            other => {
                let columns = evaluator.vector(other, grid).await?;
                renamed(columns.iter().map(|column| dates::evaluated_at(column, grid)).collect())?
            }
        },
        // Where the series of a counter began is not kept.
        Special::StartTimestamp => Vec::new(),
        Special::Vector => scalars::vector(evaluator.scalar(argument(call, 0)?, grid).await?),
        Special::Scalar => {
            let columns = evaluator.vector(argument(call, 0)?, grid).await?;
            return Ok(Evaluated::Scalar(scalars::scalar(&columns, grid)));
        }
        Special::Time => {
            return Ok(Evaluated::Scalar(grid.times().map(|time| time as f64 / 1000.0).collect()));
        }
        Special::Pi => return constant(std::f64::consts::PI),
        Special::MaxOf | Special::MinOf => {
            let left = evaluator.scalar(argument(call, 0)?, grid).await?;
            let right = evaluator.scalar(argument(call, 1)?, grid).await?;
            return Ok(Evaluated::Scalar(scalars::extreme(&left, &right, special == Special::MaxOf)));
        }
        Special::Start => return constant(whole.start as f64 / 1000.0),
        Special::End => return constant(whole.until as f64 / 1000.0),
        Special::RangeOfQuery => return constant((whole.until - whole.start) as f64 / 1000.0),
        Special::Step => {
            let step = if whole.is_instant() { 0 } else { whole.step };
            return constant(step as f64 / 1000.0);
        }
    };
    Ok(Evaluated::Vector(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        let names: Vec<_> = names().collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }
}
