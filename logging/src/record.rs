//! The words of logs: stream, record, level, position.
//!
//! A *stream* is one container instance (Pod UID, container, restart count). A
//! *record* is one line the container wrote, joined from its partial pieces, and the
//! lines of the stack trace that follows it, as far as they are known for one.
//! Records are ordered newest first by [`Position`]: time, then stream, then the
//! record's number in its stream, so that pages are stable when times are equal.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;

/// A Pod's labels, shared by all its streams.
pub type Labels = Arc<BTreeMap<String, String>>;

/// How grave a record is. `Unknown` sorts below all and matches no comparison.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[repr(u8)]
pub enum Level {
    #[default]
    Unknown = 0,
    Trace = 1,
    Debug = 2,
    Info = 3,
    Warn = 4,
    Error = 5,
    Fatal = 6,
}

impl Level {
    /// All levels, by number.
    pub const ALL: [Level; 7] =
        [Level::Unknown, Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];

    /// The lower-case name in answers and queries.
    pub fn name(self) -> &'static str {
        match self {
            Level::Unknown => "unknown",
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// The level of this number in a block, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// A name as loggers write it, in any case: `WARNING`, `err`, `crit`, `notice`.
    pub fn from_word(word: &str) -> Option<Self> {
        const NAMES: [(&str, Level); 32] = [
            ("unknown", Level::Unknown),
            ("trace", Level::Trace),
            ("trc", Level::Trace),
            ("trce", Level::Trace),
            ("verbose", Level::Trace),
            ("finest", Level::Trace),
            ("debug", Level::Debug),
            ("dbg", Level::Debug),
            ("dbug", Level::Debug),
            ("fine", Level::Debug),
            ("info", Level::Info),
            ("inf", Level::Info),
            ("information", Level::Info),
            ("informational", Level::Info),
            ("notice", Level::Info),
            ("note", Level::Info),
            ("warn", Level::Warn),
            ("warning", Level::Warn),
            ("wrn", Level::Warn),
            ("error", Level::Error),
            ("err", Level::Error),
            ("severe", Level::Error),
            ("fail", Level::Error),
            ("fatal", Level::Fatal),
            ("critical", Level::Fatal),
            ("crit", Level::Fatal),
            ("panic", Level::Fatal),
            ("pnc", Level::Fatal),
            ("ftl", Level::Fatal),
            ("alert", Level::Fatal),
            ("emerg", Level::Fatal),
            ("emergency", Level::Fatal),
        ];
        NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of the container's outputs a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Source {
    #[default]
    Stdout = 0,
    Stderr = 1,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Source::Stdout => "stdout",
            Source::Stderr => "stderr",
        }
    }
}

/// One line of a container, or a line and the trace below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Nanoseconds since the Unix epoch, as the runtime wrote it; years that don't fit are clamped.
    pub time: i64,
    /// The record's number in its stream, in order of reading.
    pub seq: u64,
    pub level: Level,
    pub source: Source,
    /// Exactly the bytes the container wrote, without the last line end. A line over
    /// [`crate::parse::MAX_BODY`] goes on in the next record, and a mark at the end says so:
    /// [`crate::parse::part`] takes it off.
    pub body: Bytes,
}

/// Where a stream's records come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct StreamInfo {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    pub container: String,
    pub restart: u32,
    pub node: String,
}

impl StreamInfo {
    /// `uid/container/restart`: names the stream in positions and checkpoints.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.uid, self.container, self.restart)
    }
}

/// A record's place in the order of all records, over all nodes.
/// Greater is newer; answers go from the greatest down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub time: i64,
    /// [`StreamInfo::key`].
    pub stream: String,
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.time, self.seq, self.stream)
    }
}

/// The text is no position.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no cursor: use the `cursor` of the answer before, unchanged")]
pub struct BadPosition(String);

impl std::str::FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let bad = || BadPosition(text.chars().take(100).collect());
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or_else(bad);
        Ok(Self {
            time: part()?.parse().map_err(|_| bad())?,
            seq: part()?.parse().map_err(|_| bad())?,
            stream: part()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_as_text_and_order_newest_last() {
        let old = Position { time: -5, stream: "a.b/c/0".into(), seq: 9 };
        let new = Position { time: 7, stream: "a.b/c/0".into(), seq: 0 };
        assert!(old < new);
        assert_eq!(old.to_string().parse(), Ok(old));
        assert!("12.x.".parse::<Position>().is_err());
        assert!("".parse::<Position>().is_err());
    }

    #[test]
    fn levels_have_names_and_numbers() {
        for (number, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(Level::from_number(number as u8), Some(level));
            assert_eq!(Level::from_word(level.name()), Some(level));
        }
        assert_eq!(Level::from_number(7), None);
        assert_eq!(Level::from_word("WARNING"), Some(Level::Warn));
    }
}
