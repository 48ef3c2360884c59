//! How many records a block has in each interval of time, by level: a histogram
//! whose bars are made of whole intervals reads these few bytes and not the block.
//!
//! ```text
//! unit (bits 0..4) and whether the records stand in the order of their intervals (bit 7)
//! number of the first interval (zigzag)
//! an interval with records: distance to the one before   levels (a bit each)   a count a level
//! ```
//!
//! The unit is the finest of [`UNITS`] that takes few intervals. A block over
//! longer times than that has no marks, and is read.

use super::varint::{put, take, unzigzag, zigzag};
use crate::{grid::Steps, record::Record, time::SECOND};

/// Widths of intervals, nanoseconds: round ones, so that round bars are made of them. A number
/// of this list stands in files.
const UNITS: [i64; 8] = [
    SECOND,
    5 * SECOND,
    30 * SECOND,
    60 * SECOND,
    300 * SECOND,
    1800 * SECOND,
    3600 * SECOND,
    86_400 * SECOND,
];
const SORTED: u8 = 0x80;
const MAX_INTERVALS: usize = 64;
const LEVELS: usize = 7;

/// Counts of a block by interval. Empty where there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Box<[u8]>);

/// Marks, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intervals {
    /// Width, nanoseconds. Each begins at a multiple of it.
    pub unit: i64,
    /// Records stand in the order of their intervals: the first one's are the first.
    pub sorted: bool,
    /// When each begins, and its records by level; ascending.
    pub counts: Vec<(i64, [u32; LEVELS])>,
}

impl Marks {
    /// Of a block's records.
    pub fn of(records: &[Record]) -> Self {
        let mut numbers: Vec<i64> = Vec::with_capacity(MAX_INTERVALS + 1);
        let fits = UNITS.iter().position(|unit| {
            numbers.clear();
            let mut steps = Steps::new(0, *unit);
            for record in records {
                let number = steps.number(record.time);
                // Nearly always the one before.
                if numbers.last() != Some(&number)
                    && let Err(at) = numbers.binary_search(&number)
                {
                    numbers.insert(at, number);
                    if numbers.len() > MAX_INTERVALS {
                        return false;
                    }
                }
            }
            true
        });
        let (Some(unit), Some(first)) = (fits, numbers.first()) else { return Self::default() };
        let mut counts = vec![[0u64; LEVELS]; numbers.len()];
        let (mut at, mut steps, mut sorted) = (0, Steps::new(0, UNITS[unit]), true);
        for record in records {
            let number = steps.number(record.time);
            if numbers[at] != number {
                let before = at;
                at = numbers.binary_search(&number).unwrap_or(at);
                sorted &= before < at;
            }
            counts[at][record.level as usize] += 1;
        }
        let mut bytes = vec![unit as u8 | if sorted { SORTED } else { 0 }];
        put(&mut bytes, zigzag(*first));
        let mut last = *first;
        for (number, counts) in numbers.iter().zip(&counts) {
            put(&mut bytes, number.wrapping_sub(last) as u64);
            last = *number;
            let present = |level: &usize| counts[*level] > 0;
            bytes.push((0..LEVELS).filter(present).fold(0, |mask, level| mask | 1 << level));
            (0..LEVELS).filter(present).for_each(|level| put(&mut bytes, counts[level]));
        }
        Self(bytes.into())
    }

    /// The width of the intervals, nanoseconds; `None` where there are none.
    pub fn unit(&self) -> Option<i64> {
        UNITS.get(usize::from(self.0.first()? & !SORTED)).copied()
    }

    /// All intervals; `None` where there are none, or the bytes can't be.
    pub fn read(&self) -> Option<Intervals> {
        let (unit, sorted) = (self.unit()?, self.0.first()? & SORTED != 0);
        let mut rest = self.0.get(1..)?;
        let mut number = unzigzag(take(&mut rest)?);
        let mut counts = Vec::new();
        while !rest.is_empty() {
            number = number.wrapping_add(take(&mut rest)? as i64);
            let (mask, after) = rest.split_first()?;
            rest = after;
            let mut levels = [0; LEVELS];
            for (level, count) in levels.iter_mut().enumerate() {
                if mask & 1 << level != 0 {
                    *count = u32::try_from(take(&mut rest)?).ok()?;
                }
            }
            // The first interval of all may begin before all times.
            counts.push((number.checked_mul(unit).unwrap_or(i64::MIN), levels));
        }
        Some(Intervals { unit, sorted, counts })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From bytes that [`Marks::as_bytes`] gave.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    pub fn memory(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Level, Source};

    fn record(time: i64, level: usize) -> Record {
        Record { time, seq: 0, level: Level::ALL[level], source: Source::Stdout, body: Bytes::new() }
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_records(
            start in prop_oneof![Just(0i64), Just(i64::MIN), Just(1_790_000_000 * SECOND), any::<i64>()],
            gaps in proptest::collection::vec((0u64..200_000_000_000, 0usize..7), 1..300),
            swap in any::<bool>(),
        ) {
            let mut time = start;
            let mut records: Vec<Record> = gaps.into_iter().map(|(gap, level)| {
                time = time.saturating_add(gap as i64);
                record(time, level)
            }).collect();
            if swap {
                records.reverse();
            }
            let marks = Marks::of(&records);
            if let Some(read) = marks.read() {
                let mut expected: BTreeMap<i64, [u32; LEVELS]> = BTreeMap::new();
                for record in &records {
                    let number = record.time.div_euclid(read.unit);
                    expected.entry(number).or_default()[record.level as usize] += 1;
                }
                let expected: Vec<_> = expected
                    .into_iter()
                    .map(|(number, counts)| (number.checked_mul(read.unit).unwrap_or(i64::MIN), counts))
                    .collect();
                let sorted = records.is_sorted_by_key(|record| record.time.div_euclid(read.unit));
                prop_assert_eq!(read.sorted, sorted);
                prop_assert!(expected.len() <= MAX_INTERVALS);
                prop_assert_eq!(read.counts, expected);
            } else {
                let days = records.iter().map(|record| record.time.div_euclid(86_400 * SECOND));
                prop_assert!(days.collect::<std::collections::BTreeSet<_>>().len() > MAX_INTERVALS);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            Marks::from_bytes(bytes).read();
        }
    }
}
