//! Where the last lines of a file begin, without reading all of it.

use std::{
    fs::File,
    io::{self},
    os::unix::fs::FileExt,
};

const BLOCK: u64 = 64 << 10;

/// The offset of the last `lines` lines. Pieces of one line count as one.
pub(super) fn start_of_last(file: &File, lines: u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok(length);
    }
    // The begin of the raw line that was seen last, from the end on. It begins a line
    // of text if the raw line before it ends one.
    let (mut end, mut begin, mut count) = (length, length, 0);
    let mut buffer = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        buffer.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
        file.read_exact_at(&mut buffer, start)?;
        for (at, _) in buffer.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let next = start + at as u64 + 1;
            if next == length {
                continue;
            }
            if begin < length && ends_line(file, next, begin)? {
                count += 1;
                if count == lines {
                    return Ok(begin);
                }
            }
            begin = next;
        }
        end = start;
    }
    let first_ends = begin < length && ends_line(file, 0, begin)?;
    Ok(if first_ends && count + 1 == lines { begin } else { 0 })
}

/// Only the head of a raw line is needed to know its tag.
fn ends_line(file: &File, start: u64, end: u64) -> io::Result<bool> {
    const HEAD: u64 = 64;
    let mut head = vec![0; usize::try_from((end - start).min(HEAD)).map_err(io::Error::other)?];
    file.read_exact_at(&mut head, start)?;
    Ok(super::line::parse(&head).is_none_or(|line| line.ends))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn the_last_lines_are_found() {
        let mut file = tempfile::tempfile().expect("a file");
        for (tag, text) in [("F", "one"), ("P", "tw"), ("F", "o"), ("F", "three")] {
            writeln!(file, "2026-01-02T03:04:05Z stdout {tag} {text}").expect("written");
        }
        let mut check = |lines, expected: &[&str]| {
            let start = start_of_last(&file, lines).expect("found");
            file.seek(SeekFrom::Start(start)).expect("found");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("read");
            let texts: Vec<_> =
                text.lines().map(|line| line.rsplit(' ').next().unwrap_or_default()).collect();
            assert_eq!(texts, expected, "the last {lines}");
        };
        check(0, &[]);
        check(1, &["three"]);
        check(2, &["tw", "o", "three"]);
        check(3, &["one", "tw", "o", "three"]);
        check(9, &["one", "tw", "o", "three"]);
    }
}
