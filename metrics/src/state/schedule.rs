//! When a schedule is due, as crontabs have it: `*/5 0-6 * jan,feb mon`, `@daily`, `@every 1h30m`. Pure.
//!
//! Whether a text is a schedule is the API's to say when a CronJob is written; here are its moments.
//! A day is one of those of the month and one of those of the week where one of both is `*`, else one
//! of either. An hour that a clock leaves out when it is set is left out here, too.

use std::iter;

use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
/// Those that begin as others do stand before them.
const UNITS: [(&str, f64); 7] =
    [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
/// So far ahead a moment is looked for: there is no 30th of February.
const YEARS: i16 = 5;

#[derive(Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Again after so many seconds.
    Every(i64),
    At(Box<Moments>),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Moments {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// Which numbers there are, each as a bit.
#[derive(Debug, Default, PartialEq, Eq)]
struct Field {
    bits: u64,
    is_any: bool,
}

impl Field {
    fn has(&self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| (self.bits >> number) & 1 == 1)
    }

    /// Of `*`, `5`, `1-5`, each with `/2` behind it or without, and several of them.
    fn parse(text: &str, least: u32, most: u32, names: &[&str]) -> Option<Self> {
        let number = |text: &str| match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            Some(at) => u32::try_from(at).ok().map(|at| at + least),
            None => text.parse().ok(),
        };
        let mut field = Self::default();
        for part in text.split(',') {
            let (span, step) = match part.split_once('/') {
                Some((span, step)) => (span, Some(step.parse::<u32>().ok()?)),
                None => (part, None),
            };
            let is_any = matches!(span, "*" | "?");
            let (first, last) = match span.split_once('-') {
                _ if is_any => (least, most),
                Some((first, last)) => (number(first)?, number(last)?),
                // With steps, from there on.
                None => (number(span)?, if step.is_some() { most } else { number(span)? }),
            };
            let step = step.unwrap_or(1);
            if first < least || last > most || first > last || step == 0 {
                return None;
            }
            field.is_any |= is_any && step == 1;
            let numbers = iter::successors(Some(first), |at| at.checked_add(step));
            numbers.take_while(|at| *at <= last).for_each(|at| field.bits |= 1 << at);
        }
        Some(field)
    }
}

impl Schedule {
    /// Nothing of what is no schedule.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(span) = text.strip_prefix("@every ") {
            return seconds(span.trim()).map(Self::Every);
        }
        let word = WORDS.iter().find(|(word, _)| *word == text);
        let fields: Vec<&str> = word.map_or(text, |(_, fields)| fields).split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        Some(Self::At(Box::new(Moments {
            minutes: Field::parse(minutes, 0, 59, &[])?,
            hours: Field::parse(hours, 0, 23, &[])?,
            days: Field::parse(days, 1, 31, &[])?,
            months: Field::parse(months, 1, 12, &MONTHS)?,
            weekdays: Field::parse(weekdays, 0, 6, &DAYS)?,
        })))
    }

    /// The first moment behind this one; nothing where there is none in the next years.
    pub fn next(&self, behind: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let second = behind.as_second();
        match self {
            Self::Every(seconds) => Timestamp::from_second(second.checked_add(*seconds)?).ok(),
            Self::At(moments) => {
                let minute = Timestamp::from_second((second.div_euclid(60) + 1) * 60).ok()?;
                moments.first_at(minute.to_zoned(zone.clone()))
            }
        }
    }
}

impl Moments {
    /// The first of them at this minute or behind it.
    fn first_at(&self, mut at: Zoned) -> Option<Timestamp> {
        let last = at.year() + YEARS;
        while at.year() <= last {
            at = if !self.months.has(at.month()) {
                at.last_of_month().and_then(|day| day.tomorrow()).and_then(|day| day.start_of_day()).ok()?
            } else if !self.has_day(&at) {
                at.tomorrow().and_then(|day| day.start_of_day()).ok()?
            } else if !self.hours.has(at.hour()) {
                at.checked_add(SignedDuration::from_mins(60 - i64::from(at.minute()))).ok()?
            } else if !self.minutes.has(at.minute()) {
                at.checked_add(SignedDuration::from_mins(1)).ok()?
            } else {
                return Some(at.timestamp());
            };
        }
        None
    }

    fn has_day(&self, at: &Zoned) -> bool {
        let of_month = self.days.has(at.day());
        let of_week = self.weekdays.has(at.weekday().to_sunday_zero_offset());
        match self.days.is_any || self.weekdays.is_any {
            true => of_month && of_week,
            false => of_month || of_week,
        }
    }
}

/// Whole seconds of `1h30m` or `1.5h`, one at least.
fn seconds(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = rest[..rest.len() - behind.len()].parse().ok()?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        sum += number * factor;
        rest = &behind[unit.len()..];
    }
    // A number too large to be one of seconds becomes the largest.
    Some((sum as i64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next moments of a schedule in Central European time.
    fn moments(schedule: &str, from: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let schedule = Schedule::parse(schedule).expect("a schedule");
        let from: Timestamp = from.parse().expect("a time");
        let next = |at: &Timestamp| schedule.next(*at, &zone);
        let all = iter::successors(next(&from), next).take(count);
        let shown = |at: Timestamp| {
            let at = at.to_zoned(zone.clone());
            format!("{} +{:02}", at.strftime("%F %H:%M"), at.offset().seconds() / 3600)
        };
        all.map(shown).collect()
    }

    #[test]
    fn moments_are_those_of_cron() {
        for (schedule, from, expected) in [
            ("* * * * *", "2026-01-01T00:00:00Z", &["2026-01-01 01:01 +01", "2026-01-01 01:02 +01"][..]),
            ("*/20 5 * * *", "2026-01-01T04:30:59Z", &["2026-01-01 05:40 +01", "2026-01-02 05:00 +01"][..]),
            ("0 0 1 Jan,3 *", "2026-01-15T00:00:00Z", &["2026-03-01 00:00 +01", "2027-01-01 00:00 +01"][..]),
            // Days of the month, and of the week: the 2nd is a Friday.
            ("0 9 * * mon-fri", "2026-01-02T12:00:00Z", &["2026-01-05 09:00 +01"][..]),
            ("0 9 13 * 5", "2026-02-13T12:00:00Z", &["2026-02-20 09:00 +01", "2026-02-27 09:00 +01"][..]),
            ("0 9 13 * */2", "2026-02-13T12:00:00Z", &["2026-02-14 09:00 +01", "2026-02-15 09:00 +01"][..]),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", &["2028-02-29 00:00 +01"][..]),
            ("0 0 30 2 *", "2026-01-01T00:00:00Z", &[][..]),
            ("@monthly", "2026-01-15T00:00:00Z", &["2026-02-01 00:00 +01"][..]),
            ("@every 1h30m", "2026-01-01T00:00:30Z", &["2026-01-01 02:30 +01", "2026-01-01 04:00 +01"][..]),
            ("50/5 0 1 1 ?", "2026-01-01T00:00:00Z", &["2027-01-01 00:50 +01", "2027-01-01 00:55 +01"][..]),
            // A clock that is set leaves an hour out, and has another twice.
            ("30 2 * * *", "2026-03-28T12:00:00Z", &["2026-03-30 02:30 +02"][..]),
            ("30 2 * * *", "2026-10-24T12:00:00Z", &["2026-10-25 02:30 +02", "2026-10-25 02:30 +01"][..]),
        ] {
            assert_eq!(moments(schedule, from, expected.len().max(1)), expected, "{schedule} from {from}");
        }
    }

    #[test]
    fn what_is_no_schedule_has_no_moments() {
        let wrong = "|* * * *|* * * * * *|60 * * * *|* * 0 * *|5-1 * * * *|*/0 * * * *|1-2-3 * * * *|\
                     * * * * 7|a * * * *|@often|@every|@every day|@every 5";
        for text in wrong.split('|') {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
        assert_eq!(Schedule::parse("@every 1ms"), Some(Schedule::Every(1)));
    }
}
