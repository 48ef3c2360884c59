//! Words, phrases and patterns as regular expressions over bytes.
//!
//! Two readings: *within* a body (a word ends at a boundary, `*` does not cross
//! white space) and *whole* (a field's value from end to end).

use std::fmt::Write;

use super::{
    ast::{Glob, Part, Text},
    text::is_token_byte,
};

const NO_TOKEN_BEFORE: &str = r"(?:\A|[^A-Za-z0-9_\x80-\xff])";
const NO_TOKEN_AFTER: &str = r"(?:\z|[^A-Za-z0-9_\x80-\xff])";

/// Finds the text within a body.
pub(super) fn within(text: &Text) -> String {
    let parts = parts(text);
    let mut pattern = String::from("(?is-u)");
    if first_byte(&parts).is_some_and(is_token_byte) {
        pattern.push_str(NO_TOKEN_BEFORE);
    }
    write(&mut pattern, &parts, r"\S*", r"\S[\x80-\xbf]*");
    if last_byte(&parts).is_some_and(is_token_byte) {
        pattern.push_str(NO_TOKEN_AFTER);
    }
    pattern
}

/// Matches a whole value.
pub(super) fn whole(text: &Text) -> String {
    let mut pattern = String::from(r"(?is-u)\A");
    write(&mut pattern, &parts(text), ".*", r".[\x80-\xbf]*");
    pattern.push_str(r"\z");
    pattern
}

fn parts(text: &Text) -> Vec<Part> {
    match text {
        Text::Exact(text) => vec![Part::Literal(text.clone())],
        Text::Glob(Glob(parts)) => parts.clone(),
    }
}

fn first_byte(parts: &[Part]) -> Option<u8> {
    match parts.first() {
        Some(Part::Literal(text)) => text.bytes().next(),
        _ => None,
    }
}

fn last_byte(parts: &[Part]) -> Option<u8> {
    match parts.last() {
        Some(Part::Literal(text)) => text.bytes().last(),
        _ => None,
    }
}

fn write(pattern: &mut String, parts: &[Part], any: &str, one: &str) {
    for part in parts {
        match part {
            Part::Any => pattern.push_str(any),
            Part::One => pattern.push_str(one),
            Part::Literal(text) => {
                for byte in text.bytes() {
                    if byte.is_ascii_alphanumeric() {
                        pattern.push(char::from(byte));
                    } else {
                        // Writing to a String can't fail.
                        let _ = write!(pattern, "\\x{byte:02x}");
                    }
                }
            }
        }
    }
}

/// The tokens that every text found by [`within`] has: those that the query
/// spells out from boundary to boundary.
pub(super) fn required_tokens(text: &Text) -> Vec<Vec<u8>> {
    let parts = parts(text);
    let mut required = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let Part::Literal(literal) = part else { continue };
        let bytes = literal.as_bytes();
        // Next to a wildcard a token may go on; at the pattern's own ends the boundary holds.
        let open_left = at > 0;
        let open_right = at + 1 < parts.len();
        let from = if open_left { bytes.iter().take_while(|b| is_token_byte(**b)).count() } else { 0 };
        let tail = bytes.iter().rev().take_while(|b| is_token_byte(**b)).count();
        let to = if open_right { bytes.len() - tail } else { bytes.len() };
        if from < to {
            super::text::for_each_token(&bytes[from..to], |token| required.push(token.to_vec()));
        }
    }
    required
}
