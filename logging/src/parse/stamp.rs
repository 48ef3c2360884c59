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
//! 2026/01/31 12:00:00        nginx's errors, Go
//! [Sat Jan 31 12:00:00.123456 2026]                Apache's errors
//! 10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "...   access logs
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
/// How far into a line of an access log its time begins.
const CLIENT: usize = 512;
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
    let dated = iso(bare).or_else(|| klog(line, now)).or_else(|| syslog(line, now));
    dated.or_else(|| slashed(bare)).or_else(|| apache(line)).or_else(|| access(line))
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

/// `2026/01/31 12:00:00`
fn slashed(text: &[u8]) -> Option<i64> {
    let date = text.get(..11)?;
    if date[4] != b'/' || date[7] != b'/' || date[10] != b' ' {
        return None;
    }
    at(year(&date[..4])?, number(&date[5..7])?, number(&date[8..10])?, time_of_day(&text[11..])?)
}

/// `[Sat Jan 31 12:00:00.123456 2026]`
fn apache(line: &[u8]) -> Option<i64> {
    let text = line.strip_prefix(b"[")?;
    let end = text.iter().take(40).position(|byte| *byte == b']')?;
    let mut words = text[..end].split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let day_of_week = words.next()?;
    let (month, day, clock, of) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_whole = day_of_week.len() == 3 && clock.len() >= 8 && words.next().is_none();
    is_whole.then(|| at(year(of)?, month_of(month)?, number(day)?, time_of_day(clock)?)).flatten()
}

/// `10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "`, with a host before it or not.
fn access(line: &[u8]) -> Option<i64> {
    let quote = memchr::memchr(b'"', &line[..line.len().min(CLIENT)])?;
    let before = line[..quote].strip_suffix(b"] ")?;
    let open = before.iter().rposition(|byte| *byte == b'[')?;
    let (client, time) = (&before[..open], &before[open + 1..]);
    // Client, identity and user.
    let is_client = client.ends_with(b" ") && client.iter().filter(|byte| **byte == b' ').count() >= 3;
    let date = time.get(..12).filter(|date| is_client && date[2] == b'/' && date[6] == b'/')?;
    let (clock, zone) = time[12..].split_at_checked(8)?;
    if !matches!(date[11], b':' | b' ') {
        return None;
    }
    let local = at(year(&date[7..11])?, month_of(&date[3..6])?, number(&date[..2])?, time_of_day(clock)?)?;
    local.checked_sub(offset(zone)?)
}

/// Nanoseconds that ` +0100` is ahead of UTC; nothing is UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, digits) = match zone {
        [] => return Some(0),
        [b' ', b'+', digits @ ..] => (1, digits),
        [b' ', b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (hours, minutes) = (number(&digits[..2])?, number(&digits[2..])?);
    Some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60) * crate::time::SECOND)
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

fn year(digits: &[u8]) -> Option<i16> {
    let is_year = digits.len() == 4 && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_year)?.parse().ok()
}

fn month_of(name: &[u8]) -> Option<i8> {
    let at = MONTHS.iter().position(|month| month.as_slice() == name)?;
    i8::try_from(at + 1).ok()
}

fn at(year: i16, month: i8, day: i8, time: jiff::civil::Time) -> Option<i64> {
    utc(jiff::civil::Date::new(year, month, day).ok()?.to_datetime(time))
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
            ("2026/01/31 12:00:00 [error] 7#7: *1 open() failed", "2026-01-31T12:00:00Z"),
            ("2026/01/31 12:00:00.123456 main.go:5: gone", "2026-01-31T12:00:00.123456Z"),
            ("[Sat Jan 31 12:00:00.123456 2026] [core:error] [pid 1] x", "2026-01-31T12:00:00.123456Z"),
            ("[Sun Feb  1 12:00:00 2026] [error] x", "2026-02-01T12:00:00Z"),
            (r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5"#, "2026-01-31T12:00:00Z"),
            (r#"::1 - bob [31/Jan/2026:12:00:00 +0130] "GET /" 200 5"#, "2026-01-31T10:30:00Z"),
            (r#"a.example:80 ::1 - a b [31/Jan/2026:12:00:00 -0800] "-" 400 0"#, "2026-01-31T20:00:00Z"),
            (r#"127.0.0.1 - - [31/Jan/2026 12:00:00] "GET / HTTP/1.1" 200 -"#, "2026-01-31T12:00:00Z"),
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
            "2026/01/31",
            "2026/13/31 12:00:00 x",
            "2026/01/31 noon",
            "[Sat Jan 31 12:00:00 2026 x",
            "[Sat Jan 31 12:00:00]",
            "[Sat Jan 31 12:00:00 2026 x]",
            "[main] x",
            r#"said [31/Jan/2026:12:00:00 +0000] "hello""#,
            "10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] no request",
            r#"10.0.0.1 - - [31/Foo/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5"#,
            r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +00] "GET / HTTP/1.1" 200 5"#,
            r#"10.0.0.1 - - [x] "GET / HTTP/1.1" 200 5"#,
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

        #[test]
        fn no_time_of_a_server_makes_it_panic(
            line in "(- - - |\\[Sat )?\\[?[0-9]{1,4}[/ ](Jan|[0-9]{2})[/ ][0-9]{2,4}[: ][0-9:.]{0,12} ?[+-]?[0-9]{0,4}\\]? ?\"?",
        ) {
            stamp(line.as_bytes(), 0);
        }
    }
}
