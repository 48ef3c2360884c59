//! Groups of an answer, with their cells: what is counted and measured in a step.
//!
//! Bounds: [`GROUPS`] groups, [`CELLS`] cells, [`sketch::MAX_BUCKETS`] buckets of quantiles.
//! What is beyond the first two is counted as `other`, what is beyond the third makes the
//! quantiles coarser. Which groups there are depends on the order in which they come.

use std::collections::{BTreeMap, HashMap};

use super::{
    portion::Portion,
    sketch::{self, Sketch},
};
use crate::wire::{Cell, Measured, NodeSeries, NodeStats, NodeStatsRequest};

/// Groups that a node tells apart.
pub(super) const GROUPS: usize = 5_000;
/// Cells of a node's answer.
pub(super) const CELLS: usize = 50_000;
/// Sketches are not made coarser than this.
const COARSEST: u8 = 12;

/// The values of a group, `None` where a record has none.
pub(super) type Values<'a> = &'a [Option<&'a str>];

/// Which group is which number.
#[derive(Default)]
pub(super) struct Index {
    numbers: HashMap<Box<[u8]>, usize>,
    spelt: Vec<u8>,
}

impl Index {
    pub fn find(&mut self, values: Values<'_>) -> Option<usize> {
        self.spelt.clear();
        for value in values {
            // A value's length stands before it, so that no two lists of values look alike.
            let length = value.map_or(0, |value| value.len() as u32 + 1);
            self.spelt.extend_from_slice(&length.to_le_bytes());
            self.spelt.extend_from_slice(value.unwrap_or_default().as_bytes());
        }
        self.numbers.get(self.spelt.as_slice()).copied()
    }

    /// Gives what was not found by the last call a number.
    pub fn add(&mut self, number: usize) {
        self.numbers.insert(self.spelt.as_slice().into(), number);
    }
}

/// The groups so far.
pub(super) struct Groups {
    sketch: bool,
    index: Index,
    series: Vec<NodeSeries>,
    other: BTreeMap<u32, Cell>,
    cells: usize,
    buckets: usize,
    /// Of all sketches.
    level: u8,
}

/// A group by its number; `None` is what has no room of its own.
type Place = Option<usize>;

impl Groups {
    pub fn new(want: &NodeStatsRequest) -> Self {
        Self {
            sketch: want.sketch,
            index: Index::default(),
            series: Vec::new(),
            other: BTreeMap::new(),
            cells: 0,
            buckets: 0,
            level: 0,
        }
    }

    /// Takes records in, of which at most one has a number.
    pub fn add(&mut self, values: Values<'_>, step: u32, count: u64, number: Option<f64>) {
        let group = self.group(values);
        self.add_cell(group, step, count, number.as_slice());
    }

    /// Takes in what was found on another thread: as if each record came by itself.
    pub fn take_in(&mut self, portion: &Portion) {
        let mut groups: Vec<Option<Place>> = vec![None; portion.groups().len()];
        for cell in portion.cells() {
            // What had no room once will have none: numbers of groups and cells don't fall.
            let group = match groups[cell.group] {
                Some(group) => group,
                None => {
                    let values: Vec<_> = portion.groups()[cell.group].iter().map(Option::as_deref).collect();
                    *groups[cell.group].insert(self.group(&values))
                }
            };
            self.add_cell(group, cell.step, cell.count, &cell.numbers);
        }
    }

    fn add_cell(&mut self, group: Place, step: u32, count: u64, numbers: &[f64]) {
        let has_room = self.cells < CELLS || self.cells_of(group).contains_key(&step);
        let (sketch, mut buckets) = (self.sketch.then_some(self.level), 0);
        let cells = self.cells_of(group.filter(|_| has_room));
        let before = cells.len();
        let cell = cells.entry(step).or_default();
        cell.count += count;
        numbers.iter().for_each(|number| buckets += usize::from(measure(cell, *number, sketch)));
        self.cells += cells.len() - before;
        self.buckets += buckets;
        while self.buckets > sketch::MAX_BUCKETS && self.level < COARSEST {
            self.coarser();
        }
    }

    fn cells_of(&mut self, place: Place) -> &mut BTreeMap<u32, Cell> {
        match place {
            Some(group) => &mut self.series[group].cells,
            None => &mut self.other,
        }
    }

    fn group(&mut self, values: Values<'_>) -> Place {
        let found = self.index.find(values);
        if found.is_some() || self.series.len() >= GROUPS || self.cells >= CELLS {
            return found;
        }
        let group = values.iter().map(|value| value.map(str::to_owned)).collect();
        self.index.add(self.series.len());
        self.series.push(NodeSeries { group, cells: BTreeMap::new() });
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

    pub fn answer(self) -> NodeStats {
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
