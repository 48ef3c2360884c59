//! Times and spans.

use chrono::{DateTime, Datelike, Duration, FixedOffset, Offset, Timelike};
use chrono_tz::Tz;
use kube_cel::cel::Value;

use super::Table;
use crate::cel::{evaluate::Outcome, fault::Fault, meter::Meter};

/// The seconds of the first and of the last time that there is: the years 1 and 9999.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

pub const FUNCTIONS: Table = &[
    ("getFullYear", |args, _| part(args, |time| time.year().into())),
    ("getMonth", |args, _| part(args, |time| time.month0().into())),
    ("getDayOfYear", |args, _| part(args, |time| time.ordinal0().into())),
    ("getDayOfMonth", |args, _| part(args, |time| time.day0().into())),
    ("getDate", |args, _| part(args, |time| time.day().into())),
    ("getDayOfWeek", |args, _| part(args, |time| time.weekday().num_days_from_sunday().into())),
    ("getHours", |args, _| either(args, |time| time.hour().into(), |span| span.num_hours())),
    ("getMinutes", |args, _| either(args, |time| time.minute().into(), |span| span.num_minutes())),
    ("getSeconds", |args, _| either(args, |time| time.second().into(), |span| span.num_seconds())),
    ("getMilliseconds", |args, _| {
        either(args, |time| time.timestamp_subsec_millis().into(), |span| span.num_milliseconds())
    }),
    ("timestamp", timestamp),
    ("duration", duration),
];

/// A time that is one.
///
/// # Errors
/// It is beyond the years that there are.
pub fn checked(time: Option<DateTime<FixedOffset>>) -> Outcome {
    let fits = time.filter(|time| (FIRST..=LAST).contains(&time.timestamp()));
    fits.map(Value::Timestamp).ok_or_else(|| Fault::told("timestamp overflow"))
}

fn part(args: &[Value], of: fn(&DateTime<FixedOffset>) -> i64) -> Outcome {
    let (time, zone) = match args {
        [Value::Timestamp(time)] => (time, "UTC"),
        [Value::Timestamp(time), Value::String(zone)] => (time, zone.as_str()),
        _ => return Err(Fault::overload()),
    };
    let offset = offset(time, zone).ok_or_else(|| Fault::told(format!("unknown time zone {zone}")))?;
    Ok(Value::Int(of(&time.with_timezone(&offset))))
}

/// `UTC`, `Europe/Paris`, `-08:00`
fn offset(time: &DateTime<FixedOffset>, zone: &str) -> Option<FixedOffset> {
    match zone {
        "" | "UTC" => FixedOffset::east_opt(0),
        _ => numeric(zone).and_then(FixedOffset::east_opt).or_else(|| {
            let zone: Tz = zone.parse().ok()?;
            Some(time.with_timezone(&zone).offset().fix())
        }),
    }
}

fn numeric(zone: &str) -> Option<i32> {
    let (hours, minutes) = zone.split_once(':')?;
    let (sign, hours) = match hours.strip_prefix('-') {
        Some(hours) => (-1, hours),
        None => (1, hours.strip_prefix('+').unwrap_or(hours)),
    };
    let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then(|| sign * (hours * 3600 + minutes * 60))
}

fn either(
    args: &[Value],
    of_time: fn(&DateTime<FixedOffset>) -> i64,
    of_span: fn(&Duration) -> i64,
) -> Outcome {
    match args {
        [Value::Duration(span)] => Ok(Value::Int(of_span(span))),
        _ => part(args, of_time),
    }
}

fn timestamp(args: &[Value], meter: &mut Meter) -> Outcome {
    match args {
        [time @ Value::Timestamp(_)] => Ok(time.clone()),
        [Value::Int(seconds)] => {
            checked(DateTime::from_timestamp(*seconds, 0).map(|time| time.fixed_offset()))
        }
        [Value::String(text)] => {
            meter.bytes(text.len())?;
            let time = DateTime::parse_from_rfc3339(text);
            checked(Some(time.map_err(|_| unfit("google.protobuf.Timestamp"))?))
        }
        _ => Err(Fault::overload()),
    }
}

fn unfit(wanted: &str) -> Fault {
    Fault::told(format!("type conversion error from 'string' to '{wanted}'"))
}

fn duration(args: &[Value], meter: &mut Meter) -> Outcome {
    match args {
        [span @ Value::Duration(_)] => Ok(span.clone()),
        [Value::Int(nanoseconds)] => Ok(Value::Duration(Duration::nanoseconds(*nanoseconds))),
        [Value::String(text)] => {
            meter.bytes(text.len())?;
            let nanoseconds = nanoseconds(text).ok_or_else(|| unfit("google.protobuf.Duration"))?;
            Ok(Value::Duration(Duration::nanoseconds(nanoseconds)))
        }
        _ => Err(Fault::overload()),
    }
}

/// `1h30m`, `-1.5s`, `0`
fn nanoseconds(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0_i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 19 || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let fraction = &fraction[..fraction.len().min(18)];
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        sum += whole * unit + part * unit / 10_i128.pow(fraction.len() as u32);
        rest = after;
    }
    i64::try_from(sum * sign).ok()
}
