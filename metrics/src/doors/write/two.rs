//! `io.prometheus.write.v2.Request`, version 2.0: all texts once, at the beginning. Pure.

use std::cell::Cell;

use prost::Message;

use super::{Request, WireHistogram, broken, check, histogram, kind, one::WireSample};
use crate::{
    doors::{
        Refusal,
        amount::{Amount, HISTOGRAM},
        body::MAX_PLAIN,
        intake::{MOST_LABELS, Sent},
        walk,
    },
    series::{Exemplar, Labels, Meta, NAME, Value},
};

#[derive(Clone, PartialEq, prost::Message)]
pub struct WireExemplar {
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    #[prost(double, tag = "2")]
    pub value: f64,
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Metadata {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(uint32, tag = "3")]
    pub help_ref: u32,
    #[prost(uint32, tag = "4")]
    pub unit_ref: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<WireSample>,
    #[prost(message, repeated, tag = "3")]
    pub histograms: Vec<WireHistogram>,
    #[prost(message, repeated, tag = "4")]
    pub exemplars: Vec<WireExemplar>,
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<Metadata>,
}

/// Texts of one request.
const MOST_SYMBOLS: usize = 1_000_000;
/// Bytes that all texts may take where they are written out: each may be named very often.
const MOST_BYTES: usize = 2 * MAX_PLAIN;
/// A text of so many bytes is taken by no store. What stands behind them is not copied.
const LONG: usize = 64 << 10;

/// The texts of a request.
#[derive(Default)]
struct Symbols<'a> {
    texts: Vec<&'a str>,
    /// Bytes of those that were asked for.
    asked: Cell<usize>,
}

impl<'a> Symbols<'a> {
    fn get(&self, reference: u32) -> Result<&'a str, Refusal> {
        let found = usize::try_from(reference).ok().and_then(|at| self.texts.get(at).copied());
        let found = found.ok_or_else(|| Refusal::malformed(format!("symbol {reference} is not there")))?;
        let found = &found[..found.floor_char_boundary(LONG)];
        self.asked.set(self.asked.get() + found.len());
        if self.asked.get() > MOST_BYTES {
            return Err(Refusal::too_large(format!(
                "the request's labels take more than {} MiB when they are written out: send less at once",
                MOST_BYTES >> 20
            )));
        }
        Ok(found)
    }

    fn labels(&self, references: &[u32]) -> Result<Labels, Refusal> {
        if references.len() > 2 * MOST_LABELS || !references.len().is_multiple_of(2) {
            return Err(wrong_labels());
        }
        let pairs = references.chunks_exact(2).map(|pair| Ok((self.get(pair[0])?, self.get(pair[1])?)));
        let mut pairs = pairs.collect::<Result<Vec<_>, Refusal>>()?;
        Labels::sent(&mut pairs)
            .map_err(|name| Refusal::malformed(format!("a series has the label {name:?} twice")))
    }
}

pub fn decode(bytes: &[u8]) -> Result<Request, Refusal> {
    let mut symbols = Symbols::default();
    for field in walk::fields(bytes) {
        if let (4, text) = field? {
            let text = std::str::from_utf8(text).map_err(|_| Refusal::malformed("a symbol is no UTF-8"))?;
            if symbols.texts.len() == MOST_SYMBOLS {
                let message = format!("the request has more than {MOST_SYMBOLS} symbols: send less at once");
                return Err(Refusal::too_large(message));
            }
            symbols.texts.push(text);
        }
    }
    if symbols.texts.first().is_some_and(|first| !first.is_empty()) {
        return Err(Refusal::malformed("the first symbol must be empty"));
    }
    let (mut request, mut amount) = (Request::default(), Amount::default());
    for field in walk::fields(bytes) {
        let (5, message) = field? else { continue };
        check(request.series.len())?;
        weigh(message, &mut amount)?;
        let series = TimeSeries::decode(message).map_err(|error| broken(&error))?;
        let labels = symbols.labels(&series.labels_refs)?;
        if let Some(found) = series.metadata {
            let meta = Meta {
                kind: kind(found.kind),
                help: symbols.get(found.help_ref)?.to_owned(),
                unit: symbols.get(found.unit_ref)?.to_owned(),
            };
            if let Some(name) = labels.get(NAME).filter(|_| meta != Meta::default()) {
                request.metadata.push((family(name, &meta).to_owned(), meta));
            }
        }
        let mut exemplars = Vec::new();
        for found in &series.exemplars {
            // No store takes one of so many labels.
            if found.labels_refs.len() > 2 * MOST_LABELS {
                continue;
            }
            let labels = symbols.labels(&found.labels_refs)?;
            exemplars.push(Exemplar { time: found.timestamp, value: found.value, labels });
        }
        let numbers = series.samples.iter().map(|sample| (sample.timestamp, Value::Number(sample.value)));
        let samples = numbers.chain(series.histograms.iter().map(histogram)).collect();
        request.series.push(Sent { labels, samples, exemplars });
    }
    Ok(request)
}

/// Looks at a series before it is decoded.
fn weigh(message: &[u8], amount: &mut Amount) -> Result<(), Refusal> {
    let mut references = 0;
    for field in walk::fields(message) {
        match field? {
            (1, packed) => references += packed.len(),
            (2 | 4, _) => amount.samples(1)?,
            (3, _) => amount.samples(HISTOGRAM)?,
            _ => {}
        }
    }
    // A reference has five bytes at most.
    if references > 10 * MOST_LABELS { Err(wrong_labels()) } else { Ok(()) }
}

fn wrong_labels() -> Refusal {
    Refusal::malformed(format!("a series has more than {MOST_LABELS} labels, or a name without a value"))
}

/// The metric that a series of a classic histogram or summary is part of.
fn family<'a>(name: &'a str, meta: &Meta) -> &'a str {
    use crate::series::MetricKind::{GaugeHistogram, Histogram, Summary};
    let ends: &[&str] = match meta.kind {
        Histogram | GaugeHistogram | Summary => &["_bucket", "_sum", "_count"],
        _ => &[],
    };
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}
