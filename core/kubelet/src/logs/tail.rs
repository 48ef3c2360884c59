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
    // Raw lines from the end, until enough of them end a line of text.
    let mut end = length;
    let mut starts = Vec::new();
    let mut buffer = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        buffer.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
        file.read_exact_at(&mut buffer, start)?;
        for (at, byte) in buffer.iter().enumerate().rev() {
            let next = start + at as u64 + 1;
            if *byte == b'\n' && next < length {
                starts.push(next);
                if let Some(found) = enough(file, &starts, length, lines)? {
                    return Ok(found);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

/// Checks the newest raw line: the line before it must end for it to be a beginning.
fn enough(file: &File, starts: &[u64], length: u64, lines: u64) -> io::Result<Option<u64>> {
    // A raw line needs its predecessor to be known, so look one further than asked.
    if (starts.len() as u64) < lines + 1 {
        return Ok(None);
    }
    let mut count = 0;
    for (n, start) in starts.iter().enumerate() {
        let end = if n == 0 { length } else { starts[n - 1] };
        if ends_line(file, *start, end)? {
            count += 1;
        }
        if count == lines + 1 {
            return Ok(Some(end));
        }
    }
    Ok(None)
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
            let texts: Vec<_> = text.lines().map(|line| line.rsplit(' ').next().unwrap_or_default()).collect();
            assert_eq!(texts, expected, "the last {lines}");
        };
        check(0, &[]);
        check(1, &["three"]);
        check(2, &["tw", "o", "three"]);
        check(3, &["one", "tw", "o", "three"]);
        check(9, &["one", "tw", "o", "three"]);
    }
}
