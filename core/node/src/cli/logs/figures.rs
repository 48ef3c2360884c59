//! Statistics in words: `count by pod`, `p99(took), max(took) by container every 5m`; and
//! their answer as a table for people. Pure.

use std::{fmt::Write, sync::Arc};

use datafusion::arrow::array::{ArrayRef, Float64Array};
use tiphys_logging::{
    render,
    wire::{StatsAnswer, StatsPoint, StatsRequest, StatsSeries},
};

use super::counts_file::{counts, texts, times};
use crate::failure::{Failure, Outcome};

const NEXT: &str =
    "tiphys logs --stats 'count by pod, level', or 'p99(took), max(took) by container every 5m'";

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Figure {
    Count,
    Rate,
    Sum,
    Min,
    Max,
    Avg,
    /// Which of the quantiles, and its name's number.
    Quantile(usize, f64),
}

/// What was asked for.
#[derive(Debug, PartialEq)]
pub struct Figures {
    figures: Vec<Figure>,
    /// What the request says of them.
    pub request: StatsRequest,
}

impl Figures {
    /// # Errors
    /// A word that is no figure; the message names it.
    pub fn parse(text: &str) -> Outcome<Self> {
        let mut words = text.split_whitespace().collect::<Vec<_>>();
        let mut request = StatsRequest::default();
        if let Some(at) = words.iter().position(|word| *word == "every") {
            let step: Vec<_> = words.drain(at..).skip(1).collect();
            request.step = Some(step.concat()).filter(|step| !step.is_empty());
            if request.step.is_none() {
                return Err(Failure::usage("`every` wants a span such as 1m", NEXT));
            }
        }
        if let Some(at) = words.iter().position(|word| *word == "by") {
            let keys: Vec<_> = words.drain(at..).skip(1).collect();
            request.by = keys.join(" ").split(',').map(|key| key.trim().to_owned()).collect();
            if request.by.iter().any(|key| key.is_empty() || key.contains(' ')) {
                return Err(Failure::usage("`by` wants names with commas between them: by pod, level", NEXT));
            }
        }
        let mut figures = Vec::new();
        for word in words.join(" ").split(',').map(str::trim) {
            figures.push(figure(word, &mut request)?);
        }
        Ok(Self { figures, request })
    }

    /// The answer as aligned columns: keys, time, figures.
    pub fn table(&self, answer: &StatsAnswer) -> String {
        let stepped = self.request.step.is_some();
        let mut head: Vec<String> = self.request.by.iter().map(|key| key.to_uppercase()).collect();
        if stepped {
            head.insert(0, "TIME".into());
        }
        let names = head.len();
        head.extend(self.figures.iter().map(|figure| self.title(*figure)));
        let mut rows = Vec::new();
        let known = answer.series.iter().map(|series| (series, false));
        for (series, other) in known.chain(answer.other.iter().map(|other| (other, true))) {
            rows.extend(
                series.points.iter().map(|point| (point.time.clone(), self.row(series, point, other))),
            );
        }
        if stepped {
            // In time first; within a step as the answer has them.
            rows.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let mut table = vec![head];
        table.extend(rows.into_iter().map(|(_, row)| row));
        aligned(&table, names)
    }

    fn row(&self, series: &StatsSeries, point: &StatsPoint, other: bool) -> Vec<String> {
        let mut row = Vec::new();
        if self.request.step.is_some() {
            row.push(match (point.time.get(..19), point.time.get(29..)) {
                (Some(time), Some(offset)) => format!("{time}{offset}"),
                _ => point.time.clone(),
            });
        }
        for (at, key) in self.request.by.iter().enumerate() {
            row.push(match series.group.get(key) {
                Some(value) => render::escaped(value),
                None if other && at == 0 => "(others)".into(),
                None => "-".into(),
            });
        }
        row.extend(self.figures.iter().map(|figure| match figure {
            Figure::Count => point.count.to_string(),
            Figure::Rate => number(Some(point.rate)),
            Figure::Sum => number(point.sum),
            Figure::Min => number(point.min),
            Figure::Max => number(point.max),
            Figure::Avg => number(point.avg),
            Figure::Quantile(at, _) => number(point.quantiles.get(*at).copied()),
        }));
        row
    }

    /// The answer as columns of a file: keys, time, and what was asked for, by the names of the API.
    pub fn columns(&self, answer: &StatsAnswer) -> Vec<(String, ArrayRef)> {
        let known = answer.series.iter().map(|series| (series, false));
        let all = known.chain(answer.other.iter().map(|other| (other, true)));
        let rows: Vec<_> = all
            .flat_map(|(series, other)| series.points.iter().map(move |point| (series, point, other)))
            .collect();
        let mut columns = Vec::new();
        if self.request.step.is_some() {
            let moments = rows.iter().map(|(_, point, _)| Some(point.time.as_str()));
            columns.push(("time".to_owned(), times(moments)));
        }
        for (at, key) in self.request.by.iter().enumerate() {
            let values = rows.iter().map(|(series, _, other)| match series.group.get(key) {
                None if *other && at == 0 => Some("(others)"),
                value => value.map(String::as_str),
            });
            columns.push((key.clone(), texts(values)));
        }
        let field = self.request.field.as_deref().unwrap_or_default();
        for figure in &self.figures {
            let numbers = |of: &dyn Fn(&StatsPoint) -> Option<f64>| -> ArrayRef {
                Arc::new(Float64Array::from_iter(rows.iter().map(|(_, point, _)| of(point))))
            };
            columns.push(match *figure {
                Figure::Count => ("count".to_owned(), counts(rows.iter().map(|(_, point, _)| point.count))),
                Figure::Rate => ("rate".to_owned(), numbers(&|point| Some(point.rate))),
                Figure::Sum => (format!("sum_{field}"), numbers(&|point| point.sum)),
                Figure::Min => (format!("min_{field}"), numbers(&|point| point.min)),
                Figure::Max => (format!("max_{field}"), numbers(&|point| point.max)),
                Figure::Avg => (format!("avg_{field}"), numbers(&|point| point.avg)),
                Figure::Quantile(at, percent) => {
                    (format!("p{percent}_{field}"), numbers(&|point| point.quantiles.get(at).copied()))
                }
            });
        }
        columns
    }

    fn title(&self, figure: Figure) -> String {
        let field = self.request.field.as_deref().unwrap_or_default();
        let of = |name: &str| format!("{name}({field})");
        match figure {
            Figure::Count => "COUNT".into(),
            Figure::Rate => "RATE/s".into(),
            Figure::Sum => of("SUM"),
            Figure::Min => of("MIN"),
            Figure::Max => of("MAX"),
            Figure::Avg => of("AVG"),
            Figure::Quantile(_, percent) => of(&format!("P{percent}")),
        }
    }
}

/// `count`, `rate`, `avg(took)`, `p99.9(took)`.
fn figure(word: &str, request: &mut StatsRequest) -> Outcome<Figure> {
    let unknown = || {
        let known =
            "count, rate, sum(field), avg(field), min(field), max(field), p50(field) and other percents";
        Failure::usage(format!("`{word}` is no figure; there are {known}"), NEXT)
    };
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "count" | "count(*)" | "count()" => return Ok(Figure::Count),
        "rate" | "rate()" => return Ok(Figure::Rate),
        _ => {}
    }
    let (name, field) = word.strip_suffix(')').and_then(|word| word.split_once('(')).ok_or_else(unknown)?;
    let field = field.trim();
    if field.is_empty() {
        return Err(unknown());
    }
    if request.field.as_deref().is_some_and(|other| other != field) {
        return Err(Failure::usage("one field at a time is measured", NEXT));
    }
    request.field = Some(field.to_owned());
    let name = name.trim().to_ascii_lowercase();
    Ok(match name.as_str() {
        "sum" => Figure::Sum,
        "min" => Figure::Min,
        "max" => Figure::Max,
        "avg" | "mean" => Figure::Avg,
        _ => {
            let percent = name.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok());
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(unknown)?;
            // Tidy, so that 99.9 is 0.999.
            request.quantiles.push((percent * 1e6).round() / 1e8);
            Figure::Quantile(request.quantiles.len() - 1, percent)
        }
    })
}

/// Four digits that count.
fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "-".into() };
    if value == value.trunc() && value.abs() < 1e15 {
        return format!("{value}");
    }
    let magnitude = value.abs().log10().floor().clamp(-6.0, 3.0);
    let places = (3.0 - magnitude) as usize;
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A text as it stands in a table: its control characters shown, and cut where it is long.
pub(super) fn cell(text: &str, most: usize) -> String {
    let shown = render::escaped(text);
    match shown.char_indices().nth(most) {
        None => shown,
        Some((end, _)) => format!("{}…", &shown[..end]),
    }
}

/// Columns; the first so many are texts, the rest numbers.
pub(super) fn aligned(table: &[Vec<String>], texts: usize) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width = |at: usize| table.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut shown = String::new();
    for row in table {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let gap = if at > 0 { "  " } else { "" };
            // Writing to a String can't fail.
            let _ = match at < texts {
                true => write!(line, "{gap}{cell:<width$}", width = widths[at]),
                false => write!(line, "{gap}{cell:>width$}", width = widths[at]),
            };
        }
        shown.push_str(line.trim_end());
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_words() {
        let check = |text: &str, by: &[&str], field: Option<&str>, quantiles: &[f64], step: Option<&str>| {
            let request = Figures::parse(text).expect(text).request;
            assert_eq!(request.by, by, "{text}");
            assert_eq!((request.field.as_deref(), request.step.as_deref()), (field, step), "{text}");
            assert_eq!(request.quantiles, quantiles, "{text}");
        };
        check("count", &[], None, &[], None);
        check("count by pod, level", &["pod", "level"], None, &[], None);
        check("rate every 1m", &[], None, &[], Some("1m"));
        check(
            "p50(took), P99.9(took),max(took) by container every 5 m",
            &["container"],
            Some("took"),
            &[0.5, 0.999],
            Some("5m"),
        );
        for (wrong, needle) in [
            ("", "is no figure"),
            ("mode(x)", "`mode(x)`"),
            ("p101(x)", "is no figure"),
            ("sum", "is no figure"),
            ("count by", "by pod, level"),
            ("count by a b", "commas"),
            ("count every", "1m"),
            ("sum(a), max(b)", "one field"),
        ] {
            let error = Figures::parse(wrong).expect_err(wrong).message();
            assert!(error.contains(needle), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_table_for_people() {
        let point = |time: &str, count, max| StatsPoint {
            time: format!("{time}.000000000Z"),
            count,
            max: Some(max),
            ..StatsPoint::default()
        };
        let series = |pod: &str, points: Vec<StatsPoint>| StatsSeries {
            group: [("pod".to_owned(), pod.to_owned())].into(),
            count: 1,
            points,
        };
        let times = ["2026-01-31T12:00:00", "2026-01-31T12:01:00"];
        let answer = StatsAnswer {
            series: vec![
                series("web\x1b", vec![point(times[0], 12, 0.51234), point(times[1], 3, 1234.5)]),
                series("db", vec![point(times[0], 1, 7.0)]),
            ],
            other: Some(StatsSeries { points: vec![point(times[1], 9, 0.0)], ..StatsSeries::default() }),
            ..StatsAnswer::default()
        };
        let figures = Figures::parse("count, max(took) by pod every 1m").expect("figures");
        let expected = "\
TIME                  POD       COUNT  MAX(took)
2026-01-31T12:00:00Z  web\\x1b      12     0.5123
2026-01-31T12:00:00Z  db            1          7
2026-01-31T12:01:00Z  web\\x1b       3       1234
2026-01-31T12:01:00Z  (others)      9          0
";
        assert_eq!(figures.table(&answer), expected);
        let columns = figures.columns(&answer);
        let names: Vec<_> = columns.iter().map(|(name, values)| (name.as_str(), values.len())).collect();
        assert_eq!(names, [("time", 4), ("pod", 4), ("count", 4), ("max_took", 4)]);
        let measured = columns[3].1.as_any().downcast_ref::<Float64Array>().expect("numbers");
        assert_eq!(measured.values().to_vec(), [0.51234, 1234.5, 7.0, 0.0]);
    }

    #[test]
    fn numbers_have_the_digits_that_count() {
        let check = |value: f64, expected: &str| assert_eq!(number(Some(value)), expected);
        check(0.0, "0");
        check(12.0, "12");
        check(0.012345, "0.01235");
        check(1.5, "1.5");
        check(99.999, "100");
        check(123_456.7, "123457");
        check(-2.25, "-2.25");
        assert_eq!(number(None), "-");
    }
}
