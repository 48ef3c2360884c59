//! Samples of one series, by column.

use super::{Labels, SeriesData, Value, head::SharedHistogram};

/// Samples of one series, oldest first: numbers and native histograms apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeriesColumns {
    pub labels: Labels,
    /// Milliseconds since the Unix epoch, of the numbers.
    pub times: Vec<i64>,
    pub values: Vec<f64>,
    pub histograms: Vec<(i64, SharedHistogram)>,
}

impl SeriesColumns {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.times.len() + self.histograms.len()
    }

    #[inline]
    pub fn push(&mut self, time: i64, value: f64) {
        self.times.push(time);
        self.values.push(value);
    }

    /// Puts samples of several sources in order, each time once: the first that has it counts.
    pub fn settle(&mut self) {
        if !self.times.is_sorted_by(|a, b| a < b) {
            let mut numbers: Vec<_> = self.times.drain(..).zip(self.values.drain(..)).collect();
            numbers.sort_by_key(|(time, _)| *time);
            numbers.dedup_by_key(|(time, _)| *time);
            numbers.into_iter().for_each(|(time, value)| self.push(time, value));
        }
        if !self.histograms.is_sorted_by(|a, b| a.0 < b.0) {
            self.histograms.sort_by_key(|(time, _)| *time);
            self.histograms.dedup_by_key(|(time, _)| *time);
        }
    }
}

impl From<SeriesData> for SeriesColumns {
    fn from(data: SeriesData) -> Self {
        let mut columns = Self { labels: data.labels, ..Self::default() };
        for (time, value) in data.samples {
            match value {
                Value::Number(number) => columns.push(time, number),
                Value::Histogram(histogram) => columns.histograms.push((time, histogram)),
            }
        }
        columns
    }
}

impl From<SeriesColumns> for SeriesData {
    fn from(columns: SeriesColumns) -> Self {
        let numbers = columns.times.into_iter().zip(columns.values);
        let mut samples: Vec<_> = numbers.map(|(time, value)| (time, Value::Number(value))).collect();
        if !columns.histograms.is_empty() {
            samples.extend(columns.histograms.into_iter().map(|(time, one)| (time, Value::Histogram(one))));
            samples.sort_by_key(|(time, _)| *time);
        }
        Self { labels: columns.labels, samples }
    }
}
