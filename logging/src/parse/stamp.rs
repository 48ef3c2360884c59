//! The time that a line of a plain log file begins with, in the forms that the
//! parts of a node write. What gives no zone is taken for UTC, what gives no year
//! for the year that is nearest to the present.
//!
//! ```text
//! 2026-01-31T12:00:00.123Z   2026-01-31 12:00:00,123   [2026-01-31 12:00:00.123]
//! I0131 12:00:00.123456      klog, glog
//! Jan 31 12:00:00            syslog (RFC 3164)
//! <13>1 2026-01-31T...       syslog (RFC 5424); the priority before any of these
//! time="2026-01-31T..."  ts=2026-01-31T...        logfmt
//! {"...","stageTimestamp":"2026-01-31T...",...}   JSON, by the field's name
//! ```

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// How far into a line a field is looked for.
const FIELDS: usize = 64 << 10;
/// Fields of JSON that hold a record's time; the first that is there counts.
const JSON: [&[u8]; 6] = [
    br#""stageTimestamp":""#,
    br#""@timestamp":""#,
    br#""timestamp":""#,
    br#""time":""#,
    br#""ts":""#,
    br#""requestReceivedTimestamp":""#,
];
const LOGFMT: [&[u8]; 4] = [b"time=", b"ts=", b"timestamp=", b"t="];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Nanoseconds since the epoch; `now` too.
pub fn stamp(line: &[u8], now: i64) -> Option<i64> {
    let line = without_priority(line);
    if line.first() == Some(&b'{') {
        let head = &line[..line.len().min(FIELDS)];
        return JSON.iter().find_map(|name| {
            let at = memchr::memmem::find(head, name)? + name.len();
            iso(&head[at..])
        });
    }
    if let Some(value) = LOGFMT.iter().find_map(|name| line.strip_prefix(*name)) {
        return iso(value.strip_prefix(b"\"").unwrap_or(value));
    }
    let bare = line.strip_prefix(b"[").unwrap_or(line);
    iso(bare).or_else(|| klog(line, now)).or_else(|| syslog(line, now))
}

/// Syslog's `<13>`, and the version of RFC 5424 behind it.
fn without_priority(line: &[u8]) -> &[u8] {
    let Some(rest) = line.strip_prefix(b"<") else { return line };
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(digits) {
        Some(b'>') if (1..=3).contains(&digits) => {
            let rest = &rest[digits + 1..];
            rest.strip_prefix(b"1 ").unwrap_or(rest)
        }
        _ => line,
    }
}

/// A date and a time in digits at the begin.
fn iso(text: &[u8]) -> Option<i64> {
    let length = text.iter().take(36).take_while(|byte| is_of_stamp(**byte)).count();
    let mut text = std::str::from_utf8(&text[..length]).ok()?.trim_end_matches([',', ':', ' ']).to_owned();
    let is_dated = text.len() >= 19 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    if !is_dated {
        return None;
    }
    // A word after the time, such as a process id, is none of it.
    let end = text[11..].find(' ').map_or(text.len(), |space| 11 + space);
    text.truncate(end);
    let text = text.replacen(',', ".", 1);
    if let Some(time) = crate::time::parse(&text) {
        return Some(time);
    }
    utc(text.parse().ok()?)
}

fn is_of_stamp(byte: u8) -> bool {
    byte.is_ascii_digit()
        || matches!(byte, b'-' | b':' | b'T' | b't' | b'Z' | b'z' | b' ' | b'.' | b',' | b'+')
}

/// `I0131 12:00:00.123456`
fn klog(line: &[u8], now: i64) -> Option<i64> {
    let (letter, rest) = line.split_first()?;
    if !b"IWEFD".contains(letter) || rest.len() < 13 || rest[4] != b' ' {
        return None;
    }
    let (month, day) = (number(&rest[..2])?, number(&rest[2..4])?);
    without_year(month, day, time_of_day(&rest[5..])?, now)
}

/// `Jan 31 12:00:00`, the day filled up with a space.
fn syslog(line: &[u8], now: i64) -> Option<i64> {
    if line.len() < 15 || line[3] != b' ' || line[6] != b' ' {
        return None;
    }
    let month = MONTHS.iter().position(|name| line.starts_with(*name))? + 1;
    let day = number(line[4..6].trim_ascii_start())?;
    without_year(i8::try_from(month).ok()?, day, time_of_day(&line[7..])?, now)
}

/// `12:00:00` with or without a fraction.
fn time_of_day(text: &[u8]) -> Option<jiff::civil::Time> {
    let length =
        text.iter().take(18).take_while(|byte| byte.is_ascii_digit() || b":.".contains(byte)).count();
    std::str::from_utf8(&text[..length]).ok()?.trim_end_matches(['.', ':']).parse().ok()
}

fn number(digits: &[u8]) -> Option<i8> {
    std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

/// On New Year's Eve the year is last year's, or next year's.
fn without_year(month: i8, day: i8, time: jiff::civil::Time, now: i64) -> Option<i64> {
    let year = Timestamp::from_nanosecond(i128::from(now)).ok()?.to_zoned(TimeZone::UTC).year();
    let candidates = [year - 1, year, year + 1].into_iter().filter_map(|year| {
        let date = jiff::civil::Date::new(year, month, day).ok()?;
        utc(date.to_datetime(time))
    });
    candidates.min_by_key(|time| time.abs_diff(now))
}

fn utc(time: DateTime) -> Option<i64> {
    let nanos = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond();
    i64::try_from(nanos).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-01-02T00:00:00Z";

    #[test]
    fn times_of_the_parts_of_a_node() {
        let now = crate::time::parse(NOW).expect("a time");
        for (line, expected) in [
            ("2026-01-31T12:00:00.123456Z  INFO tiphys: up", "2026-01-31T12:00:00.123456Z"),
            ("2026-01-31T12:00:00+01:00 up", "2026-01-31T11:00:00Z"),
            ("2026-01-31 12:00:00,123 ERROR gone", "2026-01-31T12:00:00.123Z"),
            ("2026-01-31 12:00:00 17 gone", "2026-01-31T12:00:00Z"),
            ("[2026-01-31 12:00:00.5] gone", "2026-01-31T12:00:00.5Z"),
            ("time=\"2026-01-31T12:00:00.5Z\" level=warning msg=x", "2026-01-31T12:00:00.5Z"),
            ("ts=2026-01-31T12:00:00Z msg=x", "2026-01-31T12:00:00Z"),
            ("I0101 12:00:00.123456       1 leader.go:1] won", "2026-01-01T12:00:00.123456Z"),
            ("E1231 23:59:59.9 1 a.go:1] late", "2025-12-31T23:59:59.9Z"),
            ("Jan  1 12:00:00 host su: x", "2026-01-01T12:00:00Z"),
            ("<34>Dec 31 12:00:00 host su: x", "2025-12-31T12:00:00Z"),
            ("<165>1 2026-01-31T22:14:15.003Z host app - ID47 - x", "2026-01-31T22:14:15.003Z"),
            (
                r#"{"kind":"Event","requestReceivedTimestamp":"2026-01-31T12:00:00.1Z","stageTimestamp":"2026-01-31T12:00:00.2Z"}"#,
                "2026-01-31T12:00:00.2Z",
            ),
            (r#"{"time":"2026-01-31T12:00:00Z","msg":"x"}"#, "2026-01-31T12:00:00Z"),
        ] {
            assert_eq!(stamp(line.as_bytes(), now), crate::time::parse(expected), "{line}");
        }
        for line in [
            "",
            "no time",
            "2026-01-31",
            "2026-13-41T99:00:00Z x",
            "{}",
            "I0101",
            "E9999 12:00:00.0 x",
            "Jan",
            "<34>",
            "12:00:00 x",
        ] {
            assert_eq!(stamp(line.as_bytes(), now), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in prop::collection::vec(any::<u8>(), 0..80), now in any::<i64>()) {
            stamp(&line, now);
        }

        #[test]
        fn no_time_of_digits_makes_it_panic(line in "[<\\[{IJE]?[0-9a-zT:. ,Z<>1-]{0,40}") {
            stamp(line.as_bytes(), 0);
        }
    }
}
