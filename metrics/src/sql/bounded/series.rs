//! How many elements `range` and `generate_series` make of a row where they make a list. Those that
//! stand where a table does give rows as they are asked for, and need no bound.

use std::ops::Range;

use datafusion::{
    arrow::{
        array::{Array, AsArray},
        datatypes::{
            DataType, Date32Type, Date64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
            TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
        },
    },
    common::{DataFusionError, Result},
};

use super::arg::{Arg, integer};

/// Bytes of an element.
const ELEMENT: u64 = 8;
const DAY: i128 = 86_400_000_000_000;
/// A day may be shorter by the hours that a clock is put on.
const SHORTEST_DAY: i128 = DAY * 22 / 24;
const SHORTEST_MONTH: i128 = 28;

/// `range(start, stop, step)`, of numbers, dates and times.
pub fn listed(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let mut bytes = 0_u64;
    for row in rows {
        let elements = match args {
            [stop] => place(stop, row).map(|stop| steps(0, stop, 1)),
            [start, stop] => match (place(start, row), place(stop, row)) {
                (Some(start), Some(stop)) => Some(steps(start, stop, 1)),
                _ => None,
            },
            [start, stop, step] => match (place(start, row), place(stop, row), shortest(step, row)?) {
                (Some(start), Some(stop), Some(step)) => Some(steps(start, stop, step)),
                _ => None,
            },
            _ => None,
        };
        bytes = bytes.saturating_add(elements.unwrap_or(0).saturating_mul(ELEMENT));
    }
    Ok(bytes)
}

/// Elements from a start to a stop, which may be one of them. A step of nothing is refused by the
/// function itself.
fn steps(start: i128, stop: i128, step: i128) -> u64 {
    let way = if step < 0 { start - stop } else { stop - start };
    match step.unsigned_abs() {
        0 => 0,
        _ if way < 0 => 0,
        step => u64::try_from(way.unsigned_abs() / step + 1).unwrap_or(u64::MAX),
    }
}

/// A start or a stop: a number, or a time in nanoseconds; none where it is null.
fn place(arg: &Arg, row: usize) -> Option<i128> {
    let (array, at) = (arg.array(), arg.place(row));
    if array.is_null(at) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Date32 => i128::from(array.as_primitive::<Date32Type>().value(at)) * DAY,
        DataType::Date64 => i128::from(array.as_primitive::<Date64Type>().value(at)) * 1_000_000,
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => {
                i128::from(array.as_primitive::<TimestampSecondType>().value(at)) * 1_000_000_000
            }
            TimeUnit::Millisecond => {
                i128::from(array.as_primitive::<TimestampMillisecondType>().value(at)) * 1_000_000
            }
            TimeUnit::Microsecond => {
                i128::from(array.as_primitive::<TimestampMicrosecondType>().value(at)) * 1000
            }
            TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(at).into(),
        },
        _ => return integer(array, at),
    })
}

/// The shortest that a step may be: months and days differ.
fn shortest(arg: &Arg, row: usize) -> Result<Option<i128>> {
    let (array, at) = (arg.array(), arg.place(row));
    if array.is_null(at) {
        return Ok(None);
    }
    if *array.data_type() != DataType::Interval(IntervalUnit::MonthDayNano) {
        return Ok(integer(array, at));
    }
    let step = array.as_primitive::<IntervalMonthDayNanoType>().value(at);
    let parts = [i128::from(step.months), i128::from(step.days), i128::from(step.nanoseconds)];
    if parts.iter().any(|part| *part < 0) && parts.iter().any(|part| *part > 0) {
        // A month less thirty days may be nothing: such a series has no end.
        let said = "the months, days and hours of a series' step go one way: all of them ahead, or all back";
        return Err(DataFusionError::Plan(said.to_owned()));
    }
    let [months, days, nanoseconds] = parts;
    Ok(Some((months * SHORTEST_MONTH + days) * SHORTEST_DAY + nanoseconds))
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::datatypes::IntervalMonthDayNano, common::ScalarValue, logical_expr::ColumnarValue,
    };

    use super::*;

    fn elements(args: &[ScalarValue]) -> Result<u64> {
        let arg = |value: &ScalarValue| Arg::of(&ColumnarValue::Scalar(value.clone())).expect("a value");
        let args: Vec<Arg> = args.iter().map(arg).collect();
        listed(&args, 0..1).map(|bytes| bytes / ELEMENT)
    }

    fn number(value: i64) -> ScalarValue {
        ScalarValue::Int64(Some(value))
    }

    fn step(months: i32, days: i32, hours: i64) -> ScalarValue {
        let nanoseconds = hours * 3_600_000_000_000;
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days, nanoseconds }))
    }

    #[test]
    fn series_of_numbers() {
        let table: [(&[i64], u64); 8] = [
            (&[10], 11),
            (&[-10], 0),
            (&[1, 10], 10),
            (&[1, 10, 3], 4),
            (&[10, 1, -3], 4),
            (&[1, 10, -1], 0),
            (&[1, 10, 0], 0),
            (&[i64::MIN, i64::MAX, 1], u64::MAX),
        ];
        for (args, expected) in table {
            let args: Vec<ScalarValue> = args.iter().copied().map(number).collect();
            assert_eq!(elements(&args).expect("numbers"), expected.min(u64::MAX / ELEMENT), "{args:?}");
        }
        assert_eq!(elements(&[number(1), ScalarValue::Int64(None)]).expect("a null"), 0);
    }

    #[test]
    fn series_of_dates_and_times_are_no_longer_than_told() {
        let day = |value| ScalarValue::Date32(Some(value));
        let found = elements(&[day(0), day(366), step(1, 0, 0)]).expect("months");
        assert!((13..=16).contains(&found), "{found}");
        let found = elements(&[day(366), day(0), step(0, -1, 0)]).expect("days");
        assert!((367..=401).contains(&found), "{found}");
        let time = |seconds: i64| ScalarValue::TimestampMicrosecond(Some(seconds * 1_000_000), None);
        assert_eq!(elements(&[time(0), time(86_400), step(0, 0, 1)]).expect("hours"), 25);
        let nanosecond = ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano {
            months: 0,
            days: 0,
            nanoseconds: 1,
        }));
        assert_eq!(elements(&[time(0), time(3600), nanosecond]).expect("many"), 3_600_000_000_001);
    }

    #[test]
    fn abuse_35_a_step_that_goes_both_ways_is_refused() {
        let day = |value| ScalarValue::Date32(Some(value));
        for step in [step(1, -30, 0), step(-1, 31, 0), step(0, 1, -24)] {
            let refused = elements(&[day(0), day(366), step]).expect_err("endless").to_string();
            assert!(refused.contains("go one way"), "{refused}");
        }
    }
}
