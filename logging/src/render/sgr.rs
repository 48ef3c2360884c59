//! Colours that a container wrote: the SGR sequences of a line (`ESC [ 1;31 m`), and nothing else
//! that begins with an escape.
//!
//! ```text
//! foreign line -> text without its SGR sequences, and which codes stood where
//!              -> written anew, hits marked, reset at the end
//! ```
//!
//! No byte of a sequence is passed on: its codes are read as numbers and written again. Codes that
//! hide what they stand before are left out, and a sequence that is not well-formed stays in the
//! text, where it is escaped as any other control character.

use std::{fmt::Write, ops::Range};

use super::escaped;

/// What becomes of the colours in a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sgr {
    /// They are escaped, as all control characters are.
    #[default]
    Shown,
    /// They are left out.
    Dropped,
    /// They are written again.
    Kept,
}

/// Codes at a place of a text: bytes of the text without sequences.
pub type Mark = (usize, String);

/// Bytes of the codes of one sequence.
const LONGEST: usize = 48;
/// Sequences that are written once more behind a hit.
const ACTIVE: usize = 8;

/// A line without its SGR sequences, and their codes. What is left may have any other control
/// character.
pub fn parted(line: &str) -> (String, Vec<Mark>) {
    let (mut text, mut marks) = (String::with_capacity(line.len()), Vec::new());
    let mut rest = line;
    while let Some(at) = rest.find("\x1b[") {
        let (before, sequence) = rest.split_at(at);
        text.push_str(before);
        let behind = &sequence[2..];
        match sequence_at(behind) {
            Some((codes, length)) => {
                if !codes.is_empty() {
                    marks.push((text.len(), codes));
                }
                rest = &behind[length..];
            }
            None => {
                text.push_str("\x1b[");
                rest = behind;
            }
        }
    }
    text.push_str(rest);
    (text, marks)
}

/// The codes that a text begins with, and how many bytes they have with their `m`.
fn sequence_at(text: &str) -> Option<(String, usize)> {
    let is_code = |byte: u8| byte.is_ascii_digit() || byte == b';' || byte == b':';
    let end = text.bytes().take(LONGEST + 1).position(|byte| !is_code(byte))?;
    if text.as_bytes()[end] != b'm' {
        return None;
    }
    Some((codes(&text[..end])?, end + 1))
}

/// The codes that may be written; `None`: these are none.
fn codes(text: &str) -> Option<String> {
    let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse::<u8>().ok() };
    let mut kept: Vec<String> = Vec::new();
    let mut parts = text.split(';');
    while let Some(part) = parts.next() {
        if let Some((first, _)) = part.split_once(':') {
            // A colour or an underline with its own parameters.
            if ["4", "38", "48", "58"].contains(&first) {
                kept.push(part.to_owned());
            }
            continue;
        }
        match number(part)? {
            // What it stands before is not seen.
            8 => {}
            code @ (38 | 48 | 58) => {
                let mode = number(parts.next()?)?;
                let values = match mode {
                    5 => 1,
                    2 => 3,
                    _ => return None,
                };
                kept.extend([code.to_string(), mode.to_string()]);
                for _ in 0..values {
                    kept.push(number(parts.next()?)?.to_string());
                }
            }
            code @ 0..=107 => kept.push(code.to_string()),
            _ => {}
        }
    }
    Some(kept.join(";"))
}

/// Writes a text with its colours and with its hits reversed; at the end there is no colour.
pub fn write(line: &mut String, text: &str, marks: &[Mark], hits: &[Range<usize>]) {
    let (mut marks, mut active, mut from) = (marks.iter().peekable(), Vec::new(), 0);
    let end = text.len()..text.len();
    for hit in hits.iter().chain([&end]) {
        while let Some((at, codes)) = marks.next_if(|(at, _)| *at <= hit.start) {
            line.push_str(&escaped(&text[from..*at]));
            from = *at;
            let had = !active.is_empty();
            note(&mut active, codes);
            if had || !active.is_empty() {
                // Writing to a String can't fail.
                let _ = write!(line, "\x1b[{codes}m");
            }
        }
        line.push_str(&escaped(&text[from..hit.start]));
        from = hit.end;
        if hit.is_empty() {
            continue;
        }
        let _ = write!(line, "\x1b[7m{}\x1b[0m", escaped(&text[hit.clone()]));
        // What changes within a hit is seen behind it.
        while let Some((_, codes)) = marks.next_if(|(at, _)| *at < hit.end) {
            note(&mut active, codes);
        }
        for codes in &active {
            let _ = write!(line, "\x1b[{codes}m");
        }
    }
    if !active.is_empty() {
        line.push_str("\x1b[0m");
    }
}

/// The codes that hold from here on; the last few, so that a line of nothing else stays small.
fn note<'a>(active: &mut Vec<&'a str>, codes: &'a str) {
    if codes == "0" || codes.starts_with("0;") {
        active.clear();
    }
    if codes != "0" {
        active.push(codes);
    }
    if active.len() > ACTIVE {
        active.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(line: &str, hits: &[Range<usize>]) -> String {
        let (text, marks) = parted(line);
        let mut shown = String::new();
        write(&mut shown, &text, &marks, hits);
        shown
    }

    #[test]
    fn codes_are_read_and_written_again() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(codes(text).as_deref(), expected, "{text}");
        };
        check("", Some("0"));
        check("1;31", Some("1;31"));
        check("01;;007", Some("1;0;7"));
        check("38;5;8", Some("38;5;8"));
        check("38;2;1;2;3;4", Some("38;2;1;2;3;4"));
        check("4:3;38:5:9", Some("4:3;38:5:9"));
        // What hides a text, and what no terminal knows.
        check("8", Some(""));
        check("31;8;1", Some("31;1"));
        check("200", Some(""));
        check("9:1", Some(""));
        for wrong in ["256", "38", "38;9;1", "38;5", "48;2;1;2"] {
            check(wrong, None);
        }
    }

    #[test]
    fn colours_end_with_their_line() {
        assert_eq!(kept("a\x1b[31mb\x1b[0mc", &[]), "a\x1b[31mb\x1b[0mc");
        assert_eq!(kept("\x1b[31mb", &[]), "\x1b[31mb\x1b[0m");
        assert_eq!(kept("b\x1b[m", &[]), "b");
        assert_eq!(kept("\x1b[1m\x1b[0;32mx", &[]), "\x1b[1m\x1b[0;32mx\x1b[0m");
        assert_eq!(kept("\x1b[2Jx\x1b[31", &[]), "\\x1b[2Jx\\x1b[31");
        let long = format!("\x1b[{}mx", "1;".repeat(LONGEST));
        assert!(kept(&long, &[]).starts_with("\\x1b["), "{long:?}");
    }

    #[test]
    fn a_hit_parts_no_colour() {
        let (text, _) = parted("\x1b[31mno er\x1b[32mror here\x1b[0m");
        assert_eq!(text, "no error here");
        let shown = kept("\x1b[31mno er\x1b[32mror here\x1b[0m", std::slice::from_ref(&(3..8)));
        assert_eq!(shown, "\x1b[31mno \x1b[7merror\x1b[0m\x1b[31m\x1b[32m here\x1b[0m");
        // However many there are, what is written again is little.
        let many = "\x1b[31mx".repeat(1000);
        let hits: Vec<_> = (0..1000).map(|at| at..at + 1).collect();
        assert!(kept(&many, &hits).len() < 1000 * (ACTIVE + 3) * 6);
    }
}
