//! Quantiles of numbers in little memory, which add up over nodes.
//!
//! A number is counted in a bucket of the logarithm of its size, so that a quantile
//! is off by a share of itself: [`error`] of the level, 1 % at level 0. When a query
//! has too many buckets ([`MAX_BUCKETS`] in all), pairs of them become one and the
//! level rises; the answer says the error it has in the end. Equal levels add up
//! bucket by bucket; unequal ones are brought to the higher one first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Buckets that all sketches of an answer have together.
pub const MAX_BUCKETS: usize = 200_000;

/// The ratio between the ends of a bucket, at level 0.
const GAMMA: f64 = 1.02;
/// What is nearer to zero is zero.
const SMALLEST: f64 = 1e-12;

/// Counts of numbers by size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sketch {
    level: u8,
    zeros: u64,
    /// Bucket to count, of numbers above and below zero.
    above: BTreeMap<i32, u64>,
    below: BTreeMap<i32, u64>,
}

/// How far a quantile may be off, as a share of itself.
pub fn error(level: u8) -> f64 {
    let ratio = ratio(level);
    (ratio - 1.0) / (ratio + 1.0)
}

fn ratio(level: u8) -> f64 {
    GAMMA.powf(2f64.powi(i32::from(level)))
}

impl Sketch {
    /// An empty one with buckets of this level.
    pub fn of_level(level: u8) -> Self {
        Self { level, ..Self::default() }
    }

    pub fn level(&self) -> u8 {
        self.level
    }

    /// Takes a finite number in. True if that took a new bucket.
    pub fn add(&mut self, number: f64) -> bool {
        let size = number.abs();
        if size < SMALLEST {
            self.zeros += 1;
            return false;
        }
        // Of all finite numbers, far within i32.
        let bucket = (size.ln() / ratio(self.level).ln()).ceil() as i32;
        let side = if number > 0.0 { &mut self.above } else { &mut self.below };
        let before = side.len();
        *side.entry(bucket).or_default() += 1;
        side.len() > before
    }

    /// How many buckets it has.
    pub fn buckets(&self) -> usize {
        self.above.len() + self.below.len()
    }

    /// Makes buckets as wide as the level says.
    pub fn raise(&mut self, level: u8) {
        while self.level < level {
            self.level += 1;
            for side in [&mut self.above, &mut self.below] {
                let mut wider = BTreeMap::new();
                for (bucket, count) in std::mem::take(side) {
                    // Rounded up, as a bucket is named by its upper end.
                    *wider.entry(bucket.div_euclid(2) + bucket.rem_euclid(2)).or_default() += count;
                }
                *side = wider;
            }
        }
    }

    /// Adds what another counted.
    pub fn merge(&mut self, mut other: Sketch) {
        let level = self.level.max(other.level);
        self.raise(level);
        other.raise(level);
        self.zeros += other.zeros;
        for (side, more) in [(&mut self.above, other.above), (&mut self.below, other.below)] {
            for (bucket, count) in more {
                *side.entry(bucket).or_default() += count;
            }
        }
    }

    /// The number below which a share `q` of all lies; `None` of nothing.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total: u64 = self.zeros + self.above.values().sum::<u64>() + self.below.values().sum::<u64>();
        let last = total.checked_sub(1)?;
        let rank = (q.clamp(0.0, 1.0) * last as f64).round() as u64;
        let below = self.below.iter().rev().map(|(bucket, count)| (-self.middle(*bucket), *count));
        let above = self.above.iter().map(|(bucket, count)| (self.middle(*bucket), *count));
        let mut seen = 0;
        let mut numbers = below.chain([(0.0, self.zeros)]).chain(above);
        numbers
            .find(|(_, count)| {
                seen += count;
                seen > rank
            })
            .map(|(number, _)| number)
    }

    /// The number that no number of the bucket is further off from than the error.
    fn middle(&self, bucket: i32) -> f64 {
        let ratio = ratio(self.level);
        2.0 * ratio.powi(bucket) / (ratio + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(numbers: &mut [f64], q: f64) -> f64 {
        numbers.sort_by(f64::total_cmp);
        numbers[(q * (numbers.len() - 1) as f64).round() as usize]
    }

    proptest! {
        #[test]
        fn a_quantile_of_nodes_together_is_as_near_as_stated(
            nodes in proptest::collection::vec((0u8..4, proptest::collection::vec(prop_oneof![
                Just(0.0), -1e9f64..1e9, 0.0f64..1.0, (-30i32..60).prop_map(|e| 2f64.powi(e)),
            ], 1..200)), 1..4),
            q in 0.0f64..=1.0,
        ) {
            let mut sum = Sketch::default();
            let mut all = Vec::new();
            for (level, numbers) in nodes {
                let mut sketch = Sketch::default();
                numbers.iter().for_each(|number| { sketch.add(*number); });
                sketch.raise(level);
                let sent = serde_json::to_string(&sketch).expect("JSON");
                sum.merge(serde_json::from_str(&sent).expect("the same"));
                all.extend(numbers);
            }
            let (found, expected) = (sum.quantile(q).expect("numbers"), exact(&mut all, q));
            let bound = error(sum.level()) * 1.001 * expected.abs() + 1e-12;
            prop_assert!((found - expected).abs() <= bound, "{} instead of {}, level {}", found, expected, sum.level());
        }
    }

    #[test]
    fn the_error_is_a_hundredth_and_doubles() {
        assert!((error(0) - 0.0099).abs() < 1e-4 && (error(1) - 0.0198).abs() < 1e-4);
        assert_eq!(Sketch::default().quantile(0.5), None);
    }
}
