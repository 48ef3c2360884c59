//! A level's word near the begin of a text: `ERROR`, `[warn]`, `info:`, `core:error]`.

use crate::{query::text::is_token_byte, record::Level};

/// How far into a text it is looked for.
const WITHIN: usize = 160;
/// `informational`.
const LONGEST: usize = 13;

/// In lower case it counts only with a mark beside it, so that "no error" in a
/// sentence is no error.
pub(super) fn level(text: &[u8]) -> Option<Level> {
    let head = &text[..text.len().min(WITHIN)];
    let mut at = 0;
    while at < head.len() {
        if !is_token_byte(head[at]) {
            at += 1;
            continue;
        }
        let end = head[at..].iter().position(|byte| !is_token_byte(*byte)).map_or(head.len(), |n| at + n);
        let before = at.checked_sub(1).map(|at| head[at]);
        if let Some(level) = run(&head[at..end], before, head.get(end).copied()) {
            return Some(level);
        }
        at = end;
    }
    None
}

fn run(word: &[u8], before: Option<u8>, after: Option<u8>) -> Option<Level> {
    if !(3..=LONGEST).contains(&word.len()) {
        return None;
    }
    let upper = word.iter().all(u8::is_ascii_uppercase);
    let opened = before.is_some_and(|byte| b"[<(|\"".contains(&byte));
    let closed = after.is_some_and(|byte| b"]>):|".contains(&byte));
    // zap's console has its columns between tabs.
    let column = before == Some(b'\t') && after == Some(b'\t');
    if !upper && !opened && !closed && !column {
        return None;
    }
    // PostgreSQL's word for what is no error.
    if word == b"LOG" && after == Some(b':') {
        return Some(Level::Info);
    }
    let level = Level::from_word(std::str::from_utf8(word).ok()?)?;
    // These are words of sentences too.
    let said =
        [b"unknown".as_slice(), b"fine", b"verbose"].iter().any(|said| word.eq_ignore_ascii_case(said));
    let sure = !said || (upper && closed) || (opened && closed);
    (sure && level != Level::Unknown).then_some(level)
}
