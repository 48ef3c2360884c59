//! What a door understood of a request: pure values, before anybody asked whether
//! the sender may write them.

use std::collections::BTreeMap;

use crate::record::Level;

/// Labels of a stream that are kept.
pub const MAX_LABELS: usize = 64;
/// Fields of a record that are kept.
pub const MAX_FIELDS: usize = 256;
/// Bytes of a label's or field's name.
pub const MAX_NAME: usize = 256;
/// Bytes of a label's value.
pub const MAX_VALUE: usize = 1024;
/// Records of one request.
pub const MAX_RECORDS: usize = 50_000;
/// Values within one record, nested ones too: beyond it, it is no record but an attack.
pub const MAX_VALUES: usize = 50_000;
/// Streams of one request.
pub const MAX_STREAMS: usize = 5_000;

/// All of a request.
#[derive(Debug, Default, PartialEq)]
pub struct Draft {
    pub groups: Vec<Group>,
    /// Records that can't be understood.
    pub rejected: Vec<Rejected>,
}

/// Records that are said to come from one place.
#[derive(Debug, Default, PartialEq)]
pub struct Group {
    /// The namespace that the records themselves name.
    pub namespace: Option<String>,
    pub origin: Origin,
    pub labels: BTreeMap<String, String>,
    /// Labels and fields that were too many.
    pub capped: Capped,
    pub lines: Vec<Line>,
}

/// The names of a stream, as far as they were sent.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub pod: Option<String>,
    pub container: Option<String>,
    pub node: Option<String>,
}

/// How many were left out, and one of them by name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Capped {
    pub labels: u64,
    pub fields: u64,
    /// Messages whose end was left out.
    pub messages: u64,
    pub example: String,
}

/// One record.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which one of the request it is, for protocols that answer for each.
    pub item: u32,
    /// Nanoseconds; `None`: the time of arrival.
    pub time: Option<i64>,
    /// `Unknown`: what the body says.
    pub level: Level,
    pub body: Vec<u8>,
}

/// A record that is not taken, or all of a request's from some place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The records of the request that it is about.
    pub items: Vec<u32>,
    pub why: super::Refusal,
}

impl Group {
    /// Adds a label, if there is room for it.
    pub fn label(&mut self, name: &str, value: &str) {
        if name.is_empty() || value.is_empty() {
            return;
        }
        let name = cut(name, MAX_NAME);
        if self.labels.len() >= MAX_LABELS && !self.labels.contains_key(name) {
            self.capped.labels += 1;
            self.capped.example = name.to_owned();
            return;
        }
        self.labels.insert(name.to_owned(), cut(value, MAX_VALUE).to_owned());
    }
}

/// The begin of a text, at most so many bytes.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
