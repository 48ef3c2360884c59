//! Requests of remote write 1.0: snappy over a protobuf message of series with their samples.

use prost::Message;

use crate::sets::{Series, Set};

/// Samples of one request: what a busy sender puts in one.
const EACH: usize = 5_000;

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

/// All requests, in order of time.
pub struct Requests {
    series: Vec<Series>,
    labels: Vec<Vec<Label>>,
    start: i64,
    interval: i64,
    steps: usize,
    step: usize,
    at: usize,
}

impl Requests {
    pub fn new(set: &Set) -> Self {
        let series = set.make();
        let label = |(name, value): &(&str, String)| Label { name: (*name).to_owned(), value: value.clone() };
        let labels = series.iter().map(|one| one.labels.iter().map(label).collect()).collect();
        Self { series, labels, start: set.start, interval: set.interval, steps: set.steps, step: 0, at: 0 }
    }

    /// The next body; `None` when all were made.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        if self.step == self.steps {
            return None;
        }
        let timestamp = self.start + self.step as i64 * self.interval;
        let end = (self.at + EACH).min(self.series.len());
        let steps_an_hour = (3_600_000 / self.interval) as usize;
        for (series, labels) in self.series[self.at..end].iter_mut().zip(&mut self.labels[self.at..end]) {
            if let Some(name) = series.successor(self.step, steps_an_hour) {
                labels
                    .iter_mut()
                    .filter(|label| label.name == "pod")
                    .for_each(|label| label.value = name.clone());
            }
        }
        let timeseries = (self.at..end)
            .map(|at| TimeSeries {
                labels: self.labels[at].clone(),
                samples: vec![Sample { value: self.series[at].step(), timestamp }],
            })
            .collect();
        (self.at, self.step) = if end == self.series.len() { (0, self.step + 1) } else { (end, self.step) };
        let message = WriteRequest { timeseries }.encode_to_vec();
        snap::raw::Encoder::new().compress_vec(&message).ok()
    }
}
