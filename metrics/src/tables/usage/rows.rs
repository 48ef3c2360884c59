//! Rows of a usage table, by column: those that are asked for, and no others.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{
            ArrayRef, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
            TimestampMicrosecondBuilder,
        },
        datatypes::SchemaRef,
    },
    common::Result,
};

use super::{absent::Zero, name_in};
use crate::{
    figures::{FIGURES, Figure, Kind},
    memory::{Point, SeriesKey},
};

/// What is known of one moment of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    pub point: Point,
    /// A bit for each figure that is known, by its place in the list of figures.
    pub known: u64,
}

impl Row {
    /// All of it.
    pub fn whole(point: Point) -> Self {
        Self { point, known: u64::MAX }
    }

    /// What a figure is at its place in the list of figures. Absent: it isn't known, or there is none.
    fn value(&self, place: usize, figure: &Figure, zero: Zero) -> Option<u64> {
        let is_known = self.known >> place & 1 == 1;
        let value = is_known.then(|| (figure.value)(&self.point.usage));
        value.filter(|value| !zero.is_absent(*value, &self.point.usage))
    }
}

/// A column that is being built.
enum Column {
    Time(TimestampMicrosecondBuilder),
    Name(String, StringBuilder),
    Rate(usize, &'static Figure, Zero, f64, Float64Builder),
    Value(usize, &'static Figure, Zero, Int64Builder),
}

impl Column {
    fn named(name: &str) -> Self {
        let is = |figure: &Figure| figure.name == name || figure.rate_name() == Some(name);
        let Some(place) = FIGURES.iter().position(is) else {
            return match name {
                "time" => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
                _ => Self::Name(name.to_owned(), StringBuilder::new()),
            };
        };
        let figure = &FIGURES[place];
        let zero = Zero::of(figure.name);
        match figure.kind {
            Kind::Counter { rate, scale, .. } if rate == name => {
                Self::Rate(place, figure, zero, scale, Float64Builder::new())
            }
            _ => Self::Value(place, figure, zero, Int64Builder::new()),
        }
    }

    fn push(&mut self, key: &SeriesKey, row: &Row, rate: &impl Fn(usize, &Figure) -> Option<f64>) {
        match self {
            Self::Time(times) => times.append_value(row.point.time),
            Self::Name(name, names) => names.append_value(name_in(key, name)),
            Self::Rate(place, figure, zero, scale, rates) => {
                let value = row.value(*place, figure, *zero);
                let rate = value.and_then(|_| rate(*place, figure));
                rates.append_option(rate.map(|rate| rate * *scale));
            }
            Self::Value(place, figure, zero, values) => {
                let value = row.value(*place, figure, *zero);
                values.append_option(value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)));
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Time(times) => {
                let finished = times.finish();
                *times = TimestampMicrosecondBuilder::new().with_timezone("UTC");
                Arc::new(finished)
            }
            Self::Name(_, names) => Arc::new(names.finish()),
            Self::Rate(_, _, _, _, rates) => Arc::new(rates.finish()),
            Self::Value(_, _, _, values) => Arc::new(values.finish()),
        }
    }
}

/// The rows of a batch.
pub struct Rows {
    asked: SchemaRef,
    columns: Vec<Column>,
    length: usize,
}

impl Rows {
    pub fn new(asked: SchemaRef) -> Self {
        let columns = asked.fields().iter().map(|field| Column::named(field.name())).collect();
        Self { asked, columns, length: 0 }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// Adds a row. `rate` tells how fast a counter grew up to it, units a second, by its place in the
    /// list of figures.
    pub fn push(&mut self, key: &SeriesKey, row: &Row, rate: impl Fn(usize, &Figure) -> Option<f64>) {
        self.columns.iter_mut().for_each(|column| column.push(key, row, &rate));
        self.length += 1;
    }

    /// The batch; the next one begins.
    ///
    /// # Errors
    /// None in practice: the columns are made from the schema.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        // Without a column, the count is all that the batch says.
        let options = RecordBatchOptions::new().with_row_count(Some(self.length));
        self.length = 0;
        Ok(RecordBatch::try_new_with_options(self.asked.clone(), columns, &options)?)
    }
}
