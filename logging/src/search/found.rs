//! What facets find in records beside their levels: values of fields, patterns, names of fields.
//!
//! A thread has one for its portion of the blocks. Taken in one portion after the other, they make
//! the one that a single thread comes to: what comes first finds room first. A portion of which
//! something found no room itself can't say what came first, so it is looked at again, straight into
//! the whole.

use std::collections::{BTreeMap, HashMap};

use super::{
    Progress, Request,
    keys::Keys,
    look::{Look, Want},
    names::Names,
    patterns::{OTHERS, Patterns},
    plan::Candidate,
};
use crate::{index::Store, query::compile::Verdict};

/// Values of a field that are told apart.
const MAX_DISTINCT: usize = 10_000;

/// Records by level.
pub(super) type Levels = [u64; 7];

/// Values, patterns and names so far.
pub(super) struct Found<'a> {
    request: &'a Request,
    keys: Keys,
    /// The values of each key.
    values: Vec<Distinct>,
    pub patterns: Patterns,
    pub names: Names,
}

impl<'a> Found<'a> {
    pub fn new(request: &'a Request) -> Self {
        Self {
            request,
            keys: Keys::new(&request.fields),
            values: request.fields.iter().map(|_| Distinct::default()).collect(),
            patterns: Patterns::default(),
            names: Names::default(),
        }
    }

    /// Takes in the records of a block that match; how many there are.
    pub fn take_in(&mut self, store: &Store, candidate: &Candidate, progress: &mut Progress) -> Levels {
        let request = self.request;
        let mut placed = self.keys.at(candidate);
        placed.templates |= request.patterns;
        let of_stream = placed.is_of_stream() && !request.names;
        let mut levels = Levels::default();
        if of_stream && !request.patterns {
            levels = levels_of(store, request, candidate, progress);
        } else {
            let look = Look { store, request, candidate, want: placed.want(request.names) };
            look.each(
                progress,
                |_| true,
                |found| {
                    levels[found.record.level as usize] += 1;
                    if request.patterns {
                        self.patterns.add(found.key, found.record.time);
                    }
                    if request.names {
                        self.names.take_in(&found.record);
                    }
                    if !of_stream {
                        let values = &mut self.values;
                        self.keys.each(&placed, &found, &mut |at, value| {
                            values[at].add(value.as_deref(), 1);
                        });
                    }
                },
            );
        }
        let count: u64 = levels.iter().sum();
        if of_stream && count > 0 {
            let values = &mut self.values;
            placed.each_of_stream(&mut |at, value| values[at].add(Some(value), count));
        }
        if request.names {
            self.names.end_of(candidate, count);
        }
        levels
    }

    /// Whether all that came found room.
    pub fn is_whole(&self) -> bool {
        self.values.iter().all(|values| values.others == 0)
            && self.patterns.is_whole()
            && self.names.is_whole()
    }

    /// Takes in what a later portion found; false, and nothing is taken in, if that can't be told
    /// from what it found.
    pub fn append(&mut self, portion: Self) -> bool {
        if !portion.is_whole() || !self.names.append(portion.names) {
            return false;
        }
        self.values.iter_mut().zip(portion.values).for_each(|(values, later)| values.append(later));
        self.patterns.append(portion.patterns);
        true
    }

    /// The values of each field.
    pub fn take_values(&mut self) -> impl Iterator<Item = BTreeMap<String, u64>> + use<> {
        std::mem::take(&mut self.values).into_iter().map(Distinct::finish)
    }
}

/// Values with their counts, at most [`MAX_DISTINCT`]; what comes beyond is counted as one.
#[derive(Debug, Default)]
struct Distinct {
    /// With their place in the order in which they came.
    counts: HashMap<String, (usize, u64)>,
    others: u64,
}

impl Distinct {
    fn add(&mut self, value: Option<&str>, count: u64) {
        let Some(value) = value else { return };
        let place = self.counts.len();
        if let Some((_, sum)) = self.counts.get_mut(value) {
            *sum += count;
        } else if place < MAX_DISTINCT {
            self.counts.insert(value.to_owned(), (place, count));
        } else {
            self.others += count;
        }
    }

    /// Takes in values that came later, none of which was beyond.
    fn append(&mut self, later: Self) {
        let mut values: Vec<_> = later.counts.into_iter().collect();
        values.sort_unstable_by_key(|(_, (place, _))| *place);
        values.iter().for_each(|(value, (_, count))| self.add(Some(value), *count));
    }

    fn finish(self) -> BTreeMap<String, u64> {
        let mut counts: BTreeMap<_, _> =
            self.counts.into_iter().map(|(value, (_, count))| (value, count)).collect();
        if self.others > 0 {
            *counts.entry(OTHERS.to_owned()).or_default() += self.others;
        }
        counts
    }
}

/// The records of a block that match, by level.
pub(super) fn levels_of(
    store: &Store,
    request: &Request,
    candidate: &Candidate,
    progress: &mut Progress,
) -> Levels {
    let head = &candidate.head;
    if candidate.verdict == Verdict::Yes && request.covers(head.min_time, head.max_time) {
        return head.levels.map(u64::from);
    }
    let mut levels = Levels::default();
    let look = Look { store, request, candidate, want: Want::default() };
    look.each(progress, |_| true, |found| levels[found.record.level as usize] += 1);
    levels
}
