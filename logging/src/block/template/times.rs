//! Times as they are written in messages, and back, to the byte.
//!
//! A time is kept as its distance from the record's own time in units of its last
//! digit: what a program prints a moment before the runtime stamps the line costs
//! next to nothing. Only what this file itself writes in the same way is a time;
//! `2023-02-30` is not.

use super::class;

pub const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A time at the front of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub class: u8,
    /// Bytes of text.
    pub length: usize,
    /// Since the Unix epoch, in units of its last digit.
    pub units: i64,
}

/// Nanoseconds of a class's unit; `None` when it is no class of times.
pub fn unit(class: u8) -> Option<i64> {
    if class == class::CLF_TIME {
        return Some(NANOS);
    }
    let digits = class & 0x0f;
    let known = class & 0xc0 == class::ISO_TIME && digits <= 9 && (digits > 0 || class & class::COMMA == 0);
    known.then(|| NANOS / 10i64.pow(u32::from(digits)))
}

/// The time that the text begins with.
pub fn find(text: &[u8]) -> Option<Found> {
    match (text.get(2)?, text.get(4)?) {
        (b'/', _) => find_clf(text),
        (_, b'-') => find_iso(text),
        _ => None,
    }
}

fn find_iso(text: &[u8]) -> Option<Found> {
    let head = text.get(..19)?;
    let separator = head[10];
    if head[7] != b'-' || head[13] != b':' || head[16] != b':' || !matches!(separator, b'T' | b' ') {
        return None;
    }
    let number = |from: usize, to: usize| digits(&head[from..to]);
    let day = day(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let seconds = seconds(day, number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    let mut class = class::ISO_TIME | if separator == b' ' { class::SPACE } else { 0 };
    let point = text.get(19).copied().filter(|byte| matches!(byte, b'.' | b','));
    let fraction = text.get(20..).unwrap_or_default();
    let n_digits = fraction.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let Some(point) = point.filter(|_| n_digits > 0) else {
        return Some(Found { class, length: 19, units: seconds });
    };
    class |= n_digits as u8 | if point == b',' { class::COMMA } else { 0 };
    let scale = 10i64.pow(n_digits as u32);
    let units = seconds.checked_mul(scale)?.checked_add(digits(&fraction[..n_digits])?)?;
    Some(Found { class, length: 20 + n_digits, units })
}

/// The digits of the second's fraction, of a text that is a time of RFC 3339 without its zone, and
/// nothing else.
pub fn stamp(text: &[u8]) -> Option<u8> {
    find(text).filter(|found| found.length == text.len()).and_then(|found| stamp_of(found.class))
}

/// The same of all times of the class, if they are such.
pub fn stamp_of(class: u8) -> Option<u8> {
    (class & class::ISO_TIME != 0 && class & class::SPACE == 0).then_some(class & 0x0f)
}

/// Nanoseconds of a text that is a time in UTC and nothing else, as RFC 3339 has it: the form in which
/// every line of a container begins. Absent where that is not so, or beyond what is told in nanoseconds.
pub fn of_utc(text: &[u8]) -> Option<i64> {
    let found = find_iso(text).filter(|found| found.class & (class::SPACE | class::COMMA) == 0)?;
    (&text[found.length..] == b"Z").then(|| found.units.checked_mul(unit(found.class)?)).flatten()
}

fn find_clf(text: &[u8]) -> Option<Found> {
    let head = text.get(..20)?;
    if head[6] != b'/' || head[11] != b':' || head[14] != b':' || head[17] != b':' {
        return None;
    }
    let number = |from: usize, to: usize| digits(&head[from..to]);
    let month = MONTHS.iter().position(|month| head[3..6] == month[..])? as i64 + 1;
    let day = day(number(7, 11)?, month, number(0, 2)?)?;
    let units = seconds(day, number(12, 14)?, number(15, 17)?, number(18, 20)?)?;
    Some(Found { class: class::CLF_TIME, length: 20, units })
}

/// Appends the time; `None` when it can't have been written so.
pub fn write(out: &mut Vec<u8>, class: u8, units: i64) -> Option<()> {
    let scale = NANOS / unit(class)?;
    let (seconds, fraction) = (units.div_euclid(scale), units.rem_euclid(scale));
    let (year, month, day) = date(seconds.div_euclid(DAY));
    if !(0..10_000).contains(&year) {
        return None;
    }
    let clock = seconds.rem_euclid(DAY);
    if class == class::CLF_TIME {
        pad(out, day, 2);
        out.push(b'/');
        out.extend_from_slice(MONTHS[month as usize - 1]);
        out.push(b'/');
        pad(out, year, 4);
        out.push(b':');
    } else {
        pad(out, year, 4);
        out.push(b'-');
        pad(out, month, 2);
        out.push(b'-');
        pad(out, day, 2);
        out.push(if class & class::SPACE == 0 { b'T' } else { b' ' });
    }
    pad(out, clock / 3600, 2);
    out.push(b':');
    pad(out, clock / 60 % 60, 2);
    out.push(b':');
    pad(out, clock % 60, 2);
    if scale > 1 {
        out.push(if class & class::COMMA == 0 { b'.' } else { b',' });
        pad(out, fraction, usize::from(class & 0x0f));
    }
    Some(())
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn pad(out: &mut Vec<u8>, mut number: i64, width: usize) {
    let at = out.len();
    out.resize(at + width, b'0');
    for digit in out[at..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn seconds(day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60).then(|| day * DAY + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 of a date that there is. Years begin in March here, so
/// that the leap day is their last.
fn day(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) {
        return None;
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = LENGTHS[month as usize - 1] + i64::from(month == 2 && is_leap);
    if !(1..=length).contains(&day) {
        return None;
    }
    let shifted = year - i64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400);
    Some(days + of_year - 719_468)
}

/// Year, month and day, so many days after 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_found_and_written() {
        let check = |text: &str, length: usize, units: i64| {
            let found = find(text.as_bytes()).expect(text);
            assert_eq!((found.length, found.units), (length, units), "{text}");
            let mut out = Vec::new();
            write(&mut out, found.class, found.units).expect(text);
            assert_eq!(out, &text.as_bytes()[..length]);
        };
        check("1970-01-01T00:00:00Z", 19, 0);
        check("2024-02-29 23:59:59,123 INFO", 23, 1_709_251_199_123);
        check("2024-02-29T23:59:59.123456789012Z", 29, 1_709_251_199_123_456_789);
        check("0000-01-01 00:00:00. ", 19, -62_167_219_200);
        check("29/Feb/2024:23:59:59 +0000", 20, 1_709_251_199);
        for no in [
            "2023-02-29T00:00:00",
            "2024-13-01T00:00:00",
            "2024-01-01T24:00:00",
            "2024-01-01T00:00:60",
            "9999-01-01T00:00:00.123456789",
            "29/feb/2024:23:59:59",
            "2024-01-01T00:00",
            "",
        ] {
            assert_eq!(find(no.as_bytes()), None, "{no}");
        }
    }

    #[test]
    fn a_date_is_the_one_that_its_day_has() {
        for year in [0, 1, 4, 100, 400, 1900, 1970, 2000, 2023, 2024, 9999] {
            for month in 0..14 {
                for of_month in 0..33 {
                    let found = day(year, month, of_month);
                    assert_eq!(found.is_some(), found.map(date) == Some((year, month, of_month)));
                    let is_no_date = !(1..=12).contains(&month) || !(1..=31).contains(&of_month);
                    assert!(found.is_none() || !is_no_date);
                }
            }
        }
        assert!(day(2024, 2, 29).is_some() && day(2023, 2, 29).is_none() && day(1900, 2, 29).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_found_again(class in any::<u8>(), units in any::<i64>()) {
            let mut out = Vec::new();
            if write(&mut out, class, units).is_some() {
                prop_assert_eq!(find(&out), Some(Found { class, length: out.len(), units }));
            }
        }
    }
}
