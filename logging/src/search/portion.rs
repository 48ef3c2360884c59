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
    at: HashMap<(usize, u32), usize>,
    cells: Vec<Found>,
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
        let group = match self.index.find(values) {
            Some(group) => group,
            None => {
                self.index.add(self.groups.len());
                self.text += values.iter().flatten().map(|value| value.len()).sum::<usize>();
                self.groups.push(values.iter().map(|value| value.map(str::to_owned)).collect());
                self.groups.len() - 1
            }
        };
        let cells = &mut self.cells;
        let at = *self.at.entry((group, step)).or_insert_with(|| {
            cells.push(Found { group, step, count: 0, numbers: Vec::new() });
            cells.len() - 1
        });
        cells[at].count += count;
        cells[at].numbers.extend(number);
        self.groups.len() <= GROUPS && self.cells.len() <= CELLS && self.text <= TEXT
    }

    pub fn groups(&self) -> &[Vec<Option<String>>] {
        &self.groups
    }

    pub fn cells(&self) -> &[Found] {
        &self.cells
    }
}
