//! Which blocks of a stream a merge takes over as they are, and which are put
//! together anew.
//!
//! A block that is at least a quarter full is good as it is: it is copied, whatever the
//! splits are that it goes through. To write those up to a half again took a quarter of the
//! processor where many streams have a backlog each, and saved one byte of a hundred.
//! Smaller ones become few that are about full; very few records between good blocks go
//! into one of those, so that at most every other block is small, and none is tiny.

use std::ops::Range;

use crate::{
    block::{BlockHead, MAX_BYTES, MAX_RECORDS, OpenBlock},
    record::Record,
};

/// How full a block is, as a share of [`FULL`].
pub type Fill = u64;

pub const FULL: Fill = 1 << 16;
/// What is as full is good as it is.
const GOOD: Fill = FULL / 4;
/// What is smaller is not left alone between others.
const TINY: Fill = FULL / 8;
/// No block is put together with more. [`crate::block::MAX_BODIES`] has room for it.
const MOST: Fill = FULL + FULL / 4;

/// Of records with bodies of so many bytes.
pub fn fill(records: usize, bytes: usize) -> Fill {
    let share = |of: usize, all: usize| of as u64 * FULL / all as u64;
    share(records, MAX_RECORDS).max(share(bytes, MAX_BYTES))
}

/// Whether records that are left over when a block is full had better go into it, too, than
/// begin another.
pub fn is_rest(records: &[Record], block: &OpenBlock) -> bool {
    let bytes = || records.iter().map(|record| record.body.len()).sum::<usize>();
    records.len() <= MAX_RECORDS / 4
        && fill(block.records.len() + records.len(), block.bytes + bytes()) <= MOST
}

/// A block that is to be merged.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    fill: Fill,
    /// It can't stay as it is.
    renew: bool,
}

impl Source {
    pub fn new(head: &BlockHead, renew: bool) -> Self {
        Self { fill: fill(head.count as usize, head.raw_bytes as usize), renew }
    }

    fn is_good(&self) -> bool {
        self.fill >= GOOD && !self.renew
    }
}

/// What becomes of a stream's blocks, which are given in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This one is taken over.
    Copy(usize),
    /// The records of these go into new blocks, each of about so much.
    Renew(Range<usize>, Fill),
}

/// Decides for all blocks of a stream.
pub fn pack(blocks: &[Source]) -> Vec<Step> {
    let total = |run: &Range<usize>| blocks[run.clone()].iter().map(|block| block.fill).sum::<Fill>();
    let mut steps: Vec<Step> = Vec::new();
    let mut at = 0;
    while at < blocks.len() {
        if blocks[at].is_good() {
            steps.push(Step::Copy(at));
            at += 1;
            continue;
        }
        let mut run = at..at + 1;
        // A tiny rest takes the next block to itself, and what is small behind that.
        while run.end < blocks.len() && (!blocks[run.end].is_good() || total(&run) < TINY) {
            run.end += 1;
        }
        at = run.end;
        if total(&run) < TINY
            && let Some(Step::Copy(_)) = steps.last()
        {
            run.start -= 1;
            steps.pop();
        }
        if run.len() == 1 && !blocks[run.start].renew {
            // Alone it would become what it is.
            steps.push(Step::Copy(run.start));
            continue;
        }
        let each = total(&run) / total(&run).div_ceil(MOST).max(1);
        steps.push(Step::Renew(run, each));
    }
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(eighths: &[u64]) -> Vec<Source> {
        eighths.iter().map(|n| Source { fill: n * FULL / 8, renew: false }).collect()
    }

    #[test]
    fn full_blocks_stay_and_small_ones_are_put_together() {
        use Step::{Copy, Renew};
        let check =
            |eighths: &[u64], expected: &[Step]| assert_eq!(pack(&blocks(eighths)), expected, "{eighths:?}");
        check(&[8, 9, 4], &[Copy(0), Copy(1), Copy(2)]);
        check(&[1, 1, 1, 1, 1, 1, 1, 1], &[Renew(0..8, FULL)]);
        check(&[2, 3, 2, 7], &[Copy(0), Copy(1), Copy(2), Copy(3)]);
        check(&[1], &[Copy(0)]);
        check(&[8, 1, 8, 3], &[Copy(0), Copy(1), Copy(2), Copy(3)]);
        check(&[8, 1, 1, 8], &[Copy(0), Renew(1..3, FULL * 2 / 8), Copy(3)]);
        check(&[1; 12], &[Renew(0..12, FULL * 6 / 8)]);
        let tiny = |fills: &[Fill], expected: &[Step]| {
            let blocks: Vec<_> = fills.iter().map(|fill| Source { fill: *fill, renew: false }).collect();
            assert_eq!(pack(&blocks), expected, "{fills:?}");
        };
        tiny(&[FULL, 10], &[Renew(0..2, FULL + 10)]);
        tiny(&[10, FULL, 10, FULL], &[Renew(0..3, FULL + 20), Copy(3)]);
        let gone = [Source { fill: FULL, renew: true }];
        assert_eq!(pack(&gone), [Renew(0..1, FULL)]);
    }

    proptest! {
        #[test]
        fn each_block_has_its_place_and_none_stays_small_among_others(
            given in proptest::collection::vec((1u64..FULL * 5 / 4, any::<bool>()), 0..40),
        ) {
            let blocks: Vec<_> = given.into_iter().map(|(fill, renew)| Source { fill, renew }).collect();
            let steps = pack(&blocks);
            let mut next = 0;
            for step in &steps {
                match step {
                    Step::Copy(at) => {
                        prop_assert_eq!(*at, next);
                        prop_assert!(!blocks[*at].renew && (blocks[*at].fill >= TINY || blocks.len() == 1));
                        next += 1;
                    }
                    Step::Renew(run, each) => {
                        prop_assert_eq!(run.start, next);
                        let sum: Fill = blocks[run.clone()].iter().map(|block| block.fill).sum();
                        prop_assert!(*each <= MOST && (*each >= TINY || steps.len() == 1), "{} of {}", each, sum);
                        next = run.end;
                    }
                }
            }
            prop_assert_eq!(next, blocks.len());
        }
    }
}
