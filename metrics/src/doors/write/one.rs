//! `prometheus.WriteRequest`, version 1.0. Pure.

use prost::Message;

use super::{Request, WireHistogram, broken, check, histogram, kind};
use crate::{
    doors::{
        Refusal,
        amount::{Amount, HISTOGRAM},
        intake::{MOST_LABELS, Sent},
        walk,
    },
    series::{Exemplar, Labels, Meta, Value},
};

#[derive(Clone, PartialEq, prost::Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct WireSample {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct WireExemplar {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(double, tag = "2")]
    pub value: f64,
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Metadata {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub metric: String,
    #[prost(string, tag = "4")]
    pub help: String,
    #[prost(string, tag = "5")]
    pub unit: String,
}

pub fn decode(bytes: &[u8]) -> Result<Request, Refusal> {
    let (mut request, mut amount) = (Request::default(), Amount::default());
    for field in walk::fields(bytes) {
        match field? {
            (1, message) => {
                check(request.series.len())?;
                request.series.push(sent(message, &mut amount)?);
            }
            (3, message) if request.metadata.len() < super::MOST_SERIES => {
                let found = Metadata::decode(message).map_err(|error| broken(&error))?;
                let meta = Meta { kind: kind(found.kind), help: found.help, unit: found.unit };
                request.metadata.push((found.metric, meta));
            }
            _ => {}
        }
    }
    Ok(request)
}

/// A series out of its message. Its texts are not copied one by one: they are most of it.
fn sent(message: &[u8], amount: &mut Amount) -> Result<Sent, Refusal> {
    let mut pairs = Vec::with_capacity(16);
    let mut sent = Sent::default();
    for field in walk::fields(message) {
        match field? {
            (1, _) if pairs.len() >= MOST_LABELS => {
                return Err(Refusal::malformed(format!("a series has more than {MOST_LABELS} labels")));
            }
            (1, label) => pairs.push(pair(label)?),
            (2, sample) => {
                amount.samples(1)?;
                let sample = WireSample::decode(sample).map_err(|error| broken(&error))?;
                sent.samples.push((sample.timestamp, Value::Number(sample.value)));
            }
            (3, found) => {
                amount.samples(1)?;
                // No store takes one of so many labels, and each of them may have two bytes.
                if walk::count(found, 1)? > MOST_LABELS {
                    continue;
                }
                let found = WireExemplar::decode(found).map_err(|error| broken(&error))?;
                let pairs = found.labels.iter().take(MOST_LABELS).map(|label| (&label.name, &label.value));
                let labels = Labels::new(pairs);
                sent.exemplars.push(Exemplar { time: found.timestamp, value: found.value, labels });
            }
            (4, found) => {
                amount.samples(HISTOGRAM)?;
                let found = WireHistogram::decode(found).map_err(|error| broken(&error))?;
                sent.samples.push(histogram(&found));
            }
            _ => {}
        }
    }
    sent.labels = Labels::sent(&mut pairs)
        .map_err(|name| Refusal::malformed(format!("a series has the label {name:?} twice")))?;
    Ok(sent)
}

fn pair(label: &[u8]) -> Result<(&str, &str), Refusal> {
    let (mut name, mut value) = ("", "");
    for field in walk::fields(label) {
        let (number, text) = field?;
        let text = std::str::from_utf8(text).map_err(|_| Refusal::malformed("a label is no UTF-8"))?;
        match number {
            1 => name = text,
            2 => value = text,
            _ => {}
        }
    }
    Ok((name, value))
}
