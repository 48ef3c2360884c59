//! Pieces joined to records.
//!
//! One [`Joiner`] a stream, with one pending line for each output, because the
//! pieces of stdout and stderr are interleaved. What is pending is part of the
//! checkpoint, so neither a rotation nor a restart tears a line apart.

use serde::{Deserialize, Serialize};

use super::{MAX_BODY, Piece, Tag};
use crate::record::Source;

/// The begin of a line whose end has not been read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pending {
    /// The time of the first piece.
    pub time: Option<i64>,
    #[serde(with = "base64_bytes")]
    pub text: Vec<u8>,
    /// Bytes that came beyond [`MAX_BODY`].
    pub dropped: u64,
}

/// A whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Nanoseconds; `None` when no piece said.
    pub time: Option<i64>,
    pub source: Source,
    pub body: Vec<u8>,
}

/// Joins the pieces of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Joiner {
    stdout: Option<Pending>,
    stderr: Option<Pending>,
}

impl Joiner {
    /// Takes a piece in; gives the record that it completes.
    pub fn push(&mut self, piece: Piece<'_>) -> Option<Joined> {
        self.extend(piece.source, piece.time, &piece.text);
        match piece.tag {
            Tag::Partial => None,
            Tag::Full => self.finish(piece.source),
        }
    }

    /// More text of a pending line, or the begin of one.
    pub fn extend(&mut self, source: Source, time: Option<i64>, text: &[u8]) {
        let pending = self.slot(source).get_or_insert_with(|| Pending { time, ..Pending::default() });
        let room = MAX_BODY - pending.text.len().min(MAX_BODY);
        let kept = text.len().min(room);
        pending.text.extend_from_slice(&text[..kept]);
        pending.dropped += (text.len() - kept) as u64;
    }

    /// Counts text of a pending line that was not even read into memory.
    pub fn skip(&mut self, source: Source, bytes: u64) {
        self.slot(source).get_or_insert_default().dropped += bytes;
    }

    /// Ends the pending line, if there is one.
    pub fn finish(&mut self, source: Source) -> Option<Joined> {
        let Pending { time, mut text, dropped } = self.slot(source).take()?;
        if dropped > 0 {
            // Don't leave half a character before the mark.
            let torn = text.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
            let dropped = dropped + if torn < 4 { torn as u64 } else { 0 };
            text.truncate(text.len() - if torn < 4 { torn } else { 0 });
            text.extend_from_slice(format!(" …[cut by tiphys: {dropped} bytes more]").as_bytes());
        }
        Some(Joined { time, source, body: text })
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
    use super::*;
    use std::borrow::Cow;

    fn push(joiner: &mut Joiner, time: i64, source: Source, tag: Tag, text: &str) -> Option<(i64, String)> {
        let piece = Piece { time: Some(time), source, tag, text: Cow::Borrowed(text.as_bytes()) };
        let joined = joiner.push(piece)?;
        Some((joined.time?, String::from_utf8(joined.body).expect("UTF-8")))
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
        joiner.extend(Source::Stderr, Some(5), b"\xff\x00");
        let text = serde_json::to_string(&joiner).expect("JSON");
        assert_eq!(serde_json::from_str::<Joiner>(&text).expect("a joiner"), joiner);
    }

    #[test]
    fn abuse_34_a_line_without_end_is_cut_with_a_mark() {
        let mut joiner = Joiner::default();
        let piece = vec![b'x'; 16 << 10];
        let mut last = None;
        for at in 0..6400 {
            let tag = if at == 6399 { Tag::Full } else { Tag::Partial };
            let piece = Piece { time: Some(1), source: Source::Stdout, tag, text: Cow::Borrowed(&piece) };
            last = joiner.push(piece);
            assert!(joiner.pending_bytes() <= MAX_BODY);
        }
        let body = last.expect("a record").body;
        let end = format!(" …[cut by tiphys: {} bytes more]", 6400 * (16 << 10) - MAX_BODY);
        assert!(body.ends_with(end.as_bytes()));
        assert_eq!(body.len(), MAX_BODY + end.len());
    }
}
