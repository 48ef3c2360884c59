//! Rows of the table `disk`: its columns, and what has changed since the row before. Pure.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{
            ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
        },
        datatypes::{DataType, Schema, SchemaRef},
    },
    common::Result,
};

use super::{FIGURES, RATES};
use crate::tables::{documented, joined::LOOKBACK, time_column};

/// What is known of a disk at one time.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Microseconds since the Unix epoch.
    pub time: i64,
    pub values: [Option<u64>; FIGURES.len()],
}

/// What has changed a second since the row before; nothing where that is long ago, or where a counter
/// began anew.
pub fn rates(before: Option<Moment>, now: &Moment) -> [Option<f64>; RATES.len()] {
    RATES.map(|(_, _, figure, factor)| {
        let before = before?;
        let passed = now.time - before.time;
        let grown = now.values[figure]?.checked_sub(before.values[figure]?)?;
        (1..=LOOKBACK * 1000).contains(&passed).then(|| grown as f64 * factor * 1e6 / passed as f64)
    })
}

pub fn schema() -> SchemaRef {
    let mut fields = vec![
        time_column("when the disk was read: each second for two minutes, before that each 15 s"),
        documented("node", DataType::Utf8, false, "the node"),
        documented("device", DataType::Utf8, false, "the disk, by its name in the kernel, such as sda"),
    ];
    let count = |name, about| documented(name, DataType::Int64, true, about);
    fields.extend(FIGURES.map(|figure| count(figure.name, figure.about)));
    let change = |name, about| documented(name, DataType::Float64, true, about);
    fields.extend(RATES.map(|(name, about, ..)| change(name, about)));
    Arc::new(Schema::new(fields))
}

/// Rows of a batch, by column.
pub struct Rows {
    time: TimestampMicrosecondBuilder,
    node: StringBuilder,
    device: StringBuilder,
    figures: [Int64Builder; FIGURES.len()],
    rates: [Float64Builder; RATES.len()],
    length: usize,
}

impl Rows {
    pub fn new() -> Self {
        Self {
            time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            node: StringBuilder::new(),
            device: StringBuilder::new(),
            figures: std::array::from_fn(|_| Int64Builder::new()),
            rates: std::array::from_fn(|_| Float64Builder::new()),
            length: 0,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.length
    }

    pub fn push(&mut self, node: &str, device: &str, now: &Moment, rates: [Option<f64>; RATES.len()]) {
        self.time.append_value(now.time);
        self.node.append_value(node);
        self.device.append_value(device);
        self.figures.iter_mut().zip(now.values).for_each(|(builder, value)| {
            builder.append_option(value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)))
        });
        self.rates.iter_mut().zip(rates).for_each(|(builder, value)| builder.append_option(value));
        self.length += 1;
    }

    pub fn finish(&mut self) -> Result<RecordBatch> {
        let mut done = std::mem::replace(self, Self::new());
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(done.time.finish()), Arc::new(done.node.finish()), Arc::new(done.device.finish())];
        columns.extend(done.figures.iter_mut().map(|values| Arc::new(values.finish()) as ArrayRef));
        columns.extend(done.rates.iter_mut().map(|values| Arc::new(values.finish()) as ArrayRef));
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}
