//! What stands in the log: definitions of series, and their samples.
//!
//! ```text
//! 0  slot  length labels           a series; its slot means it from here on
//! 1  slot  time  number            a whole one
//! 2  slot  time  number            eight bytes
//! 3  slot  time  histogram
//! ```
//!
//! Slots and times are changes to the record before: neighbours look alike, and a compressor
//! sees that.

use std::sync::Arc;

use super::histogram;
use crate::series::{
    Labels, Value,
    chunk::{put_varint, take_varint, unzigzag, zigzag},
    decimal,
};

const SERIES: u8 = 0;
const WHOLE: u8 = 1;
const FLOAT: u8 = 2;
const HISTOGRAM: u8 = 3;

/// Records in the order in which things were taken.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    slot: u32,
    time: i64,
    newest: Option<i64>,
}

/// One record, read.
#[derive(Debug, PartialEq)]
pub enum Record {
    Series { slot: u32, labels: Labels },
    Sample { slot: u32, time: i64, value: Value },
}

impl Records {
    pub fn define(&mut self, slot: u32, labels: &Labels) {
        self.bytes.push(SERIES);
        self.put_slot(slot);
        put_varint(&mut self.bytes, labels.as_bytes().len() as u64);
        self.bytes.extend_from_slice(labels.as_bytes());
    }

    fn put_slot(&mut self, slot: u32) {
        put_varint(&mut self.bytes, zigzag(i64::from(slot) - i64::from(self.slot)));
        self.slot = slot;
    }

    pub fn sample(&mut self, slot: u32, time: i64, value: &Value) {
        self.newest = self.newest.max(Some(time));
        // Only whole numbers are short; a decimal one takes its eight bytes.
        let whole = value.number().and_then(|number| decimal::whole(number, 0));
        self.bytes.push(match (value, whole) {
            (Value::Histogram(_), _) => HISTOGRAM,
            (_, Some(_)) => WHOLE,
            (_, None) => FLOAT,
        });
        self.put_slot(slot);
        put_varint(&mut self.bytes, zigzag(time.wrapping_sub(self.time)));
        self.time = time;
        match (value, whole) {
            (Value::Histogram(one), _) => histogram::write(&mut self.bytes, one),
            (_, Some(whole)) => put_varint(&mut self.bytes, zigzag(whole)),
            (Value::Number(number), None) => self.bytes.extend_from_slice(&number.to_bits().to_le_bytes()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The time of the newest sample.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Reads records one after the other.
    ///
    /// # Errors
    /// They do not add up; a sentence.
    pub fn read(mut bytes: &[u8], mut take: impl FnMut(Record)) -> Result<(), &'static str> {
        let (mut last_slot, mut last) = (0i64, 0i64);
        while let Some((tag, rest)) = bytes.split_first() {
            bytes = rest;
            last_slot = last_slot.wrapping_add(unzigzag(take_varint(&mut bytes)));
            let slot = u32::try_from(last_slot).map_err(|_| "a slot is none")?;
            if *tag == SERIES {
                let length = usize::try_from(take_varint(&mut bytes)).map_err(|_| "labels are too long")?;
                let (labels, rest) = bytes.split_at_checked(length).ok_or("labels end early")?;
                bytes = rest;
                take(Record::Series {
                    slot,
                    labels: Labels::from_bytes(labels).map_err(|_| "labels are wrong")?,
                });
                continue;
            }
            let time = last.wrapping_add(unzigzag(take_varint(&mut bytes)));
            last = time;
            let value = match *tag {
                WHOLE => Value::Number(decimal::number(unzigzag(take_varint(&mut bytes)), 0)),
                FLOAT => {
                    let (eight, rest) = bytes.split_first_chunk::<8>().ok_or("a number ends early")?;
                    bytes = rest;
                    Value::Number(f64::from_bits(u64::from_le_bytes(*eight)))
                }
                HISTOGRAM => {
                    Value::Histogram(Arc::new(histogram::read(&mut bytes).ok_or("a histogram is wrong")?))
                }
                _ => return Err("a record is of an unknown kind"),
            };
            take(Record::Sample { slot, time, value });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Histogram, NAME, STALE};

    #[test]
    fn records_come_back() {
        let labels = Labels::new([(NAME, "up"), ("a", "b")]);
        let histogram = Value::Histogram(Arc::new(Histogram { count: 4.0, ..Histogram::default() }));
        let values = [1.0, 0.1, -7.0, f64::INFINITY].map(Value::Number).into_iter().chain([histogram]);
        let samples: Vec<_> =
            values.enumerate().map(|(n, value)| (n as u32, 1_000 - n as i64, value)).collect();
        let mut records = Records::default();
        records.define(3, &labels);
        samples.iter().for_each(|(slot, time, value)| records.sample(*slot, *time, value));
        records.sample(9, 5, &Value::Number(STALE));
        assert_eq!(records.newest(), Some(1_000));
        let mut found = Vec::new();
        Records::read(records.as_bytes(), |record| found.push(record)).expect("sound");
        let stale = found.pop().expect("the last");
        assert!(matches!(stale, Record::Sample { slot: 9, time: 5, value } if value.is_stale()));
        let mut expected = vec![Record::Series { slot: 3, labels }];
        expected.extend(samples.into_iter().map(|(slot, time, value)| Record::Sample { slot, time, value }));
        assert_eq!(found, expected);
        let cut = &records.as_bytes()[..records.as_bytes().len() - 1];
        assert!(Records::read(&[7, 1, 1], |_| {}).is_err() && Records::read(&cut[..4], |_| {}).is_err());
    }
}
