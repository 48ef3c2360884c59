//! What was read of a file whose entries journald copies. Pure.
//!
//! `journalctl --flush` writes the entries of `/run/log/journal` again into
//! `/var/log/journal`, in their order, and deletes the files they stood in. A copy gets a
//! number of its new file, so numbers tell nothing; what it keeps is the machine's start
//! and the time since.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::file::Entry;

/// Spans of files that are gone.
const MAX_SPANS: usize = 128;

/// The entries that were read of one file, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    boot: String,
    first: u64,
    last: u64,
    /// How many have the last one's time: another such may be unread.
    at_last: u64,
    /// How many copies of these were met.
    met: u64,
    /// By the clock, microseconds.
    time: u64,
}

/// By the file's id.
pub type Spans = BTreeMap<String, Span>;

/// Whether what is below this folder is copied elsewhere in the end.
pub fn is_copied(root: &Path) -> bool {
    root.ends_with("run/log/journal")
}

/// An entry of this file was read.
pub fn read(spans: &mut Spans, file: &str, entry: &Entry) {
    let boot = format!("{:032x}", entry.boot);
    match spans.get_mut(file).filter(|span| span.boot == boot) {
        Some(span) => {
            span.at_last = if span.last == entry.monotonic { span.at_last + 1 } else { 1 };
            (span.last, span.time) = (entry.monotonic, entry.time);
        }
        None => {
            let (first, last) = (entry.monotonic, entry.monotonic);
            let span = Span { boot, first, last, at_last: 1, met: 0, time: entry.time };
            spans.insert(file.to_owned(), span);
        }
    }
    if spans.len() > MAX_SPANS
        && let Some(oldest) = spans.iter().min_by_key(|(_, span)| span.time).map(|(file, _)| file.clone())
    {
        spans.remove(&oldest);
    }
}

/// Whether an entry of another folder is the copy of one that was read.
pub fn is_copy(spans: &mut Spans, entry: &Entry) -> bool {
    if spans.is_empty() {
        return false;
    }
    let boot = format!("{:032x}", entry.boot);
    let time = entry.monotonic;
    spans.values_mut().filter(|span| span.boot == boot).any(|span| {
        let is_at_last = time == span.last && span.met < span.at_last;
        span.met += u64::from(is_at_last);
        is_at_last || (span.first..span.last).contains(&time)
    })
}
