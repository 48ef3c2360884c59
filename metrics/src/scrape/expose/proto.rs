//! The protobuf form: `io.prometheus.client.MetricFamily`, each with its length as a
//! varint before it. The only form that has native histograms.
//!
//! The messages are written out here by their field numbers; integer and float
//! histograms become one [`Histogram`] with absolute counts. Pure.

use std::sync::Arc;

use prost::Message;

use super::Fault;
use crate::series::{Buckets, Histogram, MetricKind, Value};

/// Labels of one metric; a store takes fewer.
pub const MOST_LABELS: usize = 500;

#[derive(Clone, PartialEq, prost::Message)]
pub struct LabelPair {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Number {
    #[prost(double, tag = "1")]
    pub value: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    pub fn millis(&self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanos) / 1_000_000)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct WireExemplar {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    pub value: f64,
    #[prost(message, optional, tag = "3")]
    pub timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Counter {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(message, optional, tag = "2")]
    pub exemplar: Option<WireExemplar>,
    #[prost(message, optional, tag = "3")]
    pub created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Quantile {
    #[prost(double, tag = "1")]
    pub quantile: f64,
    #[prost(double, tag = "2")]
    pub value: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Summary {
    #[prost(uint64, tag = "1")]
    pub count: u64,
    #[prost(double, tag = "2")]
    pub sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub quantile: Vec<Quantile>,
    #[prost(message, optional, tag = "4")]
    pub created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Bucket {
    #[prost(uint64, tag = "1")]
    pub cumulative_count: u64,
    #[prost(double, tag = "2")]
    pub upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    pub exemplar: Option<WireExemplar>,
    #[prost(double, tag = "4")]
    pub cumulative_count_float: f64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Span {
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct WireHistogram {
    #[prost(uint64, tag = "1")]
    pub sample_count: u64,
    #[prost(double, tag = "2")]
    pub sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub bucket: Vec<Bucket>,
    #[prost(double, tag = "4")]
    pub sample_count_float: f64,
    #[prost(sint32, optional, tag = "5")]
    pub schema: Option<i32>,
    #[prost(double, tag = "6")]
    pub zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    pub zero_count: u64,
    #[prost(double, tag = "8")]
    pub zero_count_float: f64,
    #[prost(message, repeated, tag = "9")]
    pub negative_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "10")]
    pub negative_delta: Vec<i64>,
    #[prost(double, repeated, tag = "11")]
    pub negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    pub positive_delta: Vec<i64>,
    #[prost(double, repeated, tag = "14")]
    pub positive_count: Vec<f64>,
    #[prost(message, optional, tag = "15")]
    pub created: Option<Timestamp>,
    #[prost(message, repeated, tag = "16")]
    pub exemplars: Vec<WireExemplar>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    pub untyped: Option<Number>,
    #[prost(int64, tag = "6")]
    pub timestamp_ms: i64,
    #[prost(message, optional, tag = "7")]
    pub histogram: Option<WireHistogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Family {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub help: String,
    #[prost(int32, tag = "3")]
    pub kind: i32,
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    pub unit: String,
}

impl Family {
    pub fn metric_kind(&self) -> MetricKind {
        match self.kind {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            2 => MetricKind::Summary,
            4 => MetricKind::Histogram,
            5 => MetricKind::GaugeHistogram,
            _ => MetricKind::Unknown,
        }
    }
}

/// One sample of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// What is added to the family's name.
    pub suffix: &'static str,
    /// `le` or `quantile`, and its value.
    pub extra: Option<(&'static str, String)>,
    pub value: Value,
    pub exemplars: Vec<WireExemplar>,
}

/// The families of a body.
///
/// # Errors
/// Which message is broken.
pub fn families(mut body: &[u8]) -> Result<Vec<Family>, Fault> {
    let mut found = Vec::new();
    while !body.is_empty() {
        let number = found.len() + 1;
        let fault = |error: prost::DecodeError| Fault::Message { number, what: error.to_string() };
        let length = prost::decode_length_delimiter(&mut body).map_err(fault)?;
        if length > body.len() {
            let what = format!("has {length} bytes by its own word, and only {} are there", body.len());
            return Err(Fault::Message { number, what });
        }
        let (message, rest) = body.split_at(length);
        found.push(Family::decode(message).map_err(fault)?);
        body = rest;
    }
    Ok(found)
}

/// A number as OpenMetrics spells bounds: `1.0`, `+Inf`.
pub fn bound(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    if value == f64::NEG_INFINITY {
        return "-Inf".to_owned();
    }
    if value.abs() >= 1e21 || (value != 0.0 && value.abs() < 1e-4) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = value.to_string();
    match text.contains(['.', 'N']) {
        true => text,
        false => text + ".0",
    }
}

/// The samples that a metric of a family stands for.
pub fn draw(family: &Family, metric: &Metric) -> Vec<Drawn> {
    let one =
        |suffix, value, exemplars| Drawn { suffix, extra: None, value: Value::Number(value), exemplars };
    let mut drawn = Vec::new();
    if let Some(counter) = &metric.counter {
        drawn.push(one("", counter.value, counter.exemplar.iter().cloned().collect()));
    }
    if let Some(number) = metric.gauge.as_ref().or(metric.untyped.as_ref()) {
        drawn.push(one("", number.value, Vec::new()));
    }
    if let Some(summary) = &metric.summary {
        drawn.extend(summary.quantile.iter().map(|quantile| Drawn {
            extra: Some(("quantile", bound(quantile.quantile))),
            ..one("", quantile.value, Vec::new())
        }));
        drawn.push(one("_sum", summary.sum, Vec::new()));
        drawn.push(one("_count", summary.count as f64, Vec::new()));
    }
    if let Some(histogram) = &metric.histogram {
        draw_histogram(histogram, family.metric_kind() == MetricKind::GaugeHistogram, &mut drawn);
    }
    drawn
}

fn draw_histogram(histogram: &WireHistogram, gauge: bool, drawn: &mut Vec<Drawn>) {
    let is_native = is_native(histogram);
    if is_native {
        let value = Value::Histogram(Arc::new(Histogram { gauge, ..native(histogram) }));
        drawn.push(Drawn { suffix: "", extra: None, value, exemplars: histogram.exemplars.clone() });
    }
    if is_native && histogram.bucket.is_empty() {
        return;
    }
    let is_float = histogram.sample_count_float > 0.0;
    let count = if is_float { histogram.sample_count_float } else { histogram.sample_count as f64 };
    let plain = |suffix, value: f64| Drawn {
        suffix,
        extra: None,
        value: Value::Number(value),
        exemplars: Vec::new(),
    };
    let bucket = |upper: f64, value: f64, exemplar: Option<&WireExemplar>| Drawn {
        extra: Some(("le", bound(upper))),
        exemplars: exemplar.into_iter().cloned().collect(),
        ..plain("_bucket", value)
    };
    for one in &histogram.bucket {
        let value = if is_float { one.cumulative_count_float } else { one.cumulative_count as f64 };
        drawn.push(bucket(one.upper_bound, value, one.exemplar.as_ref()));
    }
    if histogram.bucket.last().is_none_or(|last| last.upper_bound != f64::INFINITY) {
        drawn.push(bucket(f64::INFINITY, count, None));
    }
    drawn.push(plain("_sum", histogram.sample_sum));
    drawn.push(plain("_count", count));
}

/// An empty native histogram has a span without buckets, so that it is known as one.
fn is_native(histogram: &WireHistogram) -> bool {
    !histogram.positive_span.is_empty()
        || !histogram.negative_span.is_empty()
        || histogram.zero_threshold > 0.0
        || histogram.zero_count > 0
        || histogram.zero_count_float > 0.0
}

fn native(wire: &WireHistogram) -> Histogram {
    let is_float = wire.sample_count_float > 0.0 || wire.zero_count_float > 0.0;
    Histogram {
        schema: wire.schema.unwrap_or_default(),
        zero_threshold: wire.zero_threshold,
        zero_count: if is_float { wire.zero_count_float } else { wire.zero_count as f64 },
        count: if is_float { wire.sample_count_float } else { wire.sample_count as f64 },
        sum: wire.sample_sum,
        positive: buckets(&wire.positive_span, &wire.positive_delta, &wire.positive_count),
        negative: buckets(&wire.negative_span, &wire.negative_delta, &wire.negative_count),
        custom_bounds: Vec::new(),
        gauge: false,
    }
}

/// Buckets with absolute counts, from differences or from counts; as many as the spans have and no more.
pub fn buckets(spans: &[Span], deltas: &[i64], counts: &[f64]) -> Buckets {
    let counts: Vec<f64> = match counts.is_empty() {
        false => counts.to_vec(),
        true => {
            let sums = deltas.iter().scan(0i64, |sum, delta| {
                *sum = sum.saturating_add(*delta);
                Some(*sum as f64)
            });
            sums.collect()
        }
    };
    fitted(spans.iter().map(|span| (span.offset, span.length)), counts)
}

/// Spans cut to the counts that are there, and counts to the spans.
pub fn fitted(spans: impl Iterator<Item = (i32, u32)>, mut counts: Vec<f64>) -> Buckets {
    let mut left = counts.len();
    let mut kept = Vec::new();
    for (offset, length) in spans {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(left);
        left -= length;
        kept.push((offset, u32::try_from(length).unwrap_or(u32::MAX)));
    }
    while kept.last().is_some_and(|(_, length)| *length == 0) {
        kept.pop();
    }
    counts.truncate(counts.len() - left);
    Buckets { spans: kept, counts }
}
