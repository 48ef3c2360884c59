//! The names of fields that records have, for people who don't know them yet.
//!
//! At most [`MAX_NAMES`] are told apart; a body whose keys are data (ids, paths) can
//! have any number of them. Who brought the most beyond is named.

use std::collections::HashMap;

use super::{keys::short, plan::Candidate};
use crate::{
    query::{fields::Fields, plain::plain},
    record::Record,
};

/// Names of an answer.
pub(super) const MAX_NAMES: usize = 1000;

/// Names with the number of records that have them.
#[derive(Debug, Default)]
pub(super) struct Names {
    counts: HashMap<String, u64>,
    /// Names of the present block that found no room.
    refused: u64,
    /// Where most names found no room, and how many.
    offender: Option<(u64, String)>,
}

impl Names {
    /// Counts the names of a record's fields.
    pub fn take_in(&mut self, record: &Record) {
        let body = plain(&record.body);
        Fields::of(&body).each_name(&mut |name| self.add(name, 1));
    }

    /// The block before is through, with so many records: its Pod's labels are names too.
    pub fn end_of(&mut self, candidate: &Candidate, count: u64) {
        if let Some(labels) = candidate.labels.as_ref().filter(|_| count > 0) {
            labels.keys().for_each(|name| self.add(name, count));
        }
        let refused = std::mem::take(&mut self.refused);
        if self.offender.as_ref().map_or(0, |(most, _)| *most) < refused {
            let info = &candidate.info;
            let place = format!("container `{}` of Pod `{}/{}`", info.container, info.namespace, info.pod);
            self.offender = Some((refused, place));
        }
    }

    fn add(&mut self, name: &str, count: u64) {
        let name = short(name);
        if let Some(sum) = self.counts.get_mut(&*name) {
            *sum += count;
        } else if self.counts.len() < MAX_NAMES {
            self.counts.insert(name.into_owned(), count);
        } else {
            self.refused += 1;
        }
    }

    /// Whether every name found room.
    pub fn is_whole(&self) -> bool {
        self.offender.is_none()
    }

    /// Takes in the names of later blocks, which are whole; false, and nothing is taken in, if there
    /// is not enough room: who brought most beyond is told from block to block.
    pub fn append(&mut self, later: Self) -> bool {
        let new = later.counts.keys().filter(|name| !self.counts.contains_key(*name)).count();
        if self.counts.len() + new > MAX_NAMES {
            return false;
        }
        for (name, count) in later.counts {
            *self.counts.entry(name).or_default() += count;
        }
        true
    }

    /// The names, and a sentence about those that are missing.
    pub fn finish(self) -> (HashMap<String, u64>, Option<String>) {
        let sentence = self.offender.map(|(_, place)| {
            format!(
                "there are more than {MAX_NAMES} field names and not all are listed: most of the rest are of {place}"
            )
        });
        (self.counts, sentence)
    }
}
