//! Times of records: nanoseconds since the Unix epoch in an i64, RFC 3339 in
//! answers, spans back from now in requests. Years outside 1677..2262 don't fit
//! and are clamped: such a record is still found, at the edge.

use jiff::Timestamp;

use crate::block::template::times;

/// A second in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// The present.
pub fn now() -> i64 {
    clamp(Timestamp::now())
}

/// RFC 3339, any offset.
pub fn parse(text: &str) -> Option<i64> {
    // What container runtimes write.
    if let Some(time) = times::of_utc(text.as_bytes()) {
        return Some(time);
    }
    // The very last day of the year 9999 is beyond jiff's range, and far beyond ours.
    let text = match text.strip_prefix("9999-") {
        Some(rest) => &format!("9998-{rest}"),
        None => text,
    };
    text.parse().ok().map(clamp)
}

/// RFC 3339 in UTC with nine decimals, so that texts sort as times do.
pub fn format(time: i64) -> String {
    match Timestamp::from_nanosecond(i128::from(time)) {
        Ok(time) => format!("{time:.9}"),
        // All of i64 lies within jiff's range; this line is for the type only.
        Err(_) => time.to_string(),
    }
}

fn clamp(time: Timestamp) -> i64 {
    let nanos = time.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// The text is neither a time nor a span.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{text}` is no time: write `{field}` as RFC 3339 (2026-01-31T12:00:00Z) or as a span back from now (30s, 15m, 2h, 7d)"
)]
pub struct BadTime {
    text: String,
    field: &'static str,
}

/// RFC 3339, or a span back from `now` such as `90s`, `15m`, `1h30m`, `7d`; `now` itself as `now`.
/// `field` names the parameter in the error.
pub fn resolve(text: &str, now: i64, field: &'static str) -> Result<i64, BadTime> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(span) = span(text) {
        return Ok(now.saturating_sub(span));
    }
    parse(text).ok_or_else(|| BadTime { text: text.chars().take(100).collect(), field })
}

/// `1h30m` in nanoseconds.
pub fn span(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3_600 * SECOND,
            "d" => 86_400 * SECOND,
            "w" => 7 * 86_400 * SECOND,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_and_spans() {
        let now = parse("2026-01-31T12:00:00Z").expect("a time");
        let check = |text, expected: Option<&str>| {
            let found = resolve(text, now, "since").ok().map(format);
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("now", Some("2026-01-31T12:00:00.000000000Z"));
        check("15m", Some("2026-01-31T11:45:00.000000000Z"));
        check("1h30m", Some("2026-01-31T10:30:00.000000000Z"));
        check("7d", Some("2026-01-24T12:00:00.000000000Z"));
        check("2026-01-31T12:00:00.25Z", Some("2026-01-31T12:00:00.250000000Z"));
        check("2026-01-31T12:00:00.5+01:00", Some("2026-01-31T11:00:00.500000000Z"));
        check("", None);
        check("15", None);
        check("yesterday", None);
        check("99999999999999999999d", None);
        check("9999-12-31T23:59:59Z", Some("2262-04-11T23:47:16.854775807Z"));
    }

    proptest! {
        #[test]
        fn a_time_in_utc_is_the_one_of_a_general_parser(
            seconds in -9_000_000_000i64..9_000_000_000,
            nanos in 0u32..1_000_000_000,
            digits in 0usize..10,
            date in "[0-9]{4}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?Z",
        ) {
            let nanos = nanos / 10u32.pow(9 - digits as u32) * 10u32.pow(9 - digits as u32);
            let time = Timestamp::new(seconds, i32::try_from(nanos).expect("small")).expect("a time");
            let whole = format!("{time:.digits$}");
            prop_assert_eq!(parse(&whole), Some(clamp(time)), "{}", whole);
            if let Some(time) = times::of_utc(date.as_bytes()) {
                prop_assert_eq!(date.parse::<Timestamp>().ok().map(clamp), Some(time), "{}", date);
            }
        }
    }
}
