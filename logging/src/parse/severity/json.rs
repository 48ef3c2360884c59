//! The level of a JSON body: the value of a member that loggers use for it.
//!
//! Read as a stream, without making the object: it is done for every record.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::record::Level;

/// Members that hold a level, in any case of letters; the first of them that is present counts.
const NAMES: [&str; 13] = [
    "level",
    "severity",
    "lvl",
    "log.level",
    "loglevel",
    "levelname",
    "severity_text",
    "severitytext",
    "@level",
    "@l",
    "severitynumber",
    "severity_number",
    "s",
];
const NESTED: usize = 3;
const OTLP: [usize; 2] = [10, 11];
/// MongoDB's letters; any other text in so short a name is none.
const LETTER: usize = 12;

/// `None` when the text is no JSON object, else what it says.
pub(super) fn level(text: &[u8]) -> Option<Level> {
    let object: Object = serde_json::from_slice(text).ok()?;
    Some(object.0.map_or(Level::Unknown, |(_, level)| level))
}

/// The rank of the name that was found, and its level.
struct Object(Option<(usize, Level)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut best: Option<(usize, Level)> = None;
        while let Some(member) = map.next_key_seed(Name)? {
            let found = match member {
                Member::Level(rank) => map.next_value::<Any>()?.as_level(rank).map(|level| (rank, level)),
                Member::Log => map.next_value::<Any>()?.inner.map(|level| (NESTED, level)),
                Member::Other => {
                    map.next_value::<IgnoredAny>()?;
                    None
                }
            };
            best = match (best, found) {
                (Some(best), Some(found)) => Some(if found.0 < best.0 { found } else { best }),
                (best, found) => best.or(found),
            };
        }
        Ok(Object(best))
    }
}

enum Member {
    Level(usize),
    /// `log`, which may hold `level`.
    Log,
    Other,
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        let rank = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
        Ok(match rank {
            Some(rank) => Member::Level(rank),
            None if name == "log" => Member::Log,
            None => Member::Other,
        })
    }
}

/// Any value, as far as it may say a level.
#[derive(Default)]
struct Any {
    word: Option<Level>,
    letter: Option<Level>,
    number: Option<u64>,
    /// Of an object: its member `level`.
    inner: Option<Level>,
}

impl Any {
    fn as_level(&self, rank: usize) -> Option<Level> {
        match rank {
            LETTER => self.letter,
            rank if OTLP.contains(&rank) => self.number.and_then(otlp),
            rank => self.word.or_else(|| self.number.and_then(|number| counted(number, rank))),
        }
    }
}

/// pino and bunyan count in tens from trace to fatal; GELF has syslog's numbers.
fn counted(number: u64, rank: usize) -> Option<Level> {
    Some(match number {
        0..=7 if rank == 0 => super::syslog::severity(number as u8),
        10..=19 => Level::Trace,
        20..=29 => Level::Debug,
        30..=39 => Level::Info,
        40..=49 => Level::Warn,
        50..=59 => Level::Error,
        60..=69 => Level::Fatal,
        _ => return None,
    })
}

/// OpenTelemetry's numbers, four to a level.
fn otlp(number: u64) -> Option<Level> {
    let level = number.checked_sub(1)? / 4 + 1;
    Level::from_number(u8::try_from(level).ok()?)
}

fn letter(text: &str) -> Option<Level> {
    Some(match text {
        "F" => Level::Fatal,
        "E" => Level::Error,
        "W" => Level::Warn,
        "I" => Level::Info,
        "D1" | "D2" | "D3" | "D4" | "D5" => Level::Debug,
        _ => return None,
    })
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor { inside: false })
    }
}

struct AnyVisitor {
    /// Within an object: only `log.level` has a meaning, so nothing deeper is looked at.
    inside: bool,
}

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Any, E> {
        Ok(Any { word: Level::from_word(text.trim()), letter: letter(text), ..Any::default() })
    }

    fn visit_u64<E>(self, number: u64) -> Result<Any, E> {
        Ok(Any { number: Some(number), ..Any::default() })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Any, E> {
        Ok(Any::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Any, E> {
        Ok(Any::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Any, E> {
        Ok(Any::default())
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Any, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Any::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
        let mut inner = None;
        while let Some(member) = map.next_key_seed(Name)? {
            match member {
                Member::Level(0) if !self.inside => inner = map.next_value::<Flat>()?.0.or(inner),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Any { inner, ..Any::default() })
    }
}

/// The level of a plain value; an object has none, so nothing recurs.
struct Flat(Option<Level>);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let any = deserializer.deserialize_any(AnyVisitor { inside: true })?;
        Ok(Self(any.as_level(NESTED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_hold_a_level() {
        let check = |text: &str, expected| assert_eq!(level(text.as_bytes()), expected, "{text}");
        check(r#"{"level":"warning","msg":"ERROR"}"#, Some(Level::Warn));
        check(r#"{"a":{"b":[1,{"level":"error"}]},"Level":"Error"}"#, Some(Level::Error));
        check(r#"{"LogLevel":"Information","EventId":14}"#, Some(Level::Info));
        check(r#"{"severity":"NOTICE","level":"debug"}"#, Some(Level::Debug));
        check(r#"{"level":null,"severity":"ALERT"}"#, Some(Level::Fatal));
        check(r#"{"log":{"level":"error","logger":"x"}}"#, Some(Level::Error));
        check(r#"{"log.level":"warn","log":"text"}"#, Some(Level::Warn));
        check(r#"{"level":10}"#, Some(Level::Trace));
        check(r#"{"level":35}"#, Some(Level::Info));
        check(r#"{"level":60}"#, Some(Level::Fatal));
        check(r#"{"version":"1.1","level":3}"#, Some(Level::Error));
        check(r#"{"level":-4}"#, Some(Level::Unknown));
        check(r#"{"level":4.5}"#, Some(Level::Unknown));
        check(r#"{"level":true,"x":null}"#, Some(Level::Unknown));
        check(r#"{"level":["error"]}"#, Some(Level::Unknown));
        check(r#"{"severityNumber":9}"#, Some(Level::Info));
        check(r#"{"severityNumber":24}"#, Some(Level::Fatal));
        check(r#"{"severityNumber":25}"#, Some(Level::Unknown));
        check(r#"{"t":{"$date":"x"},"s":"W","c":"NETWORK"}"#, Some(Level::Warn));
        check(r#"{"s":"error"}"#, Some(Level::Unknown));
        check(r#"{"@level":"trace"}"#, Some(Level::Trace));
        check(r#"{"msg":"ERROR"}"#, Some(Level::Unknown));
        check(r#"{"level":"error""#, None);
        check(r#"{"level":"error"} x"#, None);
        check(r#"["error"]"#, None);
        check("{}", Some(Level::Unknown));
    }

    #[test]
    fn abuse_16_a_deep_level_is_no_level_and_no_overflow() {
        for part in [r#"{"level":"#, r#"{"log":"#, r#"{"a":"#, "["] {
            let deep = format!("{{\"level\":{}", part.repeat(100_000));
            assert_eq!(level(deep.as_bytes()), None);
        }
    }
}
