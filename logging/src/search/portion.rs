//! What a thread finds in a portion of the blocks, as [`Groups`](super::groups::Groups) take
//! it in: cells in the order in which they came up, each with its numbers in order. So the
//! answer is the one that a single thread comes to, to the last bit of a sum.
//!
//! Bounds: [`GROUPS`] groups, [`CELLS`] cells, [`TEXT`] bytes of their names. A portion with
//! more is not told at all; who asked walks through it again without one.

use std::collections::HashMap;

use super::groups::{CELLS, GROUPS, Index, Values};

/// Bytes of the groups' values.
const TEXT: usize = 1 << 20;

/// Groups with their cells, without a limit on the way.
#[derive(Default)]
pub(super) struct Portion {
    index: Index,
    groups: Vec<Vec<Option<String>>>,
    text: usize,
    /// The group that came last.
    last: usize,
    at: HashMap<(usize, u32), usize>,
    cells: Vec<Found>,
    /// The cell behind the one that came last.
    next: usize,
}

/// What was found of a group in a step.
pub(super) struct Found {
    pub group: usize,
    pub step: u32,
    pub count: u64,
    pub numbers: Vec<f64>,
}

impl Portion {
    /// False when that is too much.
    pub fn add(&mut self, values: Values<'_>, step: u32, count: u64, number: Option<f64>) -> bool {
        let group = self.group(values);
        let at = self.cell(group, step);
        let cell = &mut self.cells[at];
        cell.count += count;
        cell.numbers.extend(number);
        self.groups.len() <= GROUPS && self.cells.len() <= CELLS && self.text <= TEXT
    }

    /// Records of a block are mostly of the group of the ones before.
    fn group(&mut self, values: Values<'_>) -> usize {
        let last = self.groups.get(self.last);
        if !last.is_some_and(|last| last.iter().map(Option::as_deref).eq(values.iter().copied())) {
            self.last = match self.index.find(values) {
                Some(group) => group,
                None => {
                    self.index.add(self.groups.len());
                    self.text += values.iter().flatten().map(|value| value.len()).sum::<usize>();
                    self.groups.push(values.iter().map(|value| value.map(str::to_owned)).collect());
                    self.groups.len() - 1
                }
            };
        }
        self.last
    }

    /// The steps of a block come in the order in which they came in the one before.
    fn cell(&mut self, group: usize, step: u32) -> usize {
        let is_it = |cell: &Found| (cell.group, cell.step) == (group, step);
        let at = if self.cells.get(self.next).is_some_and(is_it) {
            self.next
        } else {
            let cells = &mut self.cells;
            *self.at.entry((group, step)).or_insert_with(|| {
                cells.push(Found { group, step, count: 0, numbers: Vec::new() });
                cells.len() - 1
            })
        };
        self.next = at + 1;
        at
    }

    pub fn groups(&self) -> &[Vec<Option<String>>] {
        &self.groups
    }

    pub fn cells(&self) -> &[Found] {
        &self.cells
    }
}
