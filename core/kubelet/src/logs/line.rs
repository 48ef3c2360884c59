//! A line of a CRI log: `<time> <stdout|stderr> <P|F> <text>`.
//!
//! `P` is a piece of a line that goes on, `F` its end.

/// Pieces of a line, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// RFC 3339 with nanoseconds, as written.
    pub time: &'a [u8],
    pub stream: &'a [u8],
    /// The text is the end of a line.
    pub ends: bool,
    /// Without its line end.
    pub text: &'a [u8],
}

impl<'a> Line<'a> {
    pub(crate) fn timestamp(&self) -> Option<jiff::Timestamp> {
        std::str::from_utf8(self.time).ok()?.parse().ok()
    }

    pub(crate) fn text_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.text).ok()
    }
}

/// `None` for what is no such line.
pub(crate) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (time, rest) = split(line)?;
    let (stream, rest) = split(rest)?;
    let (tags, text) = split(rest).unwrap_or((rest, b""));
    let known = matches!(stream, b"stdout" | b"stderr") && matches!(tags.first(), Some(b'P' | b'F'));
    known.then_some(Line { time, stream, ends: tags.first() == Some(&b'F'), text })
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = parse(b"2026-01-02T03:04:05.000000006Z stdout F hello  world\n").expect("a line");
        assert_eq!((line.text, line.ends), (&b"hello  world"[..], true));
        assert_eq!(line.timestamp().map(|time| time.subsec_nanosecond()), Some(6));
        assert!(!parse(b"2026-01-02T03:04:05Z stderr P part").expect("a line").ends);
        assert_eq!(parse(b"2026-01-02T03:04:05Z stdout F").expect("a line").text, b"");
        for broken in [&b"hello"[..], b"", b"a b c", b"2026 stdout X text"] {
            assert_eq!(parse(broken), None);
        }
    }
}
