//! `io.prometheus.write.v2.Request`, version 2.0: all texts once, at the beginning. Pure.

use prost::Message;

use super::{Request, WireHistogram, broken, check, histogram, kind, one::WireSample};
use crate::{
    doors::{
        Refusal,
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

/// The texts of a request.
struct Symbols<'a>(Vec<&'a str>);

impl<'a> Symbols<'a> {
    fn get(&self, reference: u32) -> Result<&'a str, Refusal> {
        let found = usize::try_from(reference).ok().and_then(|at| self.0.get(at).copied());
        found.ok_or_else(|| Refusal::malformed(format!("symbol {reference} is not there")))
    }

    fn labels(&self, references: &[u32]) -> Result<Labels, Refusal> {
        if references.len() > 2 * MOST_LABELS || !references.len().is_multiple_of(2) {
            return Err(Refusal::malformed(format!(
                "a series has more than {MOST_LABELS} labels, or a name without a value"
            )));
        }
        let pairs = references.chunks_exact(2).map(|pair| Ok((self.get(pair[0])?, self.get(pair[1])?)));
        let mut pairs = pairs.collect::<Result<Vec<_>, Refusal>>()?;
        Labels::sent(&mut pairs)
            .map_err(|name| Refusal::malformed(format!("a series has the label {name:?} twice")))
    }
}

pub fn decode(bytes: &[u8]) -> Result<Request, Refusal> {
    let mut symbols = Symbols(Vec::new());
    for field in walk::fields(bytes) {
        if let (4, text) = field? {
            let text = std::str::from_utf8(text).map_err(|_| Refusal::malformed("a symbol is no UTF-8"))?;
            symbols.0.push(text);
        }
    }
    if symbols.0.first().is_some_and(|first| !first.is_empty()) {
        return Err(Refusal::malformed("the first symbol must be empty"));
    }
    let mut request = Request::default();
    for field in walk::fields(bytes) {
        let (5, message) = field? else { continue };
        check(message, request.series.len())?;
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
            let labels = symbols.labels(&found.labels_refs)?;
            exemplars.push(Exemplar { time: found.timestamp, value: found.value, labels });
        }
        let numbers = series.samples.iter().map(|sample| (sample.timestamp, Value::Number(sample.value)));
        let samples = numbers.chain(series.histograms.iter().map(histogram)).collect();
        request.series.push(Sent { labels, samples, exemplars });
    }
    Ok(request)
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
