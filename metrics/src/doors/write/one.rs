//! `prometheus.WriteRequest`, version 1.0. Pure.

use prost::Message;

use super::{Request, WireHistogram, broken, check, histogram, kind};
use crate::{
    doors::{
        Refusal,
        intake::{MOST_LABELS, Sent},
        walk,
    },
    series::{Exemplar, Labels, LabelsBuilder, Meta, Value},
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
pub struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<WireSample>,
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<WireExemplar>,
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<WireHistogram>,
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
    let mut request = Request::default();
    for field in walk::fields(bytes) {
        match field? {
            (1, message) => {
                check(message, request.series.len())?;
                let series = TimeSeries::decode(message).map_err(|error| broken(&error))?;
                request.series.push(sent(series)?);
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

fn sent(series: TimeSeries) -> Result<Sent, Refusal> {
    if series.labels.len() > MOST_LABELS {
        return Err(Refusal::malformed(format!("a series has more than {MOST_LABELS} labels")));
    }
    let mut labels = LabelsBuilder::default();
    for label in &series.labels {
        if labels.get(&label.name).is_some() {
            return Err(Refusal::malformed(format!("a series has the label {:?} twice", label.name)));
        }
        labels.set(&label.name, &label.value);
    }
    let exemplar = |found: &WireExemplar| Exemplar {
        time: found.timestamp,
        value: found.value,
        labels: Labels::new(found.labels.iter().take(MOST_LABELS).map(|label| (&label.name, &label.value))),
    };
    let numbers = series.samples.iter().map(|sample| (sample.timestamp, Value::Number(sample.value)));
    Ok(Sent {
        labels,
        samples: numbers.chain(series.histograms.iter().map(histogram)).collect(),
        exemplars: series.exemplars.iter().map(exemplar).collect(),
    })
}
