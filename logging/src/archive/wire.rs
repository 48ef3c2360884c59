//! What a collector tells the server of its splits.
//!
//! ```text
//! GET  /v1/splits?after=VERSION&lacks=1-3,7   SplitList, when it is another than that version,
//!                                             of which the archive has all but these
//! GET  /v1/splits/ID/FILE                     the bytes of a file in the list
//! ```
//!
//! Beside it every answer to a question names, in two headers, the splits whose
//! records the node has: what the archive has beyond them is asked for there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::index::FileSum;

/// Names the index that answered.
pub const STORE_HEADER: &str = "tiphys-store";
/// Splits whose records it has: `1-3,7`.
pub const HOLDS_HEADER: &str = "tiphys-holds";

/// All splits of a collector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitList {
    pub version: u64,
    /// Tells the index from another that the node had before.
    pub store: String,
    pub splits: Vec<SplitInfo>,
}

/// A split of a collector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitInfo {
    pub id: u64,
    /// When its newest part was committed.
    pub created: i64,
    pub records: u64,
    pub raw_bytes: u64,
    pub min_time: i64,
    pub max_time: i64,
    pub namespaces: BTreeMap<String, Part>,
    /// Splits whose records are in it, first to last of each run.
    pub ancestors: Vec<(u64, u64)>,
    pub files: Vec<FileSum>,
}

/// What a namespace has in a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub min_time: i64,
    pub max_time: i64,
    /// On disk, without words.
    pub bytes: u64,
}

/// Runs of numbers as `1-3,7`.
pub fn to_text(runs: &[(u64, u64)]) -> String {
    let run = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

/// Runs of ascending numbers.
pub fn runs(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut().filter(|(_, last)| *last + 1 == number) {
            Some((_, last)) => *last = number,
            None => runs.push((number, number)),
        }
    }
    runs
}

/// The runs of `1-3,7`; `None` when the text is none of this.
pub fn from_text(text: &str) -> Option<Vec<(u64, u64)>> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    let run = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    parts.map(run).collect()
}

/// Whether a number is in one of the runs, which are ascending.
pub fn contains(runs: &[(u64, u64)], number: u64) -> bool {
    let at = runs.partition_point(|(_, last)| *last < number);
    runs.get(at).is_some_and(|(first, _)| *first <= number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_through_a_header() {
        let check = |runs: &[(u64, u64)], text: &str| {
            assert_eq!(to_text(runs), text);
            assert_eq!(from_text(text).as_deref(), Some(runs));
        };
        check(&[], "");
        check(&[(7, 7)], "7");
        check(&[(1, 3), (7, 7), (9, 10)], "1-3,7,9-10");
        assert_eq!(from_text("x"), None);
        assert_eq!(self::runs([1, 2, 3, 7, 9, 10]), [(1, 3), (7, 7), (9, 10)]);
        let runs = [(1, 3), (7, 7), (9, 10)];
        let found: Vec<u64> = (0..12).filter(|number| contains(&runs, *number)).collect();
        assert_eq!(found, [1, 2, 3, 7, 9, 10]);
    }
}
