//! Patterns: lines that differ only in their variables are one, with their count.
//!
//! They are the templates of blocks, so no body is read to count them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

use crate::{
    block::template::{Piece, class, pieces},
    time,
    wire::FacetValue,
};

/// Patterns that are told apart; what comes beyond is counted as [`OTHERS`].
const MAX_PATTERNS: usize = 10_000;
/// Characters of a pattern that are shown.
const MAX_SHOWN: usize = 400;
/// What is beyond a bound, as one.
pub const OTHERS: &str = "<others>";

/// Counts by template.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    seen: HashMap<Box<[u8]>, Seen>,
    others: Seen,
}

/// Where and how often a pattern occurs.
#[derive(Debug, Clone, Copy)]
struct Seen {
    count: u64,
    first: i64,
    last: i64,
    /// In the time before, which it is compared with.
    before: u64,
    /// Its place in the order in which patterns came.
    place: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { count: 0, first: i64::MAX, last: i64::MIN, before: 0, place: 0 }
    }
}

impl Seen {
    fn append(&mut self, later: &Self) {
        self.count += later.count;
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        self.before += later.before;
    }
}

impl Patterns {
    pub fn add(&mut self, key: &[u8], time: i64) {
        let seen = self.seen(key);
        seen.count += 1;
        seen.first = seen.first.min(time);
        seen.last = seen.last.max(time);
    }

    /// Counts an occurrence in the time before.
    pub fn add_before(&mut self, key: &[u8]) {
        self.seen(key).before += 1;
    }

    fn seen(&mut self, key: &[u8]) -> &mut Seen {
        if !self.seen.contains_key(key) {
            if self.seen.len() >= MAX_PATTERNS {
                return &mut self.others;
            }
            let place = self.seen.len();
            self.seen.insert(key.into(), Seen { place, ..Seen::default() });
        }
        // It is there by now.
        self.seen.get_mut(key).unwrap_or(&mut self.others)
    }

    /// Takes in what came later, which is whole.
    pub fn append(&mut self, later: Self) {
        later.in_order().iter().for_each(|(key, seen)| self.seen(key).append(seen));
    }

    /// As [`Patterns::append`], of the time before.
    pub fn append_before(&mut self, before: Self) {
        before.in_order().iter().for_each(|(key, seen)| self.seen(key).before += seen.count);
    }

    fn in_order(self) -> Vec<(Box<[u8]>, Seen)> {
        let mut all: Vec<_> = self.seen.into_iter().collect();
        all.sort_unstable_by_key(|(_, seen)| seen.place);
        all
    }

    /// Whether all patterns were told apart.
    pub fn is_whole(&self) -> bool {
        self.others.count == 0 && self.others.before == 0
    }

    /// Whether patterns of the time before were not told apart.
    pub fn is_before_capped(&self) -> bool {
        self.others.before > 0
    }

    /// As they are shown, the most frequent first; also those of the time before only
    /// when they were `compared`.
    pub fn shown(self, compared: bool) -> Vec<FacetValue> {
        let mut shown: BTreeMap<String, Seen> = BTreeMap::new();
        let others = (self.others.count > 0).then(|| (OTHERS.to_owned(), self.others));
        for (pattern, seen) in self.seen.iter().map(|(key, seen)| (pattern(key), *seen)).chain(others) {
            shown.entry(pattern).or_default().append(&seen);
        }
        let value = |(value, seen): (String, Seen)| FacetValue {
            value,
            count: seen.count,
            first: (seen.count > 0).then(|| time::format(seen.first)),
            last: (seen.count > 0).then(|| time::format(seen.last)),
            before: compared.then_some(seen.before),
            new: false,
        };
        let mut values: Vec<_> = shown.into_iter().map(value).collect();
        values.sort_by_key(|value| Reverse((value.count, value.before)));
        values
    }
}

/// A template for people: `GET /items/<*> from <ip>`.
pub(super) fn pattern(key: &[u8]) -> String {
    let mut shown = String::new();
    for piece in pieces(key) {
        // Writing to a String can't fail.
        let _ = match piece {
            Piece::Literal(text) => write!(shown, "{}", String::from_utf8_lossy(text)),
            Piece::Slot(class) => write!(shown, "{}", placeholder(class)),
        };
    }
    if let Some((end, _)) = shown.char_indices().nth(MAX_SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

fn placeholder(class: u8) -> &'static str {
    match class {
        class::TOKEN | class::WHOLE => "<*>",
        class::UUID | class::UUID_UPPER => "<uuid>",
        class::ADDRESS => "<ip>",
        _ => "<time>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(body: &str) -> Vec<u8> {
        let mut key = Vec::new();
        crate::block::template::split(body.as_bytes(), 0, &mut key, &mut Vec::new());
        key
    }

    fn shown(patterns: Patterns) -> Vec<(String, u64)> {
        patterns.shown(false).into_iter().map(|value| (value.value, value.count)).collect()
    }

    #[test]
    fn lines_that_differ_in_variables_are_one() {
        let mut patterns = Patterns::default();
        for body in ["GET /items/7 from 10.0.0.1", "GET /items/99 from 10.0.0.2", "2024-01-01T00:00:00Z up"] {
            patterns.add(&key(body), 1);
        }
        assert_eq!(
            shown(patterns),
            [("GET /items/<*> from <ip>".to_owned(), 2), ("<time>Z up".to_owned(), 1)]
        );
    }

    #[test]
    fn patterns_know_when_they_were_seen() {
        let mut patterns = Patterns::default();
        for (body, time) in [("up 1", 7), ("up 2", 3), ("down 1", 5)] {
            patterns.add(&key(body), time);
        }
        patterns.add_before(&key("down 9"));
        patterns.add_before(&key("gone"));
        let shown = patterns.shown(true);
        let of = |at: usize| {
            let value: &FacetValue = &shown[at];
            let time = |text: &Option<String>| text.as_deref().and_then(time::parse);
            (value.value.as_str(), value.count, value.before, time(&value.first), time(&value.last))
        };
        assert_eq!(of(0), ("up <*>", 2, Some(0), Some(3), Some(7)));
        assert_eq!(of(1), ("down <*>", 1, Some(1), Some(5), Some(5)));
        assert_eq!(of(2), ("gone", 0, Some(1), None, None));
    }

    #[test]
    fn abuse_34_patterns_are_bounded() {
        let mut patterns = Patterns::default();
        for at in 0..MAX_PATTERNS + 5 {
            patterns.add(format!("{at}").as_bytes(), 1);
        }
        let found = shown(patterns);
        assert_eq!((found.len(), &found[0]), (MAX_PATTERNS + 1, &(OTHERS.to_owned(), 5)));
        let mut long = Patterns::default();
        long.add(&vec![b'x'; 100_000], 1);
        assert!(shown(long).iter().all(|(pattern, _)| pattern.chars().count() == MAX_SHOWN + 1));
    }
}
