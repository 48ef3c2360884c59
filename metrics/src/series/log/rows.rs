//! Records as logs had them before they stood in columns: row by row. They are read only.
//!
//! ```text
//! 0  number  length labels         a series; its number means it from here on
//! 1  number  time  value           a whole one
//! 2  number  time  value           eight bytes
//! 3  number  time  histogram
//! ```
//!
//! Numbers of series and times are changes to the record before.

use std::sync::Arc;

use super::{Record, histogram};
use crate::series::{
    Labels, Value,
    chunk::{take_varint, unzigzag},
    decimal,
};

const SERIES: u8 = 0;
const WHOLE: u8 = 1;
const FLOAT: u8 = 2;
const HISTOGRAM: u8 = 3;

/// Reads records one after the other.
///
/// # Errors
/// They do not add up; a sentence.
pub fn read(mut bytes: &[u8], mut take: impl FnMut(Record)) -> Result<(), &'static str> {
    let (mut series, mut last) = (0i64, 0i64);
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        series = series.wrapping_add(unzigzag(take_varint(&mut bytes)));
        let number = u32::try_from(series).map_err(|_| "a number of a series is none")?;
        if *tag == SERIES {
            let length = usize::try_from(take_varint(&mut bytes)).map_err(|_| "labels are too long")?;
            let (labels, rest) = bytes.split_at_checked(length).ok_or("labels end early")?;
            bytes = rest;
            let labels = Labels::from_bytes(labels).map_err(|_| "labels are wrong")?;
            take(Record::Series { number, labels });
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
        take(Record::Sample { number, time, value });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{NAME, log::Records};

    #[test]
    fn a_log_of_rows_is_read() {
        let labels = Labels::new([(NAME, "up"), ("a", "b")]);
        let mut bytes = vec![SERIES, 6, labels.as_bytes().len() as u8];
        bytes.extend_from_slice(labels.as_bytes());
        // The same series: 1 at the time 5; 0.25 at 8; another two on, -2 at 7.
        bytes.extend([WHOLE, 0, 10, 2, FLOAT, 0, 6]);
        bytes.extend(0.25f64.to_le_bytes());
        bytes.extend([WHOLE, 4, 1, 3]);
        let mut found = Vec::new();
        Records::read(&bytes, |record| found.push(record)).expect("sound");
        let sample = |number, time, value| Record::Sample { number, time, value: Value::Number(value) };
        let expected =
            [Record::Series { number: 3, labels }, sample(3, 5, 1.0), sample(3, 8, 0.25), sample(5, 7, -2.0)];
        assert_eq!(found, expected);
        assert!(Records::read(&[], |_| {}).is_ok() && Records::read(&bytes[..4], |_| {}).is_err());
        assert!(Records::read(&[7, 1, 1], |_| {}).is_err());
    }
}
