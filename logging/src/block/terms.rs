//! The tokens of a block: words for the dictionary, ids for the filter.

use std::collections::HashSet;

use super::IdFilter;
use crate::query::{
    fields,
    text::{for_each_token, id_hash, is_id},
};

/// Collects the tokens of a block's bodies.
#[derive(Debug, Default)]
pub struct Terms {
    words: HashSet<Box<[u8]>>,
    ids: HashSet<u64>,
}

impl Terms {
    /// Takes in a body's tokens, and those of its fields that are spelt otherwise in it.
    pub fn add(&mut self, body: &[u8]) {
        for_each_token(body, |token| self.add_token(token));
        fields::hidden_texts(body, |text| for_each_token(text.as_bytes(), |token| self.add_token(token)));
    }

    fn add_token(&mut self, token: &[u8]) {
        if is_id(token) {
            self.ids.insert(id_hash(token));
        } else if !self.words.contains(token) {
            self.words.insert(token.into());
        }
    }

    pub fn finish(self) -> (Words, IdFilter) {
        (Words::new(self.words), IdFilter::build(self.ids.into_iter().collect()))
    }
}

/// A sorted set of words in two allocations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    text: Box<[u8]>,
    /// Where each word ends in `text`.
    ends: Box<[u32]>,
}

impl Words {
    fn new(words: HashSet<Box<[u8]>>) -> Self {
        let mut sorted: Vec<_> = words.into_iter().collect();
        sorted.sort_unstable();
        let mut text = Vec::with_capacity(sorted.iter().map(|word| word.len()).sum());
        let mut ends = Vec::with_capacity(sorted.len());
        for word in sorted {
            text.extend_from_slice(&word);
            ends.push(text.len() as u32);
        }
        Self { text: text.into(), ends: ends.into() }
    }

    /// All words, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| self.get(at))
    }

    pub fn has(&self, word: &[u8]) -> bool {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(word) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return true,
            }
        }
        false
    }

    pub fn memory(&self) -> usize {
        self.text.len() + 4 * self.ends.len()
    }

    fn get(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[at] as usize]
    }
}
