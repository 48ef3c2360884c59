//! Counts and measures of what matches, by group and step of time.
//!
//! Bounds of an answer: [`GROUPS`] groups, [`CELLS`] numbers of a group in a step,
//! [`sketch::MAX_BUCKETS`] buckets of quantiles. What is beyond the first two is
//! counted as `other`, what is beyond the third makes the quantiles coarser.

use std::collections::{BTreeMap, HashMap};

use super::{
    Progress, Request,
    keys::{Keys, Placed},
    look::{Look, Match, Want},
    plan::{self, Candidate},
    shape,
    sketch::{self, Sketch},
    tally::Tally,
};
use crate::{
    index::Store,
    query::number,
    wire::{Cell, Measured, NodeSeries, NodeStats, NodeStatsRequest},
};

/// Groups that a node tells apart.
const GROUPS: usize = 5_000;
/// Cells of a node's answer.
const CELLS: usize = 50_000;
/// Greater numbers are none: sums of many would not be finite.
const GREATEST: f64 = 1e200;
/// Sketches are not made coarser than this.
const COARSEST: u8 = 12;
/// The field that is the length of the body.
const BYTES: &str = "_bytes";

/// Counts and measures by group and step. The request has both ends of its range.
pub fn stats(store: &Store, request: &Request, want: &NodeStatsRequest, node: &str) -> NodeStats {
    let mut progress = Progress::default();
    let origin = want.origin.or(request.since).unwrap_or(0);
    let step = want.step_ns.max(1);
    let step_of = |time: i64| u32::try_from(time.saturating_sub(origin) / step).unwrap_or(u32::MAX);
    let mut keys = Keys::new(&want.by);
    let mut groups = Groups::new(want);
    let mut tally = Tally::new(origin, step);
    for candidate in plan::plan(store, request, &mut progress) {
        if progress.is_late(request) {
            break;
        }
        let mut placed = keys.at(&candidate);
        if want.field.is_none() && placed.is_of_stream() {
            let values: Vec<_> = placed.of_stream().collect();
            let look = Look { store, request, candidate: &candidate, want: Want::default() };
            look.tally(&mut progress, &mut tally);
            for (step, levels) in tally.take() {
                groups.add(&values, u32::try_from(step).unwrap_or(u32::MAX), levels.iter().sum(), None);
            }
            continue;
        }
        let measured = measured(want, &candidate, &mut placed);
        let look =
            Look { store, request, candidate: &candidate, want: placed.want(measured == Number::Length) };
        look.each(
            &mut progress,
            |_| true,
            |found| {
                let number = measured.of(&found);
                groups.take_in(&mut keys, &placed, &found, step_of(found.record.time), number);
            },
        );
    }
    let mut answer = groups.answer();
    answer.scanned = progress.scanned;
    answer.partial = shape::partial(node, store, progress);
    answer
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

/// The groups so far.
struct Groups<'a> {
    want: &'a NodeStatsRequest,
    index: HashMap<Box<[u8]>, usize>,
    series: Vec<NodeSeries>,
    other: BTreeMap<u32, Cell>,
    cells: usize,
    buckets: usize,
    /// Of all sketches.
    level: u8,
    scratch: Vec<u8>,
}

impl<'a> Groups<'a> {
    fn new(want: &'a NodeStatsRequest) -> Self {
        Self {
            want,
            index: HashMap::new(),
            series: Vec::new(),
            other: BTreeMap::new(),
            cells: 0,
            buckets: 0,
            level: 0,
            scratch: Vec::new(),
        }
    }

    fn take_in(
        &mut self,
        keys: &mut Keys,
        placed: &Placed,
        found: &Match<'_>,
        step: u32,
        number: Option<f64>,
    ) {
        let mut values: Vec<Option<String>> = vec![None; self.want.by.len()];
        keys.each(placed, found, &mut |at, value| {
            // Of several values the first one counts: a record is in one group.
            if values[at].is_none() {
                values[at] = value.map(|value| value.into_owned());
            }
        });
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        self.add(&values, step, 1, number);
    }

    fn add(&mut self, values: &[Option<&str>], step: u32, count: u64, number: Option<f64>) {
        let cells = match self.group(values) {
            Some(group) => &mut self.series[group].cells,
            None => &mut self.other,
        };
        let room = self.cells < CELLS || cells.contains_key(&step);
        let cells = if room { cells } else { &mut self.other };
        let before = cells.len();
        let cell = cells.entry(step).or_default();
        cell.count += count;
        if let Some(number) = number
            && measure(cell, number, self.want.sketch.then_some(self.level))
        {
            self.buckets += 1;
        }
        self.cells += cells.len() - before;
        if self.buckets > sketch::MAX_BUCKETS && self.level < COARSEST {
            self.coarser();
        }
    }

    /// The number of the group; `None` when it is one too many.
    fn group(&mut self, values: &[Option<&str>]) -> Option<usize> {
        self.scratch.clear();
        for value in values {
            // A value's length stands before it, so that no two lists of values look alike.
            let length = value.map_or(0, |value| value.len() as u32 + 1);
            self.scratch.extend_from_slice(&length.to_le_bytes());
            self.scratch.extend_from_slice(value.unwrap_or_default().as_bytes());
        }
        if let Some(group) = self.index.get(self.scratch.as_slice()) {
            return Some(*group);
        }
        if self.series.len() >= GROUPS || self.cells >= CELLS {
            return None;
        }
        let group = values.iter().map(|value| value.map(str::to_owned)).collect();
        self.series.push(NodeSeries { group, cells: BTreeMap::new() });
        self.index.insert(self.scratch.as_slice().into(), self.series.len() - 1);
        Some(self.series.len() - 1)
    }

    /// Makes all sketches coarser by a level.
    fn coarser(&mut self) {
        self.level += 1;
        self.buckets = 0;
        let groups = self.series.iter_mut().map(|series| &mut series.cells).chain([&mut self.other]);
        for cell in groups.flat_map(BTreeMap::values_mut) {
            if let Some(sketch) = cell.measured.as_mut().and_then(|measured| measured.sketch.as_mut()) {
                sketch.raise(self.level);
                self.buckets += sketch.buckets();
            }
        }
    }

    fn answer(self) -> NodeStats {
        NodeStats { series: self.series, other: self.other, ..NodeStats::default() }
    }
}

/// True if that took a new bucket.
fn measure(cell: &mut Cell, number: f64, sketch: Option<u8>) -> bool {
    let measured = cell.measured.get_or_insert_with(|| Measured {
        numbers: 0,
        sum: 0.0,
        min: number,
        max: number,
        sketch: sketch.map(Sketch::of_level),
    });
    measured.numbers += 1;
    measured.sum += number;
    measured.min = measured.min.min(number);
    measured.max = measured.max.max(number);
    measured.sketch.as_mut().is_some_and(|sketch| sketch.add(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(sketch: bool) -> NodeStatsRequest {
        NodeStatsRequest {
            by: vec!["user".into()],
            step_ns: 1,
            origin: None,
            sketch,
            field: Some("n".into()),
        }
    }

    #[test]
    fn abuse_34_groups_and_cells_are_bounded_and_the_rest_is_counted() {
        let want = want(false);
        let mut groups = Groups::new(&want);
        for user in 0..GROUPS + 7 {
            groups.add(&[Some(&user.to_string())], 0, 2, None);
        }
        assert_eq!((groups.series.len(), groups.other[&0].count), (GROUPS, 14));
        for step in 0..CELLS as u32 {
            groups.add(&[Some("0")], step, 1, None);
        }
        let answer = groups.answer();
        let cells: usize = answer.series.iter().map(|series| series.cells.len()).sum();
        assert!(cells <= CELLS);
        let of = |cells: &BTreeMap<u32, Cell>| cells.values().map(|cell| cell.count).sum::<u64>();
        let counted: u64 = answer.series.iter().map(|series| of(&series.cells)).sum();
        assert_eq!(counted + of(&answer.other), (GROUPS as u64 + 7) * 2 + CELLS as u64);
    }

    #[test]
    fn abuse_34_sketches_grow_coarser_instead_of_greater() {
        let want = want(true);
        let mut groups = Groups::new(&want);
        for user in 0..300 {
            for exponent in 0..1500 {
                groups.add(&[Some(&user.to_string())], 0, 1, Some(1.02f64.powi(exponent)));
            }
        }
        assert!(groups.level > 0 && groups.buckets <= sketch::MAX_BUCKETS, "{}", groups.level);
        let answer = groups.answer();
        let measured = answer.series[299].cells[&0].measured.as_ref().expect("numbers");
        let median = measured.sketch.as_ref().and_then(|sketch| sketch.quantile(0.5)).expect("a median");
        let exact = 1.02f64.powi(750);
        assert!((median - exact).abs() <= exact * sketch::error(2), "{median} {exact}");
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let want = NodeStatsRequest { by: vec!["a".into(), "b".into()], ..NodeStatsRequest::default() };
        let mut groups = Groups::new(&want);
        for values in [[Some("ab"), Some("c")], [Some("a"), Some("bc")], [None, Some("")], [Some(""), None]] {
            groups.add(&values, 0, 1, None);
        }
        assert_eq!(groups.series.len(), 4);
    }
}
