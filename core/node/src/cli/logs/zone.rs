//! The time zone that times are shown in, and in which a clock or a day is meant: `10:30`, `today`.
//! Pure, but for the database of zones, which is the machine's own.

use std::str::FromStr;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};
use tiphys_logging::time;

/// `UTC`, `local`, or a name such as `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let zone = match text.to_ascii_lowercase().as_str() {
            "utc" | "z" => return Ok(Self::default()),
            "local" => TimeZone::try_system(),
            _ => TimeZone::get(text),
        };
        zone.map(Self).map_err(|_| {
            format!(
                "this machine knows no time zone `{text}`: write it as Europe/Berlin, local or UTC; the \
                 names are those of the package tzdata"
            )
        })
    }
}

/// Which end of a range a time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Since,
    /// Of a range that begins then, nanoseconds, if it has a begin.
    Until(Option<i64>),
}

impl Zone {
    pub fn is_utc(&self) -> bool {
        self.0 == TimeZone::UTC
    }

    /// A record's time as this zone has it: RFC 3339 with nine decimals and the offset. What is no
    /// time stays as it is.
    pub fn shown(&self, time: &str) -> String {
        match time.parse::<Timestamp>() {
            Ok(at) if !self.is_utc() => format!("{:.9}", at.display_with_offset(self.0.to_offset(at))),
            _ => time.to_owned(),
        }
    }

    /// A time as requests take it: clocks and days in this zone become RFC 3339, all else, spans
    /// and mistakes too, stays for the server.
    pub fn resolved(&self, text: &str, now: i64, end: End) -> String {
        self.moment(text, now, end).map_or_else(|| text.to_owned(), time::format)
    }

    /// `today`, `yesterday`, `2026-01-31`, `2026-01-31T10:30`; for `10:30` see [`Zone::clock`].
    fn moment(&self, text: &str, now: i64, end: End) -> Option<i64> {
        if time::parse(text).is_some() {
            return None;
        }
        let now = Timestamp::from_nanosecond(i128::from(now)).ok()?;
        let today = now.to_zoned(self.0.clone()).date();
        let at = |civil: DateTime| self.0.to_timestamp(civil).ok();
        let moment = match text {
            "today" => at(today.to_datetime(Time::midnight()))?,
            "yesterday" => at(today.yesterday().ok()?.to_datetime(Time::midnight()))?,
            _ if is_clock(text) => self.clock(text.parse().ok()?, now, end)?,
            _ if is_day(text) => at(text.replacen(' ', "T", 1).parse().ok()?)?,
            _ => return None,
        };
        i64::try_from(moment.as_nanosecond()).ok()
    }

    /// The last such time that there was where a range begins; where it ends, the first after its
    /// begin, or today's if it has none, though that may be yet to come.
    fn clock(&self, clock: Time, now: Timestamp, end: End) -> Option<Timestamp> {
        let on = |day: Date| self.0.to_timestamp(day.to_datetime(clock)).ok();
        let day = |at: Timestamp| at.to_zoned(self.0.clone()).date();
        let today = day(now);
        match end {
            End::Since => match on(today)? {
                later if later > now => on(today.yesterday().ok()?),
                at => Some(at),
            },
            End::Until(None) => on(today),
            End::Until(Some(since)) => {
                let since = Timestamp::from_nanosecond(i128::from(since)).ok()?;
                match on(day(since))? {
                    earlier if earlier <= since => on(day(since).tomorrow().ok()?),
                    at => Some(at),
                }
            }
        }
    }
}

/// `10:30`, `10:30:05`, `10:30:05.25`.
fn is_clock(text: &str) -> bool {
    text.contains(':') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':' || byte == b'.')
}

/// Begins as `2026-01-31`, and names no offset or zone.
fn is_day(text: &str) -> bool {
    let form = text.as_bytes().get(..10).unwrap_or_default();
    let is_date = form.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let rest = text.get(10..).unwrap_or_default();
    form.len() == 10 && is_date && !rest.contains(['[', 'Z', 'z', '+', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central Europe by its rule, whatever the machine knows of names.
    fn berlin() -> Zone {
        Zone(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone"))
    }

    #[test]
    fn clocks_and_days_are_those_of_the_zone() {
        let check_end = |end: End, zone: &Zone, now: &str, text: &str, expected: &str| {
            let now = time::parse(now).expect("a time");
            assert_eq!(zone.resolved(text, now, end), expected, "{end:?} {text} at {now}");
        };
        let check = |zone: &Zone, now: &str, text: &str, expected: &str| {
            check_end(End::Since, zone, now, text, expected);
        };
        let (utc, berlin) = (Zone::default(), berlin());
        let noon = "2026-07-10T12:00:00Z";
        check(&utc, noon, "10:30", "2026-07-10T10:30:00.000000000Z");
        check(&utc, noon, "12:00:01", "2026-07-09T12:00:01.000000000Z");
        check(&berlin, noon, "10:30", "2026-07-10T08:30:00.000000000Z");
        check(&berlin, noon, "13:59", "2026-07-10T11:59:00.000000000Z");
        check(&berlin, noon, "14:01", "2026-07-09T12:01:00.000000000Z");
        // What ends may be yet to come.
        let until = End::Until(None);
        check_end(until, &utc, noon, "10:30", "2026-07-10T10:30:00.000000000Z");
        check_end(until, &utc, noon, "18:00", "2026-07-10T18:00:00.000000000Z");
        check_end(until, &berlin, noon, "14:01", "2026-07-10T12:01:00.000000000Z");
        check_end(until, &berlin, noon, "yesterday", "2026-07-08T22:00:00.000000000Z");
        check(&berlin, noon, "today", "2026-07-09T22:00:00.000000000Z");
        check(&berlin, noon, "yesterday", "2026-07-08T22:00:00.000000000Z");
        // Winter time, and a day that has begun there already.
        check(&berlin, "2026-01-30T23:30:00Z", "today", "2026-01-30T23:00:00.000000000Z");
        check(&berlin, noon, "2026-01-31", "2026-01-30T23:00:00.000000000Z");
        check(&berlin, noon, "2026-01-31T10:30", "2026-01-31T09:30:00.000000000Z");
        check(&berlin, noon, "2026-01-31 10:30", "2026-01-31T09:30:00.000000000Z");
        for same in ["15m", "now", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00+03:00", "25:00", "x", ""] {
            check(&berlin, noon, same, same);
        }
    }

    #[test]
    fn a_clock_ends_a_range_the_first_time_after_its_begin() {
        let (utc, berlin) = (Zone::default(), berlin());
        // Asked at noon of the 10th of July, which is 14:00 in Berlin.
        for (zone, since, until, expected) in [
            (&utc, "13:00", "14:00", "2026-07-09T14:00:00.000000000Z"),
            (&utc, "10:00", "11:00", "2026-07-10T11:00:00.000000000Z"),
            (&utc, "10:00", "14:00", "2026-07-10T14:00:00.000000000Z"),
            (&utc, "23:00", "01:00", "2026-07-10T01:00:00.000000000Z"),
            (&utc, "11:00", "11:00", "2026-07-11T11:00:00.000000000Z"),
            (&utc, "2h", "11:30", "2026-07-10T11:30:00.000000000Z"),
            (&utc, "14h", "23:00", "2026-07-09T23:00:00.000000000Z"),
            (&utc, "yesterday", "00:00", "2026-07-10T00:00:00.000000000Z"),
            (&utc, "2026-07-01", "14:00", "2026-07-01T14:00:00.000000000Z"),
            (&utc, "2026-07-01T15:00:00Z", "14:00", "2026-07-02T14:00:00.000000000Z"),
            (&utc, "2026-07-01", "2h", "2h"),
            (&utc, "never", "14:00", "2026-07-10T14:00:00.000000000Z"),
            (&berlin, "15:00", "16:00", "2026-07-09T14:00:00.000000000Z"),
            (&berlin, "13:00", "13:30", "2026-07-10T11:30:00.000000000Z"),
            // It is the next day there, and the day that summer time ends has 25 hours.
            (&berlin, "2026-07-01T22:30:00Z", "00:15", "2026-07-02T22:15:00.000000000Z"),
            (&berlin, "2026-10-24T23:00", "22:00", "2026-10-25T21:00:00.000000000Z"),
        ] {
            let now = time::parse("2026-07-10T12:00:00Z").expect("a time");
            let since = zone.resolved(since, now, End::Since);
            let begin = time::resolve(&since, now, "since").ok();
            assert_eq!(zone.resolved(until, now, End::Until(begin)), expected, "{since} to {until}");
        }
    }

    #[test]
    fn times_are_shown_with_the_offset_of_their_day() {
        let berlin = berlin();
        assert_eq!(berlin.shown("2026-07-10T22:30:00.123456789Z"), "2026-07-11T00:30:00.123456789+02:00");
        assert_eq!(berlin.shown("2026-01-31T12:00:00.000000000Z"), "2026-01-31T13:00:00.000000000+01:00");
        assert_eq!(Zone::default().shown("2026-01-31T12:00:00.5Z"), "2026-01-31T12:00:00.5Z");
        assert_eq!(berlin.shown("never"), "never");
    }

    #[test]
    fn zones_have_names() {
        assert!("UTC".parse::<Zone>().expect("a zone").is_utc());
        assert!("Moon/Tycho".parse::<Zone>().expect_err("none").contains("Europe/Berlin"));
    }
}
