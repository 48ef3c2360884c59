//! Parts of dates, in UTC.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::super::{
    column::{ABSENT, Column},
    grid::Grid,
};
use crate::series::Labels;

/// A part of the date at a number of seconds since the Unix epoch; NaN beyond the years
/// -9999 to 9999.
pub fn of_seconds(seconds: f64, part: fn(i64) -> f64) -> f64 {
    if seconds.is_nan() { f64::NAN } else { part(seconds.trunc() as i64) }
}

/// The same of each step's time.
pub fn of_steps(grid: Grid, part: fn(i64) -> f64) -> Column {
    let numbers = grid.times().map(|time| part(time.div_euclid(1000))).collect();
    Column::of_numbers(Labels::default(), numbers)
}

/// The step's time, seconds, wherever there is a value.
pub fn evaluated_at(column: &Column, grid: Grid) -> Column {
    let time = |step: usize| if column.has(step) { grid.time(step) as f64 / 1000.0 } else { ABSENT };
    Column::of_numbers(column.labels.clone(), (0..grid.steps).map(time).collect())
}

fn date(seconds: i64) -> Option<DateTime> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).ok()?))
}

fn part(seconds: i64, of: impl Fn(DateTime) -> i16) -> f64 {
    date(seconds).map_or(f64::NAN, |date| f64::from(of(date)))
}

pub fn minute(seconds: i64) -> f64 {
    part(seconds, |date| i16::from(date.minute()))
}

pub fn hour(seconds: i64) -> f64 {
    part(seconds, |date| i16::from(date.hour()))
}

/// 0 is Sunday.
pub fn day_of_week(seconds: i64) -> f64 {
    part(seconds, |date| i16::from(date.weekday().to_sunday_zero_offset()))
}

pub fn day_of_month(seconds: i64) -> f64 {
    part(seconds, |date| i16::from(date.day()))
}

pub fn day_of_year(seconds: i64) -> f64 {
    part(seconds, DateTime::day_of_year)
}

pub fn days_in_month(seconds: i64) -> f64 {
    part(seconds, |date| i16::from(date.days_in_month()))
}

pub fn month(seconds: i64) -> f64 {
    part(seconds, |date| i16::from(date.month()))
}

pub fn year(seconds: i64) -> f64 {
    part(seconds, DateTime::year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_date() {
        // Thursday, 29 February 2024, 23:59:59.
        let leap = 1_709_251_199;
        let parts = [minute, hour, day_of_week, day_of_month, day_of_year, days_in_month, month, year];
        let of = |seconds: i64| parts.map(|part| part(seconds));
        assert_eq!(of(leap), [59.0, 23.0, 4.0, 29.0, 60.0, 29.0, 2.0, 2024.0]);
        assert_eq!(of(-1), [59.0, 23.0, 3.0, 31.0, 365.0, 31.0, 12.0, 1969.0]);
        assert!(of_seconds(f64::NAN, year).is_nan() && of_seconds(1e18, year).is_nan());
    }
}
