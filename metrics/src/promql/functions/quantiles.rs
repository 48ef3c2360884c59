//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, of classic and
//! native histograms alike.
//!
//! The buckets of a classic histogram are brought together once for all steps; a native one
//! with the same labels as a classic one at the same step is ambiguous, and neither counts.

use std::collections::HashMap;

use promql_parser::parser::Call;

use super::{
    super::{
        column::{ABSENT, Cell, Column, is_absent, without_name},
        error::QueryError,
        evaluate::{Evaluator, text_argument},
        grid::Grid,
        histogram::{
            ClassicBucket, Doubt, classic_fraction, classic_quantile, fraction as share,
            quantile as of_native,
        },
        notes::Note,
        unique::unique,
    },
    Said, argument,
};
use crate::series::{Histogram, Labels};

/// One histogram: its native column, and its classic buckets.
struct Source<'a> {
    /// Labels without `le`.
    labels: Labels,
    native: Option<&'a Column>,
    buckets: Vec<(f64, &'a Column)>,
}

/// The histograms among some columns, in order of their first appearance.
fn sources<'a>(columns: &'a [Column], said: &mut Said) -> Vec<Source<'a>> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut found: Vec<Source<'a>> = Vec::new();
    let mut place = |labels: Labels, found: &mut Vec<Source<'a>>| {
        *places.entry(labels.clone()).or_insert_with(|| {
            found.push(Source { labels, native: None, buckets: Vec::new() });
            found.len() - 1
        })
    };
    for column in columns {
        if column.has_histograms() {
            let at = place(column.labels.clone(), &mut found);
            found[at].native = Some(column);
        }
        if column.numbers.iter().all(|number| is_absent(*number)) {
            continue;
        }
        let le = column.labels.get("le").unwrap_or_default();
        match le.parse::<f64>() {
            Ok(upper) => {
                let at = place(column.labels.without(&["le"]), &mut found);
                found[at].buckets.push((upper, column));
            }
            Err(_) => said.note(Note::BadBucketLabel { metric: String::new(), le: le.to_owned() }),
        }
    }
    found
}

/// What is computed of either kind at a step.
struct Compute<'a> {
    native: &'a dyn Fn(usize, &Histogram, &mut Said) -> f64,
    classic: &'a dyn Fn(usize, Vec<ClassicBucket>, &mut Said) -> f64,
}

impl Source<'_> {
    fn compute(&self, labels: Labels, grid: Grid, compute: &Compute<'_>, said: &mut Said) -> Column {
        let mut column = Column::new(labels, grid.steps);
        for step in 0..grid.steps {
            let native = self.native.and_then(|native| native.histogram(step));
            let buckets: Vec<_> = self
                .buckets
                .iter()
                .map(|(upper, column)| ClassicBucket { upper: *upper, count: column.numbers[step] })
                .filter(|bucket| !is_absent(bucket.count))
                .collect();
            let number = match (native, buckets.is_empty()) {
                (Some(_), false) => {
                    said.note(Note::MixedClassicNative(String::new()));
                    ABSENT
                }
                (Some(histogram), true) => (compute.native)(step, histogram, said),
                (None, false) => (compute.classic)(step, buckets, said),
                (None, true) => ABSENT,
            };
            if !is_absent(number) {
                column.set(step, Cell::Number(number));
            }
        }
        column
    }
}

/// Each histogram's numbers, empty columns left out.
fn computed(
    columns: &[Column],
    grid: Grid,
    compute: &Compute<'_>,
    label: impl Fn(Labels) -> Labels,
    said: &mut Said,
) -> Vec<Column> {
    let each = |source: &Source<'_>, said: &mut Said| {
        source.compute(label(without_name(&source.labels)), grid, compute, said)
    };
    let sources = sources(columns, said);
    sources.iter().map(|source| each(source, said)).filter(|column| !column.is_empty()).collect()
}

pub async fn quantile(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
    let q = evaluator.scalar(argument(call, 0)?, grid).await?;
    let columns = evaluator.vector(argument(call, 1)?, grid).await?;
    quantile_of(evaluator, &q, &columns, grid, |labels| labels)
}

fn quantile_of(
    evaluator: &Evaluator<'_>,
    q: &[f64],
    columns: &[Column],
    grid: Grid,
    label: impl Fn(Labels) -> Labels,
) -> Result<Vec<Column>, QueryError> {
    if let Some(wrong) = q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        evaluator.note(&Note::BadQuantile(*wrong));
    }
    let native = |step: usize, histogram: &Histogram, said: &mut Said| {
        let (value, doubt) = of_native(q[step], histogram);
        match doubt {
            Some(Doubt::IsNan) => said.note(Note::QuantileOfNan(String::new())),
            Some(Doubt::Skewed) => said.note(Note::QuantileSkewed(String::new())),
            None => {}
        }
        value
    };
    let classic = |step: usize, buckets: Vec<ClassicBucket>, said: &mut Said| {
        let (value, forced) = classic_quantile(q[step], buckets);
        if forced {
            said.note(Note::ForcedMonotonic(String::new()));
        }
        value
    };
    let mut said = Said::default();
    let compute = Compute { native: &native, classic: &classic };
    let found = computed(columns, grid, &compute, label, &mut said);
    said.tell(evaluator);
    unique(found)
}

pub async fn quantiles(
    evaluator: &Evaluator<'_>,
    call: &Call,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let columns = evaluator.vector(argument(call, 0)?, grid).await?;
    let name = text_argument(call, 1)?;
    let mut found = Vec::new();
    for number in 2..call.args.args.len() {
        let q = evaluator.scalar(argument(call, number)?, grid).await?;
        let value = q.first().map(|q| open_metrics(*q)).unwrap_or_default();
        let label = |labels: Labels| {
            let mut labels = labels.edit();
            labels.set(name, &value);
            labels.finish()
        };
        found.extend(quantile_of(evaluator, &q, &columns, grid, label)?);
    }
    unique(found)
}

/// A number as OpenMetrics writes it: with a point.
fn open_metrics(number: f64) -> String {
    let text = number.to_string();
    if number.is_finite() && !text.contains('.') { format!("{text}.0") } else { text }
}

pub async fn fraction(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
    let lower = evaluator.scalar(argument(call, 0)?, grid).await?;
    let upper = evaluator.scalar(argument(call, 1)?, grid).await?;
    let columns = evaluator.vector(argument(call, 2)?, grid).await?;
    let native = |step: usize, histogram: &Histogram, said: &mut Said| {
        let (value, has_nan) = share(lower[step], upper[step], histogram);
        if has_nan {
            said.note(Note::FractionOfNan(String::new()));
        }
        value
    };
    let classic = |step: usize, buckets: Vec<ClassicBucket>, _: &mut Said| {
        classic_fraction(lower[step], upper[step], buckets)
    };
    let compute = Compute { native: &native, classic: &classic };
    let mut said = Said::default();
    let computed = computed(&columns, grid, &compute, |labels| labels, &mut said);
    said.tell(evaluator);
    unique(computed)
}
