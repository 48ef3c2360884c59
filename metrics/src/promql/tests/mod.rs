//! PromQL over a store in memory. Series are written in lines: labels, then values.

mod deep;
mod door;
mod language;
mod limits;
mod naive;
mod peer;
mod peer_queries;

use super::{Answer, Grid, Limits, Outcome, QueryError, column::is_absent, instant, range};
use crate::series::{self, Labels, LabelsBuilder, NAME, STALE, Sample, Store, Value};

/// Labels in PromQL's notation.
fn labels(text: &str) -> Labels {
    let parsed = promql_parser::parser::parse(text).expect("a selector");
    let promql_parser::parser::Expr::VectorSelector(selector) = parsed else { panic!("{text}") };
    let mut builder = LabelsBuilder::default();
    builder.set(NAME, selector.name.as_deref().unwrap_or_default());
    for matcher in &selector.matchers.matchers {
        builder.set(&matcher.name, &matcher.value);
    }
    builder.finish()
}

/// A store with a series a line: values `step` milliseconds apart, from 0 on. `3+2x4` is
/// 3 5 7 9 11; `_` is no sample, `stale` the end of the series.
fn store(step: i64, lines: &str) -> Store {
    let store = Store::in_memory(series::Limits::default());
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let end = line.rfind('}').map_or_else(|| line.find(' ').expect("values"), |brace| brace + 1);
        let id = store.resolve(&labels(&line[..end])).expect("taken");
        let mut time = 0;
        for value in line[end..].split_whitespace().flat_map(expand) {
            if let Some(value) = value {
                store.append(&[Sample { series: id, time, value: Value::Number(value) }]);
            }
            time += step;
        }
    }
    store
}

fn expand(text: &str) -> Vec<Option<f64>> {
    if text == "_" {
        return vec![None];
    }
    if text == "stale" {
        return vec![Some(STALE)];
    }
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let Some((first, times)) = text.split_once('x') else { return vec![Some(number(text))] };
    let times: u32 = times.parse().expect("a count");
    let (start, by) = match first.rfind('+') {
        Some(plus) => (number(&first[..plus]), number(&first[plus + 1..])),
        None => {
            let minus = first.rfind('-').expect("a step");
            (number(&first[..minus]), -number(&first[minus + 1..]))
        }
    };
    (0..=times).map(|place| Some(start + by * f64::from(place))).collect()
}

/// Series and values of an answer, a line each.
fn written(answer: &Answer) -> Vec<String> {
    let number = |number: f64| if is_absent(number) { "_".to_owned() } else { number.to_string() };
    match &answer.outcome {
        Outcome::Scalar(_, value) => vec![number(*value)],
        Outcome::Text(_, text) => vec![text.clone()],
        Outcome::Vector(_, columns) | Outcome::Matrix(_, columns) => columns
            .iter()
            .map(|column| {
                let values: Vec<_> = (0..column.numbers.len())
                    .map(|step| match column.histogram(step) {
                        Some(histogram) => super::histogram::text(histogram),
                        None => number(column.numbers[step]),
                    })
                    .collect();
                format!("{} {}", column.labels, values.join(" "))
            })
            .collect(),
        Outcome::Samples(found) => found
            .iter()
            .map(|series| {
                let values = series
                    .samples
                    .iter()
                    .filter_map(|(time, value)| Some(format!("{}@{time}", value.number()?)));
                format!("{} {}", series.labels, values.collect::<Vec<_>>().join(" "))
            })
            .collect(),
    }
}

async fn ask(store: &Store, query: &str, seconds: i64) -> Result<Answer, QueryError> {
    instant(store, query, seconds * 1000, &Limits::default()).await
}

async fn ask_range(store: &Store, query: &str, seconds: [i64; 3]) -> Result<Answer, QueryError> {
    let [start, end, step] = seconds.map(|second| second * 1000);
    range(store, query, Grid::range(start, end, step), &Limits::default()).await
}
