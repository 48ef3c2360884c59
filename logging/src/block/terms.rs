//! The tokens of a block: words for the dictionary, ids for the filter.

use std::{borrow::Cow, ops::Range, sync::OnceLock};

use super::{IdFilter, template::Intern};
use crate::query::{
    fields,
    lines::{self, Formats},
    plain::plain,
    text::{for_each_token_in, id_hash, is_token_byte},
};

/// Collects the tokens of a block's bodies.
#[derive(Debug, Default)]
pub struct Terms {
    words: Intern,
    /// Hashes, any of them more than once.
    ids: Vec<u64>,
    /// What the bodies may be of; the names of its fields are taken in.
    formats: Formats,
    /// The token that is looked at.
    lower: Vec<u8>,
}

impl Terms {
    /// Takes in a body's tokens, those of its fields that are spelt otherwise in it, and the
    /// names of fields that are not spelt there at all.
    pub fn add(&mut self, body: &[u8]) {
        let body = plain(body);
        self.add_tokens(&body);
        self.add_hidden(&body);
    }

    /// As [`Terms::add`] for a body whose template has been taken in with another:
    /// only the tokens are new that its variables are part of. `variables` are where
    /// they stand, ascending.
    pub fn add_variables(&mut self, body: &[u8], variables: impl Iterator<Item = Range<usize>>) {
        if let Cow::Owned(_) = plain(body) {
            // The variables stand elsewhere in what is searched.
            return self.add(body);
        }
        let mut done = 0;
        for Range { start, end } in variables {
            if start < done {
                continue;
            }
            let before = body[..start].iter().rev().take_while(|byte| is_token_byte(**byte)).count();
            let after = body[end..].iter().take_while(|byte| is_token_byte(**byte)).count();
            done = end + after;
            self.add_tokens(&body[start - before..done]);
        }
        self.add_hidden(body);
    }

    fn add_hidden(&mut self, body: &[u8]) {
        fields::hidden_texts(body, |text| self.add_tokens(text.as_bytes()));
        let new = self.formats.take_in(lines::guess(body));
        new.names().for_each(|name| self.add_tokens(name.as_bytes()));
    }

    fn add_tokens(&mut self, text: &[u8]) {
        for_each_token_in(text, &mut self.lower, |token, is_id| {
            if is_id {
                self.ids.push(id_hash(token));
            } else {
                self.words.number(token);
            }
        });
    }

    pub fn finish(mut self) -> (Words, IdFilter) {
        self.words.number(lines::NAMED);
        let words = (0..self.words.count()).map(|number| self.words.get(number)).collect();
        (Words::new(words), IdFilter::build(self.ids))
    }
}

/// A set of words in two allocations. They are sorted when one of them is first looked for: of most
/// blocks all words go into a dictionary, which sorts by itself, before anybody asks.
#[derive(Debug, Clone, Default)]
pub struct Words {
    text: Box<[u8]>,
    /// Where each word ends in `text`.
    ends: Box<[u32]>,
    /// The words' numbers, by word.
    order: OnceLock<Box<[u32]>>,
}

impl Words {
    /// Of words that differ.
    pub fn new(words: Vec<&[u8]>) -> Self {
        let mut text = Vec::with_capacity(words.iter().map(|word| word.len()).sum());
        let mut ends = Vec::with_capacity(words.len());
        for word in words {
            text.extend_from_slice(word);
            ends.push(text.len() as u32);
        }
        Self { text: text.into(), ends: ends.into(), order: OnceLock::new() }
    }

    /// All words, as they came first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| self.get(at))
    }

    pub fn has(&self, word: &[u8]) -> bool {
        let order = self.order.get_or_init(|| {
            let mut order: Box<[u32]> = (0..self.ends.len() as u32).collect();
            order.sort_unstable_by(|a, b| self.get(*a as usize).cmp(self.get(*b as usize)));
            order
        });
        order.binary_search_by(|number| self.get(*number as usize).cmp(word)).is_ok()
    }

    /// Bytes, sorted or not.
    pub fn memory(&self) -> usize {
        self.text.len() + 8 * self.ends.len()
    }

    fn get(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[at] as usize]
    }
}
