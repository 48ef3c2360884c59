//! What of a body is searched: the text without its terminal colours.
//!
//! A record keeps the bytes the container wrote. A word that is coloured would not be
//! found among them: `\x1b[31merror` has the token `31merror`. So words, fields,
//! levels and the index all look at the plain text, made here. Control sequences
//! (colours, cursor) go; what an operating system command (a link, a title)
//! carries stays, so that nothing readable can be hidden from a search.
//!
//! A colour inside a JSON string is spelt `\u001b[31m`; that goes as well.

use std::borrow::Cow;

/// Begins every sequence.
pub const ESC: u8 = 0x1b;
/// Parameters of a control sequence; what is longer is none.
const MAX_SEQUENCE: usize = 64;

/// The body as search sees it. Without escapes, which is nearly always, it costs a look.
pub fn plain(body: &[u8]) -> Cow<'_, [u8]> {
    let body =
        if memchr::memchr(ESC, body).is_some() { Cow::Owned(without_raw(body)) } else { Cow::Borrowed(body) };
    let escaped = if memchr::memchr(b'\\', &body).is_some() { without_escaped(&body) } else { None };
    escaped.map_or(body, Cow::Owned)
}

/// The same for a text; removing whole characters of ASCII leaves it UTF-8.
pub fn plain_text(text: &str) -> Cow<'_, str> {
    match plain(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn without_raw(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| *byte == ESC) {
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at + sequence(&rest[at..])..];
    }
    text.extend_from_slice(rest);
    text
}

/// Bytes of the escape sequence at the begin, at least the escape itself.
fn sequence(text: &[u8]) -> usize {
    match text.get(1) {
        Some(b'[') => control(&text[2..]).map_or(1, |length| 2 + length),
        // A character set, as `tput sgr0` writes it: ESC ( B.
        Some(b' '..=b'/') if text.get(2).is_some_and(|byte| matches!(byte, b'0'..=b'~')) => 3,
        // The begin or end of a command, whose text stays, or a sequence of one letter.
        Some(b'0'..=b'~') => 2,
        _ => 1,
    }
}

/// Parameters and the final byte of a control sequence.
fn control(text: &[u8]) -> Option<usize> {
    let end = text.iter().take(MAX_SEQUENCE).position(|byte| !matches!(byte, b' '..=b'?'))?;
    matches!(text[end], b'@'..=b'~').then_some(end + 1)
}

fn without_escaped(body: &[u8]) -> Option<Vec<u8>> {
    let mut text: Option<Vec<u8>> = None;
    let mut from = 0;
    while let Some((at, length)) = next_escaped(body, from) {
        text.get_or_insert_default().extend_from_slice(&body[from..at]);
        from = at + length;
    }
    let mut text = text?;
    text.extend_from_slice(&body[from..]);
    Some(text)
}

/// The next control sequence that begins with `\u001b[`, and how long it is.
fn next_escaped(body: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while let Some(found) = body[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        let after = &body[at + 1..];
        let head = after.get(..6).is_some_and(|head| head.eq_ignore_ascii_case(b"u001b["));
        if head && let Some(length) = control(&after[6..]) {
            return Some((at, 7 + length));
        }
        // An escaped backslash begins nothing.
        at = (at + 2).min(body.len());
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_go_and_texts_stay() {
        let check = |body: &str, expected: &str| {
            assert_eq!(String::from_utf8_lossy(&plain(body.as_bytes())), expected, "{body:?}");
        };
        check("\x1b[31mERROR\x1b[0m it\x1b[1;38;5;9m broke\x1b(B\x1b[m", "ERROR it broke");
        check("er\x1b[1mror", "error");
        check("\x1b]8;;http://a.b\x1b\\link\x1b]8;;\x07", "8;;http://a.blink8;;\x07");
        check("\x1b", "");
        check("a\x1b\x1b[31mb", "ab");
        check("\x1b[31", "[31");
        check("\x1b[é", "[é");
        check(r#"{"level":"\u001b[32minfo\u001B[39m"}"#, r#"{"level":"info"}"#);
        check(r#"{"m":"\\u001b[32minfo"}"#, r#"{"m":"\\u001b[32minfo"}"#);
        check(r"\u001b[32", r"\u001b[32");
        check(r"C:\users", r"C:\users");
    }

    proptest! {
        #[test]
        fn any_bytes_lose_their_escapes_only(body: Vec<u8>, colour in 0u8..120) {
            let shown = plain(&body);
            prop_assert!(!shown.contains(&ESC) && shown.len() <= body.len());
            let clean: Vec<u8> = body.iter().copied().filter(|byte| !matches!(byte, &ESC | b'\\')).collect();
            let mut coloured = Vec::new();
            for byte in &clean {
                coloured.extend_from_slice(format!("\x1b[{colour}m").as_bytes());
                coloured.push(*byte);
            }
            prop_assert_eq!(&*plain(&coloured), clean.as_slice());
        }
    }
}
