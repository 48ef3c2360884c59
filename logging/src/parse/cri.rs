//! One line of a log file, in the format of the file.
//!
//! The CRI format (Kubernetes `logging.md`): `<RFC 3339 nanoseconds> <stdout|stderr> <tags> <message>`,
//! where the first of the `:`-separated tags is `P` for a piece of a longer line
//! and `F` for its end. Docker's json-file: `{"log":"...\n","stream":"stdout","time":"..."}`,
//! where a `log` without a line end is a piece. The first byte of a file tells
//! them apart, so that no line that a container wrote is taken for the other format.
//! The logs of the node's own parts are plain lines.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{record::Source, time};

/// Whether more of the record follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Partial,
    Full,
}

/// A record, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Nanoseconds; `None` when the line doesn't say.
    pub time: Option<i64>,
    pub source: Source,
    pub tag: Tag,
    pub text: Cow<'a, [u8]>,
}

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Cri,
    Docker,
    /// Lines as they are; `now` helps with times that have no year.
    Plain {
        now: i64,
    },
}

impl Format {
    /// Of a file that begins with this byte.
    pub fn of(first: u8) -> Self {
        if first == b'{' { Format::Docker } else { Format::Cri }
    }

    /// Reads a line, given without its line end. One that is not of the format is a
    /// whole record without a time.
    pub fn piece(self, line: &[u8]) -> Piece<'_> {
        let read = match self {
            Format::Cri => cri(line),
            Format::Docker => docker(line),
            Format::Plain { now } => {
                let (time, text) = (super::stamp(line, now), Cow::Borrowed(line));
                Some(Piece { time, source: Source::Stdout, tag: Tag::Full, text })
            }
        };
        read.unwrap_or(Piece {
            time: None,
            source: Source::Stdout,
            tag: Tag::Full,
            text: Cow::Borrowed(line),
        })
    }
}

fn cri(line: &[u8]) -> Option<Piece<'_>> {
    let (stamp, rest) = word(line)?;
    let (source, rest) = word(rest)?;
    // A message may be empty; some runtimes then leave the last space out.
    let (tags, text) = word(rest).unwrap_or((rest, &[]));
    let source = match source {
        b"stdout" => Source::Stdout,
        b"stderr" => Source::Stderr,
        _ => return None,
    };
    let tag = match tags.split(|byte| *byte == b':').next() {
        Some(b"P") => Tag::Partial,
        Some(b"F") => Tag::Full,
        _ => return None,
    };
    let stamp = std::str::from_utf8(stamp).ok()?;
    Some(Piece { time: Some(time::parse(stamp)?), source, tag, text: Cow::Borrowed(text) })
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    // A time stamp is the longest first word; looking further is in vain.
    let space = text.iter().take(64).position(|byte| *byte == b' ')?;
    Some((&text[..space], &text[space + 1..]))
}

#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

fn docker(line: &[u8]) -> Option<Piece<'_>> {
    let line: DockerLine<'_> = serde_json::from_slice(line).ok()?;
    let source = if line.stream == "stderr" { Source::Stderr } else { Source::Stdout };
    let time = Some(time::parse(&line.time)?);
    let mut text = line.log.into_owned().into_bytes();
    let tag = if text.last() == Some(&b'\n') { Tag::Full } else { Tag::Partial };
    if tag == Tag::Full {
        text.pop();
    }
    Some(Piece { time, source, tag, text: Cow::Owned(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_formats() {
        let check = |line: &str, time: Option<&str>, source, tag, text: &str| {
            let first = line.bytes().next().unwrap_or_default();
            let found = Format::of(first).piece(line.as_bytes());
            let shown = found.time.map(crate::time::format);
            assert_eq!(shown.as_deref(), time, "{line}");
            assert_eq!((found.source, found.tag), (source, tag), "{line}");
            assert_eq!(String::from_utf8_lossy(&found.text), text, "{line}");
        };
        let (out, err) = (Source::Stdout, Source::Stderr);
        let noon = Some("2026-01-31T12:00:00.123456789Z");
        check("2026-01-31T12:00:00.123456789Z stdout F hello  you", noon, out, Tag::Full, "hello  you");
        check("2026-01-31T13:00:00.123456789+01:00 stderr P:x hel", noon, err, Tag::Partial, "hel");
        check("2026-01-31T12:00:00.123456789Z stdout F ", noon, out, Tag::Full, "");
        check("2026-01-31T12:00:00.123456789Z stdout F", noon, out, Tag::Full, "");
        check(
            "2026-01-31T12:00:00.123456789Z stdout X a",
            None,
            out,
            Tag::Full,
            "2026-01-31T12:00:00.123456789Z stdout X a",
        );
        check("just text", None, out, Tag::Full, "just text");
        check("", None, out, Tag::Full, "");
        let docker = r#"{"log":"a \"b\"\n","stream":"stderr","time":"2026-01-31T12:00:00.123456789Z"}"#;
        check(docker, noon, err, Tag::Full, "a \"b\"");
        let piece = r#"{"log":"a","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}"#;
        check(piece, noon, out, Tag::Partial, "a");
        check(
            "9999-12-31T23:59:59Z stdout F far",
            Some("2262-04-11T23:47:16.854775807Z"),
            out,
            Tag::Full,
            "far",
        );
        check("{\"log\":1}", None, out, Tag::Full, "{\"log\":1}");
        check("{\"log", None, out, Tag::Full, "{\"log");
    }

    #[test]
    fn a_line_is_read_in_the_format_of_its_file_only() {
        let docker = br#"{"log":"a\n","stream":"stderr","time":"2026-01-31T12:00:00Z"}"#;
        assert_eq!(&*Format::Cri.piece(docker).text, docker);
        let cri = b"2026-01-31T12:00:00Z stderr F a";
        assert_eq!(&*Format::Docker.piece(cri).text, cri);
    }
}
