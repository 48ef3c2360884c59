//! Outcomes of queries as Prometheus writes them: numbers as texts, times in seconds.

use std::{fmt::Write as _, ops::Range};

use super::{
    super::{Column, Grid, Outcome, column::is_absent, histogram::all_buckets},
    reply::quoted,
};
use crate::series::{Histogram, Labels, Value};

/// Bytes of a value with its time, and of a series' labels, about.
const EACH_VALUE: usize = 36;
const EACH_SERIES: usize = 200;
/// Whole numbers up to here have floats of their own.
const EXACT: u64 = 1 << 53;
/// What is no whole number and within is written without an exponent.
const PLAIN: Range<f64> = 1e-5..1e15;

/// An outcome that is written as `{"resultType": ..., "result": ...}`: whole, or in parts that
/// stand one behind the other, so that several may be written at once.
pub struct Writing {
    outcome: Outcome,
    times: Times,
}

impl Writing {
    pub fn new(outcome: Outcome) -> Self {
        let times = match &outcome {
            Outcome::Matrix(grid, _) => Times::of(*grid),
            _ => Times::of(Grid::instant(0)),
        };
        Self { outcome, times }
    }

    /// How many series it has.
    fn series(&self) -> usize {
        match &self.outcome {
            Outcome::Scalar(..) | Outcome::Text(..) => 0,
            Outcome::Vector(_, columns) | Outcome::Matrix(_, columns) => columns.len(),
            Outcome::Samples(found) => found.len(),
        }
    }

    /// Bytes that its text takes, about.
    pub fn size(&self) -> usize {
        let values = match &self.outcome {
            Outcome::Scalar(..) | Outcome::Text(..) | Outcome::Vector(..) => self.series(),
            Outcome::Matrix(grid, columns) => columns.len() * grid.steps,
            Outcome::Samples(found) => found.iter().map(|one| one.samples.len()).sum(),
        };
        values * EACH_VALUE + self.series() * EACH_SERIES
    }

    /// The series of each of so many parts.
    pub fn parts(&self, count: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, count) = (self.series(), count.max(1));
        (0..count).map(move |part| all * part / count..all * (part + 1) / count)
    }

    /// What stands before the first series, and what behind the last.
    pub fn ends(&self) -> (&'static str, &'static str) {
        match &self.outcome {
            Outcome::Scalar(..) => (r#"{"resultType":"scalar","result":"#, "}"),
            Outcome::Text(..) => (r#"{"resultType":"string","result":"#, "}"),
            Outcome::Vector(..) => (r#"{"resultType":"vector","result":["#, "]}"),
            Outcome::Matrix(..) | Outcome::Samples(..) => (r#"{"resultType":"matrix","result":["#, "]}"),
        }
    }

    /// These series, each but the very first behind a comma.
    pub fn part(&self, which: Range<usize>) -> String {
        let mut json = String::with_capacity(self.size() / self.series().max(1) * which.len());
        for place in which {
            json.push_str(if place > 0 { ",{\"metric\":" } else { "{\"metric\":" });
            match &self.outcome {
                Outcome::Scalar(..) | Outcome::Text(..) => {}
                Outcome::Vector(time, columns) => {
                    metric(&mut json, &columns[place].labels);
                    instant(&mut json, *time, &columns[place]);
                }
                Outcome::Matrix(_, columns) => {
                    metric(&mut json, &columns[place].labels);
                    matrix(&mut json, &self.times, &columns[place]);
                }
                Outcome::Samples(found) => {
                    metric(&mut json, &found[place].labels);
                    raw(&mut json, &found[place].samples);
                }
            }
            json.push('}');
        }
        json
    }

    /// All of it.
    pub fn whole(&self) -> String {
        let (begin, end) = self.ends();
        let mut json = String::from(begin);
        match &self.outcome {
            Outcome::Scalar(time, value) => pair(&mut json, *time, *value),
            Outcome::Text(at, text) => {
                json.push('[');
                seconds(&mut json, *at);
                json.push(',');
                json.push_str(&quoted(text));
                json.push(']');
            }
            _ => json.push_str(&self.part(0..self.series())),
        }
        json.push_str(end);
        json
    }
}

/// Labels as an object.
pub fn metric(json: &mut String, labels: &Labels) {
    json.push('{');
    for (place, (name, value)) in labels.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        text(json, name);
        json.push(':');
        text(json, value);
    }
    json.push('}');
}

/// A text in quotes; most have nothing to escape.
fn text(json: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        json.push_str(&quoted(text));
        return;
    }
    json.push('"');
    json.push_str(text);
    json.push('"');
}

/// The times of all steps, each as a pair of it and a number begins behind another one: written
/// once, not once a series.
struct Times {
    grid: Grid,
    begins: Vec<Begin>,
}

/// How a pair begins.
#[derive(Clone, Copy)]
struct Begin {
    text: [u8; Self::ROOM],
    length: usize,
}

impl Begin {
    /// Longer than any time: a sign, the seconds that a number of 64 bits can say, three digits
    /// behind the point, and what stands around them.
    const ROOM: usize = 32;
}

impl Times {
    fn of(grid: Grid) -> Self {
        let mut text = String::new();
        let begin = |step| {
            text.clear();
            text.push_str(",[");
            seconds(&mut text, grid.time(step));
            text.push_str(",\"");
            let mut begin = Begin { text: [0; Begin::ROOM], length: text.len() };
            begin.text[..text.len()].copy_from_slice(text.as_bytes());
            begin
        };
        Self { grid, begins: (0..grid.steps).map(begin).collect() }
    }
}

fn instant(json: &mut String, time: i64, column: &Column) {
    if let Some(value) = column.histogram(0) {
        json.push_str(",\"histogram\":[");
        seconds(json, time);
        json.push(',');
        histogram(json, value);
        json.push(']');
    } else {
        json.push_str(",\"value\":");
        pair(json, time, column.numbers[0]);
    }
}

/// Short texts that are gathered before they are put behind others: to copy each by itself takes
/// longer than to write its digits.
struct Page {
    text: [u8; 4096],
    length: usize,
    /// Where what is to be copied begins.
    from: usize,
}

impl Page {
    /// Longer than a time, a number and what stands between them.
    const ROOM: usize = 128;

    fn new() -> Self {
        Self { text: [0; 4096], length: 0, from: 0 }
    }

    /// A pair's begin; all that it has room for is copied, which is two moves.
    #[inline]
    fn begin(&mut self, begin: &Begin) {
        self.text[self.length..][..Begin::ROOM].copy_from_slice(&begin.text);
        self.length += begin.length;
    }

    /// The end of a pair.
    #[inline]
    fn end(&mut self) {
        self.text[self.length..][..2].copy_from_slice(b"\"]");
        self.length += 2;
    }

    /// Digits. With all else that comes before the next [`Page::make_room`] they are at most
    /// [`Page::ROOM`] bytes.
    #[inline]
    fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        let to = &mut self.text[self.length..][..text.len()];
        // Pieces of known sizes are a move each; they may overlap.
        match text.len() {
            8..16 => {
                let last = text.len() - 8;
                to[..8].copy_from_slice(&text[..8]);
                to[last..].copy_from_slice(&text[last..]);
            }
            16..=32 => {
                let last = text.len() - 16;
                to[..16].copy_from_slice(&text[..16]);
                to[last..].copy_from_slice(&text[last..]);
            }
            _ => to.copy_from_slice(text),
        }
        self.length += text.len();
    }

    /// Before the first pair of a list stands none.
    fn skip_comma(&mut self) {
        self.from = 1;
    }

    fn make_room(&mut self, json: &mut String) {
        if self.length > self.text.len() - Self::ROOM {
            self.flush(json);
        }
    }

    fn flush(&mut self, json: &mut String) {
        let text = &self.text[self.from..self.length];
        json.push_str(str::from_utf8(text).expect("it was put together of texts"));
        (self.from, self.length) = (0, 0);
    }
}

fn matrix(json: &mut String, times: &Times, column: &Column) {
    let mut is_first = true;
    let (mut page, mut digits) = (Page::new(), Digits::default());
    for (step, number) in column.numbers.iter().enumerate().filter(|(_, number)| !is_absent(**number)) {
        page.make_room(json);
        page.begin(&times.begins[step]);
        if is_first {
            json.push_str(",\"values\":[");
            page.skip_comma();
            is_first = false;
        }
        match digits.of(*number) {
            Some(digits) => page.push(digits),
            None => {
                page.flush(json);
                plain(json, *number);
            }
        }
        page.end();
    }
    page.flush(json);
    if !is_first {
        json.push(']');
    }
    let histograms = column.histograms.iter().enumerate();
    let histograms = histograms.filter_map(|(step, one)| Some((times.grid.time(step), one.as_ref()?)));
    list(json, "histograms", histograms, |json, (time, value)| histogram_pair(json, time, value));
}

fn raw(json: &mut String, samples: &[(i64, Value)]) {
    let numbers = samples.iter().filter_map(|(time, value)| Some((*time, value.number()?)));
    list(json, "values", numbers, |json, (time, number)| pair(json, time, number));
    let histograms = samples.iter().filter_map(|(time, value)| match value {
        Value::Histogram(histogram) => Some((*time, histogram)),
        Value::Number(_) => None,
    });
    list(json, "histograms", histograms, |json, (time, value)| histogram_pair(json, time, value));
}

/// A list under a name; nothing where it would be empty.
fn list<T>(json: &mut String, name: &str, items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    let mut is_first = true;
    for item in items {
        if is_first {
            let _ = write!(json, ",\"{name}\":[");
        } else {
            json.push(',');
        }
        is_first = false;
        write(json, item);
    }
    if !is_first {
        json.push(']');
    }
}

fn pair(json: &mut String, time: i64, value: f64) {
    json.push('[');
    seconds(json, time);
    json.push(',');
    number(json, value);
    json.push(']');
}

fn histogram_pair(json: &mut String, time: i64, value: &Histogram) {
    json.push('[');
    seconds(json, time);
    json.push(',');
    histogram(json, value);
    json.push(']');
}

/// Milliseconds as seconds; the fraction only where there is one.
pub fn seconds(json: &mut String, time: i64) {
    if time < 0 {
        json.push('-');
    }
    let (whole, millis) = (time.unsigned_abs() / 1000, time.unsigned_abs() % 1000);
    json.push_str(itoa::Buffer::new().format(whole));
    if millis != 0 {
        let _ = write!(json, ".{millis:03}");
    }
}

/// A number in quotes.
pub fn number(json: &mut String, number: f64) {
    json.push('"');
    plain(json, number);
    json.push('"');
}

/// Where digits are written before they are copied.
#[derive(Default)]
struct Digits {
    whole: itoa::Buffer,
    broken: zmij::Buffer,
}

impl Digits {
    /// Of most numbers: those that need no exponent.
    fn of(&mut self, number: f64) -> Option<&str> {
        let whole = number as i64;
        if whole.unsigned_abs() <= EXACT && (whole as f64).to_bits() == number.to_bits() {
            return Some(self.whole.format(whole));
        }
        PLAIN.contains(&number.abs()).then(|| self.broken.format_finite(number))
    }
}

/// As Go writes it: with an exponent where it is very large or small.
pub fn plain(json: &mut String, number: f64) {
    let size = number.abs();
    if let Some(digits) = Digits::default().of(number) {
        json.push_str(digits);
    } else if number.is_nan() {
        json.push_str("NaN");
    } else if number.is_infinite() {
        json.push_str(if number > 0.0 { "+Inf" } else { "-Inf" });
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        let _ = write!(json, "{digits}e{sign}{exponent:0>2}");
    } else {
        let mut buffer = zmij::Buffer::new();
        match buffer.format_finite(number) {
            short if !short.contains('e') => json.push_str(short.strip_suffix(".0").unwrap_or(short)),
            _ => drop(write!(json, "{number}")),
        }
    }
}

fn histogram(json: &mut String, histogram: &Histogram) {
    json.push_str("{\"count\":");
    number(json, histogram.count);
    json.push_str(",\"sum\":");
    number(json, histogram.sum);
    let all = all_buckets(histogram);
    let populated = all.iter().filter(|bucket| bucket.count != 0.0);
    list(json, "buckets", populated, |json, bucket| {
        let bounds = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        let _ = write!(json, "[{bounds}");
        for value in [bucket.lower, bucket.upper, bucket.count] {
            json.push(',');
            number(json, value);
        }
        json.push(']');
    });
    json.push('}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{promql::column::Cell, series::Buckets};

    proptest! {
        #[test]
        fn a_number_is_written_as_shortly_as_it_can_be_read_again(bits in any::<u64>(), whole in any::<i64>(), decimals in 0i32..20) {
            for value in [f64::from_bits(bits), whole as f64, whole as f64 / 10f64.powi(decimals), -0.0] {
                let mut json = String::new();
                plain(&mut json, value);
                if value.is_nan() {
                    prop_assert_eq!(json, "NaN");
                    continue;
                }
                prop_assert_eq!(json.replace("Inf", "inf").parse::<f64>().expect("a number").to_bits(), value.to_bits());
                if (1e-6..1e21).contains(&value.abs()) {
                    prop_assert_eq!(json.len(), value.to_string().len());
                    prop_assert!(!json.contains('e'));
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let of = |number: f64| {
            let mut json = String::new();
            plain(&mut json, number);
            json
        };
        let numbers = [0.0, 1.5, 1e-7, 1.5e21, 1e20, f64::NAN, f64::NEG_INFINITY, 123_456_789.0, -1e-300];
        let texts = numbers.map(of);
        let expected =
            ["0", "1.5", "1e-07", "1.5e+21", "100000000000000000000", "NaN", "-Inf", "123456789", "-1e-300"];
        assert_eq!(texts, expected);
    }

    fn outcome(outcome: Outcome) -> String {
        Writing::new(outcome).whole()
    }

    #[test]
    fn parts_make_the_whole() {
        let column = |n: usize| {
            let labels = Labels::new([("__name__", "up".to_owned()), ("n", n.to_string())]);
            Column::of_numbers(labels, vec![n as f64, 0.5])
        };
        let grid = Grid::range(1500, 2500, 1000);
        for count in [0, 1, 2, 7] {
            let columns: Vec<_> = (0..count).map(column).collect();
            for outcome in [Outcome::Matrix(grid, columns.clone()), Outcome::Vector(1000, columns)] {
                let writing = Writing::new(outcome);
                for parts in [1, 2, 3, 20] {
                    let (begin, end) = writing.ends();
                    let middle: String = writing.parts(parts).map(|which| writing.part(which)).collect();
                    assert_eq!(format!("{begin}{middle}{end}"), writing.whole(), "{count} in {parts}");
                }
                serde_json::from_str::<serde_json::Value>(&writing.whole()).expect("JSON");
            }
        }
    }

    #[test]
    fn outcomes_have_prometheus_shapes() {
        let labels = Labels::new([("__name__", "up"), ("a", "\"")]);
        let mut column = Column::of_numbers(labels, vec![1.0, f64::NAN]);
        assert_eq!(
            outcome(Outcome::Matrix(Grid::range(1500, 2500, 1000), vec![column.clone()])),
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","a":"\""},"values":[[1.500,"1"],[2.500,"NaN"]]}]}"#
        );
        let value = Histogram {
            count: 3.0,
            sum: 2.0,
            zero_threshold: 0.5,
            zero_count: 1.0,
            positive: Buckets { spans: vec![(1, 1)], counts: vec![2.0] },
            ..Histogram::default()
        };
        column.set(0, Cell::histogram(value));
        assert_eq!(
            outcome(Outcome::Vector(1000, vec![column])),
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","a":"\""},"histogram":[1,{"count":"3","sum":"2","buckets":[[3,"-0.5","0.5","1"],[0,"1","2","2"]]}]}]}"#
        );
        assert_eq!(outcome(Outcome::Scalar(1001, 2.0)), r#"{"resultType":"scalar","result":[1.001,"2"]}"#);
    }
}
