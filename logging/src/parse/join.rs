//! Pieces joined to records.
//!
//! One [`Joiner`] a stream, with one pending line for each output, because the
//! pieces of stdout and stderr are interleaved. What is pending is part of the
//! checkpoint, so neither a rotation nor a restart tears a line apart.
//!
//! A record has at most [`MAX_BODY`] bytes of a line. A longer line becomes several records, one
//! behind the other, with one time: each but the last is a [`part`] and ends in a mark that says so.
//! Where it is parted is told by its bytes alone, however they were read. So memory is bounded and
//! no byte is left out.

use serde::{Deserialize, Serialize};

use super::{MAX_BODY, Piece, Tag};
use crate::record::Source;

/// Stands behind a part of a line that goes on in the next record. It is longer than what a part
/// may lack of [`MAX_BODY`], so no whole line is as long as a part with it.
const GOES_ON: &str = " …[goes on in the next record]";

/// The bytes that the container wrote, of a body whose line goes on in the next record of the
/// same output of its stream; `None` of any other body, which is as it was written. A part and
/// those behind it up to the first that is none are the line, to the byte.
pub fn part(body: &[u8]) -> Option<&[u8]> {
    body.strip_suffix(GOES_ON.as_bytes()).filter(|_| body.len() > MAX_BODY)
}

/// The body of a record whose line goes on, of what the container wrote of it: see [`part`].
pub fn as_part(mut text: Vec<u8>) -> Vec<u8> {
    text.extend_from_slice(GOES_ON.as_bytes());
    text
}

/// What stands behind a text of which so many bytes were left out; 0 where nobody knows how many.
pub fn left_out(bytes: u64) -> String {
    match bytes {
        0 => " …[cut by tiphys]".to_owned(),
        bytes => format!(" …[cut by tiphys: {bytes} bytes more]"),
    }
}

/// A whole line as the bodies of its records: one, or more where it is too long.
pub fn parts(line: Vec<u8>) -> Vec<Vec<u8>> {
    if line.len() <= MAX_BODY {
        return vec![line];
    }
    let mut joiner = Joiner::default();
    let mut records = joiner.extend(Source::Stdout, None, &line);
    records.extend(joiner.finish(Source::Stdout));
    records.into_iter().map(|record| record.body).collect()
}

/// The begin of a line whose end has not been read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pending {
    /// The time of the first piece.
    pub time: Option<i64>,
    #[serde(with = "base64_bytes")]
    pub text: Vec<u8>,
    /// What is before the text is in records already.
    #[serde(default)]
    pub continues: bool,
    /// Bytes behind the text that an earlier version, which cut lines, left out.
    #[serde(default)]
    pub dropped: u64,
}

impl Pending {
    /// Takes the first record off a text that is too long for one.
    fn take_part(&mut self, source: Source) -> Joined {
        // Don't tear a character.
        let torn = self.text[..MAX_BODY].utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        let rest = self.text.split_off(MAX_BODY - torn);
        let body = as_part(std::mem::replace(&mut self.text, rest));
        let continues = std::mem::replace(&mut self.continues, true);
        Joined { time: self.time, source, body, continues, goes_on: true }
    }

    /// Says what an earlier version left out, in the place where it was.
    fn tell_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            self.text.extend_from_slice(left_out(dropped).as_bytes());
        }
    }
}

/// A whole line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Nanoseconds; `None` when no piece said.
    pub time: Option<i64>,
    pub source: Source,
    /// Of a part, with the mark behind it.
    pub body: Vec<u8>,
    /// The line began in the record before.
    pub continues: bool,
    /// The line goes on in the next record: this is a [`part`].
    pub goes_on: bool,
}

/// What a piece completes: parts of a line that is too long, and its end.
#[derive(Debug, Default)]
pub struct Completed {
    parts: Vec<Joined>,
    end: Option<Joined>,
}

impl IntoIterator for Completed {
    type Item = Joined;
    type IntoIter = std::iter::Chain<std::vec::IntoIter<Joined>, std::option::IntoIter<Joined>>;

    fn into_iter(self) -> Self::IntoIter {
        self.parts.into_iter().chain(self.end)
    }
}

/// Joins the pieces of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Joiner {
    stdout: Option<Pending>,
    stderr: Option<Pending>,
}

impl Joiner {
    /// Takes a piece in; gives the records that it completes.
    pub fn push(&mut self, piece: Piece<'_>) -> Completed {
        let parts = self.extend(piece.source, piece.time, &piece.text);
        let end = match piece.tag {
            Tag::Partial => None,
            Tag::Full => self.finish(piece.source),
        };
        Completed { parts, end }
    }

    /// More text of a pending line, or the begin of one. Gives the parts that the line has by
    /// then beside what stays pending, which is never longer than a record.
    #[must_use]
    pub fn extend(&mut self, source: Source, time: Option<i64>, mut text: &[u8]) -> Vec<Joined> {
        let pending = self.slot(source).get_or_insert_with(|| Pending { time, ..Pending::default() });
        pending.tell_dropped();
        let mut parts = Vec::new();
        loop {
            let room = MAX_BODY.saturating_sub(pending.text.len());
            let (fits, rest) = text.split_at(text.len().min(room));
            pending.text.extend_from_slice(fits);
            if rest.is_empty() {
                return parts;
            }
            parts.push(pending.take_part(source));
            text = rest;
        }
    }

    /// Ends the pending line, if there is one.
    pub fn finish(&mut self, source: Source) -> Option<Joined> {
        let mut pending = self.slot(source).take()?;
        pending.tell_dropped();
        let Pending { time, text, continues, .. } = pending;
        Some(Joined { time, source, body: text, continues, goes_on: false })
    }

    /// The time of the oldest line that waits for its end, if it has one.
    pub fn since(&self) -> Option<i64> {
        [&self.stdout, &self.stderr].into_iter().flatten().filter_map(|pending| pending.time).min()
    }

    /// Bytes that are waiting.
    pub fn pending_bytes(&self) -> usize {
        [&self.stdout, &self.stderr].into_iter().flatten().map(|pending| pending.text.len()).sum()
    }

    fn slot(&mut self, source: Source) -> &mut Option<Pending> {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }
}

pub(super) mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn push(joiner: &mut Joiner, time: i64, source: Source, tag: Tag, text: &str) -> Option<(i64, String)> {
        let piece = Piece { time: Some(time), source, tag, text: Cow::Borrowed(text.as_bytes()) };
        let joined = joiner.push(piece).into_iter().next()?;
        Some((joined.time?, String::from_utf8(joined.body).expect("UTF-8")))
    }

    /// The records of a line that comes in pieces of these lengths, over and over; between them
    /// the joiner goes through a checkpoint.
    fn records(line: &[u8], lengths: &[usize]) -> Vec<Joined> {
        let (mut joiner, mut found, mut rest) = (Joiner::default(), Vec::new(), line);
        let mut lengths = lengths.iter().cycle();
        loop {
            let (text, after) = rest.split_at(rest.len().min(*lengths.next().expect("lengths")));
            let tag = if after.is_empty() { Tag::Full } else { Tag::Partial };
            let piece = Piece { time: Some(7), source: Source::Stderr, tag, text: Cow::Borrowed(text) };
            found.extend(joiner.push(piece));
            assert!(joiner.pending_bytes() <= MAX_BODY, "memory is bounded");
            if after.is_empty() {
                assert_eq!(joiner, Joiner::default());
                return found;
            }
            let text = serde_json::to_string(&joiner).expect("JSON");
            joiner = serde_json::from_str(&text).expect("a joiner");
            rest = after;
        }
    }

    /// The line again, of records that say of each other what they should.
    #[track_caller]
    fn whole(records: &[Joined]) -> Vec<u8> {
        let last = records.len() - 1;
        let mut line = Vec::new();
        for (at, record) in records.iter().enumerate() {
            assert_eq!((record.time, record.source), (Some(7), Source::Stderr));
            assert_eq!((record.continues, record.goes_on), (at > 0, at < last));
            let bytes = part(&record.body);
            assert_eq!(bytes.is_some(), record.goes_on);
            let bytes = bytes.unwrap_or(&record.body);
            assert!(bytes.len() <= MAX_BODY && !bytes.is_empty());
            line.extend_from_slice(bytes);
        }
        line
    }

    #[test]
    fn pieces_of_two_outputs_do_not_mix() {
        let mut joiner = Joiner::default();
        let (out, err) = (Source::Stdout, Source::Stderr);
        assert_eq!(push(&mut joiner, 1, out, Tag::Partial, "a"), None);
        assert_eq!(push(&mut joiner, 2, err, Tag::Full, "x"), Some((2, "x".into())));
        assert_eq!(push(&mut joiner, 3, out, Tag::Partial, "b"), None);
        assert_eq!(push(&mut joiner, 4, out, Tag::Full, "c"), Some((1, "abc".into())));
        assert_eq!(joiner, Joiner::default());
    }

    #[test]
    fn a_pending_line_survives_a_checkpoint() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.extend(Source::Stderr, Some(5), b"\xff\x00"), []);
        let text = serde_json::to_string(&joiner).expect("JSON");
        assert_eq!(serde_json::from_str::<Joiner>(&text).expect("a joiner"), joiner);
    }

    #[test]
    fn what_an_earlier_version_left_out_is_said_where_it_was() {
        let former = r#"{"stdout":{"time":5,"text":"YWI=","dropped":7},"stderr":null}"#;
        let read = || serde_json::from_str::<Joiner>(former).expect("a joiner");
        let ended = read().finish(Source::Stdout).map(|line| line.body);
        assert_eq!(ended.as_deref(), Some("ab …[cut by tiphys: 7 bytes more]".as_bytes()));
        let mut joiner = read();
        assert_eq!(joiner.extend(Source::Stdout, None, b"cd"), []);
        let ended = joiner.finish(Source::Stdout).expect("a line");
        assert_eq!((ended.time, ended.body), (Some(5), "ab …[cut by tiphys: 7 bytes more]cd".into()));
    }

    #[test]
    fn abuse_34_a_line_without_end_is_parted_and_no_byte_is_left_out() {
        let line: Vec<u8> = (0..25u32 << 18).flat_map(|number| number.to_le_bytes()).collect();
        let records = records(&line, &[16 << 10, MAX_BODY + 1000]);
        assert!(records.len() >= line.len() / MAX_BODY);
        assert!(whole(&records) == line, "the bytes of the line, in order");
    }

    #[test]
    fn a_line_that_fits_is_one_record_and_one_that_does_not_is_two() {
        for (length, expected) in [(1, 1), (MAX_BODY, 1), (MAX_BODY + 1, 2), (2 * MAX_BODY, 2)] {
            let line = vec![b'x'; length];
            assert_eq!(records(&line, &[length]).len(), expected, "{length}");
            let bodies = parts(line.clone());
            let bytes: Vec<&[u8]> = bodies.iter().map(|body| part(body).unwrap_or(body)).collect();
            assert_eq!((bodies.len(), bytes.concat() == line), (expected, true), "{length}");
        }
        // Whoever writes the mark himself has a line that is whole.
        let mut forged = vec![b'x'; MAX_BODY - GOES_ON.len()];
        forged.extend_from_slice(GOES_ON.as_bytes());
        assert_eq!(part(&forged), None);
        assert_eq!(parts(forged.clone()), [forged]);
    }

    #[test]
    fn no_character_is_torn() {
        for filler in 0..4 {
            let line = format!("{}{}", "x".repeat(filler), "é😀\u{200b}".repeat(MAX_BODY / 8));
            let records = records(line.as_bytes(), &[8191]);
            for record in &records {
                assert!(std::str::from_utf8(&record.body).is_ok(), "{filler}");
            }
            assert!(records.len() > 1 && whole(&records) == line.as_bytes(), "{filler}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_does_not_matter_in_which_pieces_a_line_is_read(
            seed in proptest::collection::vec(any::<u8>(), 1..9),
            length in 1usize..3 * MAX_BODY,
            lengths in proptest::collection::vec(20_000usize..400_000, 1..4),
        ) {
            let line: Vec<u8> = seed.iter().copied().cycle().take(length).collect();
            let found = records(&line, &lengths);
            prop_assert!(found == records(&line, &[length]));
            prop_assert!(whole(&found) == line);
        }
    }
}
