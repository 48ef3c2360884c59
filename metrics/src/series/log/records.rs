//! What stands in the log: definitions of series, and their samples, in columns.
//!
//! ```text
//! 4  definitions  kinds  series  times  values      each behind its length
//! ```
//!
//! A definition is a series' number (the change, zigzag varint), the length of its labels and
//! the labels; the number means the series for the rest of the segment. A kind is a byte a
//! sample: so many decimals, [`FLOAT`] or [`HISTOGRAM`]. Numbers of series and times are changes
//! to the sample before, values of decimals whole numbers, all zigzag varints. Neighbours look
//! alike, and apart from the values a column is mostly the same again, which a compressor sees.

use std::sync::Arc;

use super::{histogram, rows};
use crate::series::{
    Labels, Value,
    chunk::{Form, put_varint, take_varint, unzigzag, zigzag},
    decimal,
};

/// What the first byte says; those of [`rows`] are less.
const COLUMNS: u8 = 4;
const FLOAT: u8 = 254;
const HISTOGRAM: u8 = 255;
/// Samples for which room is made before they come: at least, and at most.
const FEW: usize = 8;
const MANY: usize = 16 * 1024;

/// Records of one append.
#[derive(Debug, Default)]
pub struct Records {
    definitions: Vec<u8>,
    kinds: Vec<u8>,
    series: Vec<u8>,
    times: Vec<u8>,
    values: Vec<u8>,
    defined: u32,
    last: u32,
    time: i64,
    newest: Option<i64>,
}

/// One record, read.
#[derive(Debug, PartialEq)]
pub enum Record {
    /// From here to the segment's end the number means the series.
    Series {
        number: u32,
        labels: Labels,
    },
    Sample {
        number: u32,
        time: i64,
        value: Value,
    },
    /// What stood here is lost: of what follows, the definitions may be.
    Lost,
}

impl Records {
    /// Has room for so many samples of the usual size, so that columns need not grow piece by piece.
    pub fn for_samples(count: usize) -> Self {
        let count = count.clamp(FEW, MANY);
        let (room, twice) = (|| Vec::with_capacity(count), || Vec::with_capacity(2 * count));
        Self { kinds: room(), series: twice(), times: room(), values: twice(), ..Self::default() }
    }

    pub fn define(&mut self, number: u32, labels: &Labels) {
        put_varint(&mut self.definitions, change(self.defined, number));
        self.defined = number;
        put_varint(&mut self.definitions, labels.as_bytes().len() as u64);
        self.definitions.extend_from_slice(labels.as_bytes());
    }

    /// Notes a sample; `form` is one that its number fits, if it is one.
    pub fn sample(&mut self, number: u32, time: i64, value: &Value, form: Form) {
        self.newest = self.newest.max(Some(time));
        put_varint(&mut self.series, change(self.last, number));
        self.last = number;
        put_varint(&mut self.times, zigzag(time.wrapping_sub(self.time)));
        self.time = time;
        let kind = match (value, form) {
            (Value::Histogram(one), _) => {
                histogram::write(&mut self.values, one);
                HISTOGRAM
            }
            (Value::Number(number), Form::Decimals(decimals)) => match decimal::whole(*number, decimals) {
                Some(whole) => {
                    put_varint(&mut self.values, zigzag(whole));
                    decimals
                }
                None => self.float(*number),
            },
            (Value::Number(number), Form::Float) => self.float(*number),
        };
        self.kinds.push(kind);
    }

    fn float(&mut self, number: f64) -> u8 {
        self.values.extend_from_slice(&number.to_bits().to_le_bytes());
        FLOAT
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.definitions.is_empty()
    }

    /// Puts the records' bytes behind what is there.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(COLUMNS);
        for column in [&self.definitions, &self.kinds, &self.series, &self.times, &self.values] {
            put_varint(out, column.len() as u64);
            out.extend_from_slice(column);
        }
    }

    /// How many bytes [`Records::write`] puts there, or some more.
    pub fn size(&self) -> usize {
        let columns = [&self.definitions, &self.kinds, &self.series, &self.times, &self.values];
        1 + columns.map(|column| column.len() + 10).iter().sum::<usize>()
    }

    /// How many samples they are.
    pub fn samples(&self) -> u64 {
        self.kinds.len() as u64
    }

    /// The time of the newest sample.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Reads records one after the other: definitions, then samples.
    ///
    /// # Errors
    /// They do not add up from some place on, and what stands before it was taken; a sentence.
    pub fn read(bytes: &[u8], take: impl FnMut(Record)) -> Result<(), &'static str> {
        match bytes.split_first() {
            Some((&COLUMNS, columns)) => read_columns(columns, take),
            _ => rows::read(bytes, take),
        }
    }
}

/// From one number of a series to the next.
fn change(from: u32, to: u32) -> u64 {
    zigzag(i64::from(to) - i64::from(from))
}

fn changed(from: u32, bytes: &mut &[u8]) -> Result<u32, &'static str> {
    let number = i64::from(from).wrapping_add(unzigzag(take_varint(bytes)));
    u32::try_from(number).map_err(|_| "a number of a series is none")
}

fn column<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    if bytes.is_empty() {
        return Err("a column is missing");
    }
    let length = usize::try_from(take_varint(bytes)).map_err(|_| "a column is too long")?;
    let (column, rest) = bytes.split_at_checked(length).ok_or("a column ends early")?;
    *bytes = rest;
    Ok(column)
}

fn read_columns(mut bytes: &[u8], mut take: impl FnMut(Record)) -> Result<(), &'static str> {
    let mut definitions = column(&mut bytes)?;
    let (kinds, mut series) = (column(&mut bytes)?, column(&mut bytes)?);
    let (mut times, mut values) = (column(&mut bytes)?, column(&mut bytes)?);
    let mut number = 0;
    while !definitions.is_empty() {
        number = changed(number, &mut definitions)?;
        let labels = Labels::from_bytes(column(&mut definitions)?).map_err(|_| "labels are wrong")?;
        take(Record::Series { number, labels });
    }
    let (mut number, mut time) = (0, 0i64);
    for kind in kinds {
        if series.is_empty() || times.is_empty() || values.is_empty() {
            return Err("a column is shorter than the others");
        }
        number = changed(number, &mut series)?;
        time = time.wrapping_add(unzigzag(take_varint(&mut times)));
        let value = match *kind {
            HISTOGRAM => {
                Value::Histogram(Arc::new(histogram::read(&mut values).ok_or("a histogram is wrong")?))
            }
            FLOAT => {
                let (eight, rest) = values.split_first_chunk::<8>().ok_or("a number ends early")?;
                values = rest;
                Value::Number(f64::from_bits(u64::from_le_bytes(*eight)))
            }
            decimals if decimals <= decimal::MOST_DECIMALS => {
                Value::Number(decimal::number(unzigzag(take_varint(&mut values)), decimals))
            }
            _ => return Err("a sample is of an unknown kind"),
        };
        take(Record::Sample { number, time, value });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Histogram, NAME, STALE};
    use proptest::prelude::*;

    #[test]
    fn records_come_back() {
        let labels = Labels::new([(NAME, "up"), ("a", "b")]);
        let histogram = Value::Histogram(Arc::new(Histogram { count: 4.0, ..Histogram::default() }));
        let numbers = [(1.0, Form::Decimals(0)), (0.1, Form::Decimals(3)), (-7.0, Form::Float)];
        let values = numbers.map(|(number, form)| (Value::Number(number), form)).into_iter();
        let samples: Vec<_> =
            values.chain([(histogram, Form::Float)]).enumerate().map(|(n, one)| (n as u32, one)).collect();
        let mut records = Records::default();
        for (n, (value, form)) in &samples {
            records.sample(*n, 1_000 - i64::from(*n), value, *form);
        }
        records.define(3, &labels);
        records.define(1, &labels);
        // A form that does not fit loses nothing.
        records.sample(9, 5, &Value::Number(0.5), Form::Decimals(0));
        records.sample(9, 6, &Value::Number(STALE), Form::Decimals(0));
        assert_eq!((records.newest(), records.samples()), (Some(1_000), 6));
        let mut bytes = Vec::new();
        records.write(&mut bytes);
        assert!(bytes.len() <= records.size());
        let mut found = Vec::new();
        Records::read(&bytes, |record| found.push(record)).expect("sound");
        let stale = found.pop().expect("the last");
        assert!(matches!(stale, Record::Sample { number: 9, time: 6, value } if value.is_stale()));
        let mut expected =
            vec![Record::Series { number: 3, labels: labels.clone() }, Record::Series { number: 1, labels }];
        let sample = |(number, (value, _)): (u32, (Value, Form))| Record::Sample {
            number,
            time: 1_000 - i64::from(number),
            value,
        };
        expected.extend(samples.into_iter().map(sample));
        expected.push(Record::Sample { number: 9, time: 5, value: Value::Number(0.5) });
        assert_eq!(found, expected);
        for cut in 1..bytes.len() {
            assert!(Records::read(&bytes[..cut], |_| {}).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 0u8..6) {
            let bytes: Vec<_> = std::iter::once(tag).chain(bytes).collect();
            let _ = Records::read(&bytes, |_| {});
        }
    }
}
