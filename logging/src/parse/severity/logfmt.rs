//! The level of a logfmt body: `ts=... level=debug msg="..."`.

use crate::{query::fields, record::Level};

/// Keys that hold a level, the first one present counts.
const KEYS: [&str; 8] =
    ["level", "severity", "lvl", "log.level", "loglevel", "levelname", "severity_text", "@level"];

pub(super) fn level(text: &[u8]) -> Option<Level> {
    // Cheap no: most lines have no such pair.
    if !text.contains(&b'=') {
        return None;
    }
    let mut found = None;
    // A cut in the midst of a character must not hide the pairs before it.
    let text = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    fields::logfmt(text.as_bytes(), |key, value| {
        if found.is_none() && KEYS.contains(&key) {
            found = Level::from_word(&value);
        }
    });
    found
}
