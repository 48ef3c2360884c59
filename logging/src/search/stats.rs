//! Counts and measures of what matches, by group and step of time.
//!
//! ```text
//! blocks, in rounds -> each portion on some thread: its groups -> taken in, in order of the blocks
//!                      a portion with too many groups         -> walked again, straight into them
//! ```
//!
//! Bounds of an answer: see [`groups`](super::groups); beside them the portions of one
//! [`ROUND`].

use std::cell::Cell;

use super::{
    Progress, Request,
    groups::{Groups, Values},
    keys::{Keys, Placed},
    look::{Look, Match, Want},
    plan::{self, Candidate},
    portion::Portion,
    shape,
    spread::{PORTION, spread},
    tally::Tally,
};
use crate::{
    index::Store,
    query::number,
    wire::{NodeStats, NodeStatsRequest},
};

/// Portions that are held at a time.
const ROUND: usize = 8;
/// Times as many blocks are a portion where records are only counted: nothing is held of each.
const COUNTED: usize = 4;
/// Greater numbers are none: sums of many would not be finite.
const GREATEST: f64 = 1e200;
/// The field that is the length of the body.
const BYTES: &str = "_bytes";

/// Counts and measures by group and step. The request has both ends of its range.
pub fn stats(store: &Store, request: &Request, want: &NodeStatsRequest, node: &str) -> NodeStats {
    let mut progress = Progress::default();
    let candidates = plan::plan(store, request, &mut progress);
    let groups = Walk::new(store, request, want).groups(&candidates, &mut progress);
    let mut answer = groups.answer();
    answer.scanned = progress.scanned;
    answer.partial = shape::partial(node, store, request.order, progress);
    answer
}

/// Who takes records in: a group's values, a step, how many, and the number of one of them.
/// False: no more are wanted.
type Sink<'a> = &'a mut dyn FnMut(Values<'_>, u32, u64, Option<f64>) -> bool;

/// How blocks are looked through.
pub(super) struct Walk<'a> {
    store: &'a Store,
    request: &'a Request,
    want: &'a NodeStatsRequest,
    origin: i64,
    step: i64,
}

impl<'a> Walk<'a> {
    pub fn new(store: &'a Store, request: &'a Request, want: &'a NodeStatsRequest) -> Self {
        let origin = want.origin.or(request.since).unwrap_or(0);
        Self { store, request, want, origin, step: want.step_ns.max(1) }
    }

    fn groups(&self, candidates: &[Candidate], progress: &mut Progress) -> Groups {
        let mut groups = Groups::new(self.want);
        // Where one portion has too many groups, others have.
        let mut alone = false;
        let size = if self.want.field.is_none() { COUNTED * PORTION } else { PORTION };
        for round in candidates.chunks(ROUND * size) {
            if progress.is_late(self.request) {
                break;
            }
            if alone {
                self.straight(round, progress, &mut groups);
                continue;
            }
            let portions =
                spread(round, size, self.request, progress, |part, progress| self.portion(part, progress));
            for (from, portion) in portions {
                match portion {
                    Some(portion) => groups.take_in(&portion),
                    None => {
                        alone = true;
                        let to = round.len().min(from + size);
                        self.straight(&round[from..to], progress, &mut groups);
                    }
                }
            }
        }
        groups
    }

    /// The groups of some blocks; `None` when they are too many, and nothing counts as scanned.
    fn portion(&self, candidates: &[Candidate], progress: &mut Progress) -> Option<Portion> {
        let (scanned, mut portion) = (progress.scanned, Portion::default());
        let mut take = |values: Values<'_>, step, count, number| portion.add(values, step, count, number);
        if self.each(candidates, progress, &mut take) {
            return Some(portion);
        }
        progress.scanned = scanned;
        None
    }

    /// Looks through blocks on this thread.
    pub fn straight(&self, candidates: &[Candidate], progress: &mut Progress, groups: &mut Groups) {
        self.each(candidates, progress, &mut |values, step, count, number| {
            groups.add(values, step, count, number);
            true
        });
    }

    /// False when the sink had enough.
    fn each(&self, candidates: &[Candidate], progress: &mut Progress, sink: Sink<'_>) -> bool {
        let mut keys = Keys::new(&self.want.by);
        let mut tally = Tally::new(self.origin, self.step);
        for candidate in candidates {
            if progress.is_late(self.request) {
                break;
            }
            let mut placed = keys.at(candidate);
            let goes_on = if self.want.field.is_none() && placed.is_of_stream() {
                self.count(candidate, &placed, &mut tally, progress, sink)
            } else {
                let measured = measured(self.want, candidate, &mut placed);
                self.measure(candidate, &mut keys, &placed, &measured, progress, sink)
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    /// A block whose records are all of one group.
    fn count(
        &self,
        candidate: &Candidate,
        placed: &Placed,
        tally: &mut Tally,
        progress: &mut Progress,
        sink: Sink<'_>,
    ) -> bool {
        let look = Look { store: self.store, request: self.request, candidate, want: Want::default() };
        look.tally(progress, tally);
        let values: Vec<_> = placed.of_stream().collect();
        tally.take().into_iter().all(|(step, levels)| {
            sink(&values, u32::try_from(step).unwrap_or(u32::MAX), levels.iter().sum(), None)
        })
    }

    /// A block whose records tell their groups or numbers.
    fn measure(
        &self,
        candidate: &Candidate,
        keys: &mut Keys,
        placed: &Placed,
        measured: &Number,
        progress: &mut Progress,
        sink: Sink<'_>,
    ) -> bool {
        let want = placed.want(*measured == Number::Length);
        let look = Look { store: self.store, request: self.request, candidate, want };
        let goes_on = Cell::new(true);
        look.each(
            progress,
            |_| goes_on.get(),
            |found| {
                if goes_on.get() {
                    let step = found.record.time.saturating_sub(self.origin) / self.step;
                    let step = u32::try_from(step).unwrap_or(u32::MAX);
                    goes_on.set(self.take(keys, placed, &found, step, measured.of(&found), sink));
                }
            },
        );
        goes_on.get()
    }

    fn take(
        &self,
        keys: &mut Keys,
        placed: &Placed,
        found: &Match<'_>,
        step: u32,
        number: Option<f64>,
        sink: Sink<'_>,
    ) -> bool {
        let mut values: Vec<Option<String>> = vec![None; self.want.by.len()];
        keys.each(placed, found, &mut |at, value| {
            // Of several values the first one counts: a record is in one group.
            if values[at].is_none() {
                values[at] = value.map(|value| value.into_owned());
            }
        });
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        sink(&values, step, 1, number)
    }
}

/// Where the number is that is measured.
#[derive(Debug, Clone, PartialEq)]
enum Number {
    None,
    Length,
    /// The same for all records of the stream: a label.
    Fixed(Option<f64>),
    Field(usize),
}

fn measured(want: &NodeStatsRequest, candidate: &Candidate, placed: &mut Placed) -> Number {
    match want.field.as_deref() {
        None => Number::None,
        Some(BYTES) => Number::Length,
        Some(name) => match candidate.labels.as_ref().and_then(|labels| labels.get(name)) {
            Some(label) => Number::Fixed(finite(label)),
            None => Number::Field(placed.field(name)),
        },
    }
}

impl Number {
    fn of(&self, found: &Match<'_>) -> Option<f64> {
        match self {
            Number::None => None,
            Number::Length => Some(found.record.body.len() as f64),
            Number::Fixed(number) => *number,
            Number::Field(at) => found.fields[*at].iter().find_map(|text| finite(text)),
        }
    }
}

fn finite(text: &str) -> Option<f64> {
    number::parse(text).filter(|number| number.abs() <= GREATEST)
}
