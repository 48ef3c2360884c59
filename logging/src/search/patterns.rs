//! Patterns: lines that differ only in their variables are one, with their count.
//!
//! They are the templates of blocks, so no body is read to count them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

use crate::block::template::{Piece, class, pieces};

/// Patterns that are told apart; what comes beyond is counted as [`OTHERS`].
const MAX_PATTERNS: usize = 10_000;
/// Characters of a pattern that are shown.
const MAX_SHOWN: usize = 400;
const OTHERS: &str = "<others>";

/// Counts by template.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    counts: HashMap<Box<[u8]>, u64>,
    others: u64,
}

impl Patterns {
    pub fn add(&mut self, key: &[u8], count: u64) {
        if let Some(sum) = self.counts.get_mut(key) {
            *sum += count;
        } else if self.counts.len() < MAX_PATTERNS {
            self.counts.insert(key.into(), count);
        } else {
            self.others += count;
        }
    }

    /// As they are shown, with their counts.
    pub fn shown(self) -> BTreeMap<String, u64> {
        let mut shown = BTreeMap::new();
        for (key, count) in self.counts {
            *shown.entry(pattern(&key)).or_default() += count;
        }
        if self.others > 0 {
            *shown.entry(OTHERS.to_owned()).or_default() += self.others;
        }
        shown
    }
}

/// A template for people: `GET /items/<*> from <ip>`.
fn pattern(key: &[u8]) -> String {
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

    #[test]
    fn lines_that_differ_in_variables_are_one() {
        let mut patterns = Patterns::default();
        for body in ["GET /items/7 from 10.0.0.1", "GET /items/99 from 10.0.0.2", "2024-01-01T00:00:00Z up"] {
            patterns.add(&key(body), 1);
        }
        let shown: Vec<_> = patterns.shown().into_iter().collect();
        assert_eq!(shown, [("<time>Z up".to_owned(), 1), ("GET /items/<*> from <ip>".to_owned(), 2)]);
    }

    #[test]
    fn abuse_34_patterns_are_bounded() {
        let mut patterns = Patterns::default();
        for at in 0..MAX_PATTERNS + 5 {
            patterns.add(format!("{at}").as_bytes(), 1);
        }
        let shown = patterns.shown();
        assert_eq!((shown.len(), shown[OTHERS]), (MAX_PATTERNS + 1, 5));
        let mut long = Patterns::default();
        long.add(&vec![b'x'; 100_000], 1);
        assert!(long.shown().keys().all(|pattern| pattern.chars().count() == MAX_SHOWN + 1));
    }
}
