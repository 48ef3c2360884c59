//! What a query knows of a template's records before their bodies are put together.
//!
//! Words without digits stand in the template itself. Numbers and ids are its
//! variables, and what a regular expression spells out can be in either: for those
//! this says what must be found, and the block's columns whether it is.

use std::cell::LazyCell;

use super::{
    compile::{Compiled, Leaf, Verdict},
    lines,
    plain::ESC,
    required::Letters,
    text,
};
use crate::block::template::{self, Piece, Spelt, class};

impl Compiled {
    /// What a block's verdicts become for the records of a template, by its key.
    pub fn on_template(&self, verdicts: &[Verdict], key: &[u8]) -> Vec<Verdict> {
        let Some(seen) = Seen::of(key) else { return verdicts.to_vec() };
        let has_words =
            |tokens: &[Vec<u8>]| tokens.iter().filter(|token| is_literal(token)).all(|token| seen.has(token));
        let judge = |(leaf, verdict): (&Leaf, &Verdict)| match leaf {
            Leaf::Field { tokens, formats, .. } if *verdict == Verdict::Maybe && !seen.is_escaped() => {
                // The name, which is the first token then, is in no line of such a format.
                let is_unnamed = !formats.is_empty() && formats.meets(lines::guess(&seen.text));
                let tokens = tokens.get(usize::from(is_unnamed)..).unwrap_or_default();
                if has_words(tokens) { Verdict::Maybe } else { Verdict::No }
            }
            Leaf::Body { regex, tokens, in_template, .. } if *verdict == Verdict::Maybe => {
                if *in_template {
                    Verdict::of(regex.is_match(&seen.text))
                } else if has_words(tokens) {
                    Verdict::Maybe
                } else {
                    Verdict::No
                }
            }
            _ => *verdict,
        };
        self.leaves.iter().zip(verdicts).map(judge).collect()
    }

    /// The same where it is known what the template's variables spell.
    pub fn on_spelt(&self, verdicts: &[Verdict], key: &[u8], slots: Option<&[Spelt]>) -> Vec<Verdict> {
        let mut verdicts = self.on_template(verdicts, key);
        if let Some(slots) = slots {
            for leaf in self.beyond(&verdicts, key, |letters| template::may_spell(key, slots, letters)) {
                verdicts[leaf] = Verdict::No;
            }
        }
        verdicts
    }

    /// What a record of the template with this key must have for a leaf: runs of letters and
    /// digits, as [`template::runs`] has them. Nothing where nothing can be told; of fields
    /// it can't where `respelt` says that numbers may be read in other digits.
    pub fn needs(
        &self,
        verdicts: &[Verdict],
        key: &[u8],
        respelt: impl FnOnce() -> bool,
    ) -> Vec<(usize, Vec<&[u8]>)> {
        let Some(seen) = Seen::of(key) else { return Vec::new() };
        let respelt = LazyCell::new(respelt);
        let mut needs = Vec::new();
        for (at, leaf) in self.leaves.iter().enumerate().filter(|(at, _)| verdicts[*at] == Verdict::Maybe) {
            let tokens: &[Vec<u8>] = match leaf {
                Leaf::Body { tokens, .. } => tokens,
                Leaf::Field { tokens, .. } if !seen.is_escaped() && !*respelt => tokens,
                _ => continue,
            };
            let runs: Vec<&[u8]> = tokens.iter().flat_map(|token| template::runs(token)).collect();
            if !runs.is_empty() {
                needs.push((at, runs));
            }
        }
        needs
    }

    /// The leaves that no record of a template can hold for, by the letters they must find;
    /// `may_have` answers for the template with this key.
    pub fn beyond(
        &self,
        verdicts: &[Verdict],
        key: &[u8],
        may_have: impl Fn(&Letters) -> bool,
    ) -> Vec<usize> {
        let spelt = |leaf: &Leaf| match leaf {
            Leaf::Body { letters, .. } => !letters.is_empty(),
            _ => false,
        };
        if !self.leaves.iter().any(spelt) || Seen::of(key).is_none() {
            return Vec::new();
        }
        let lacks = |(at, leaf): (usize, &Leaf)| match leaf {
            Leaf::Body { letters, .. } if verdicts[at] == Verdict::Maybe => {
                (!letters.iter().all(&may_have)).then_some(at)
            }
            _ => None,
        };
        self.leaves.iter().enumerate().filter_map(lacks).collect()
    }
}

/// In the place of each variable of a template: part of a token, and no query has it.
pub(super) const VARIABLE: u8 = 0xff;

/// A template as queries see it, with [`VARIABLE`] in the place of each variable.
struct Seen {
    text: Vec<u8>,
}

impl Seen {
    /// `None` when nothing can be told from the template.
    fn of(key: &[u8]) -> Option<Self> {
        let mut text = Vec::with_capacity(key.len());
        for piece in template::pieces(key) {
            match piece {
                Piece::Literal(literal) => text.extend_from_slice(literal),
                Piece::Slot(class::WHOLE) => return None,
                Piece::Slot(_) => text.push(VARIABLE),
            }
        }
        // A colour goes before a body is searched, and takes a part of a variable with it.
        let coloured = text.contains(&ESC) || text.windows(3).any(|spelt| spelt == [b'\\', VARIABLE, b'[']);
        (!coloured).then_some(Self { text })
    }

    /// A field may have other tokens than the text of its body: it spells characters.
    fn is_escaped(&self) -> bool {
        self.text.contains(&b'\\')
    }

    fn has(&self, token: &[u8]) -> bool {
        let mut has = false;
        text::for_each_token(&self.text, |other| has |= other == token);
        has
    }
}

/// Whether a token stands in templates only, never in a variable.
pub(super) fn is_literal(token: impl AsRef<[u8]>) -> bool {
    let token = token.as_ref();
    !token.iter().any(u8::is_ascii_digit) && !template::may_hide(token)
}
