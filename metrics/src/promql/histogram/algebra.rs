//! Native histograms added, subtracted and scaled.
//!
//! Two exponential ones meet at the coarser schema and the wider zero bucket; two with
//! listed bounds at the bounds both have. One of each can't be added.

use super::buckets::{CUSTOM, coarsened, pack, positive_bounds};
use crate::series::{Buckets, Histogram};

/// Exponential buckets and listed bounds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incompatible;

/// `left + right`, and whether listed bounds differed and were brought together.
///
/// # Errors
/// The buckets are of different kinds.
pub fn add(left: &Histogram, right: &Histogram) -> Result<(Histogram, bool), Incompatible> {
    combine(left, right, 1.0)
}

/// `left - right`; see [`add`].
///
/// # Errors
/// The buckets are of different kinds.
pub fn subtract(left: &Histogram, right: &Histogram) -> Result<(Histogram, bool), Incompatible> {
    combine(left, right, -1.0)
}

/// All counts and the sum by a factor.
pub fn scale(histogram: &Histogram, factor: f64) -> Histogram {
    let scaled = |buckets: &Buckets| pack(buckets.iter().map(|(index, count)| (index, count * factor)));
    Histogram {
        count: histogram.count * factor,
        sum: histogram.sum * factor,
        zero_count: histogram.zero_count * factor,
        positive: scaled(&histogram.positive),
        negative: scaled(&histogram.negative),
        gauge: histogram.gauge || factor < 0.0,
        ..histogram.clone()
    }
}

fn combine(left: &Histogram, right: &Histogram, sign: f64) -> Result<(Histogram, bool), Incompatible> {
    if (left.schema == CUSTOM) != (right.schema == CUSTOM) {
        return Err(Incompatible);
    }
    let mut sum = Histogram {
        count: left.count + sign * right.count,
        sum: left.sum + sign * right.sum,
        gauge: left.gauge || right.gauge,
        schema: left.schema.min(right.schema),
        ..Histogram::default()
    };
    if left.schema == CUSTOM {
        let differ = left.custom_bounds != right.custom_bounds;
        sum.custom_bounds = shared_bounds(&left.custom_bounds, &right.custom_bounds);
        let (ours, theirs) = (rebound(left, &sum.custom_bounds), rebound(right, &sum.custom_bounds));
        sum.positive = merged(&ours, &theirs, sign);
        return Ok((sum, differ));
    }
    sum.zero_threshold = shared_zero(left, right);
    let (our_zero, ours) = narrowed(left, sum.zero_threshold, sum.schema);
    let (their_zero, theirs) = narrowed(right, sum.zero_threshold, sum.schema);
    sum.zero_count = our_zero + sign * their_zero;
    sum.positive = merged(&ours[0], &theirs[0], sign);
    sum.negative = merged(&ours[1], &theirs[1], sign);
    Ok((sum, false))
}

/// Sums of buckets by index.
fn merged(left: &[(i32, f64)], right: &[(i32, f64)], sign: f64) -> Buckets {
    let mut pairs = Vec::with_capacity(left.len().max(right.len()));
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some(l), Some(r)) => l.0.min(r.0),
            (Some(one), None) | (None, Some(one)) => one.0,
            (None, None) => break,
        };
        let of_left = left.next_if(|pair| pair.0 == next).map_or(0.0, |pair| pair.1);
        let of_right = right.next_if(|pair| pair.0 == next).map_or(0.0, |pair| pair.1);
        pairs.push((next, of_left + sign * of_right));
    }
    pack(pairs)
}

/// The smallest zero bucket that ends within no populated bucket of either.
fn shared_zero(left: &Histogram, right: &Histogram) -> f64 {
    let mut threshold = left.zero_threshold.max(right.zero_threshold);
    loop {
        let wider = widened(right, widened(left, threshold));
        if wider == threshold {
            return threshold;
        }
        threshold = wider;
    }
}

/// A zero threshold moved to the end of the populated bucket it stands in.
pub fn widened(histogram: &Histogram, threshold: f64) -> f64 {
    if threshold <= histogram.zero_threshold {
        return threshold;
    }
    let mut wide = threshold;
    for buckets in [&histogram.positive, &histogram.negative] {
        for (index, count) in buckets.iter() {
            let (lower, upper) = positive_bounds(histogram, index);
            if count != 0.0 && lower < wide && upper > wide {
                wide = upper;
            }
        }
    }
    wide
}

/// The zero bucket's count with a wider threshold, and the buckets outside of it: positive
/// and negative ones, in the schema given.
pub fn narrowed(histogram: &Histogram, threshold: f64, schema: i32) -> (f64, [Vec<(i32, f64)>; 2]) {
    let mut zero = histogram.zero_count;
    let mut outside = |buckets: &Buckets| {
        if threshold <= histogram.zero_threshold {
            return coarsened(buckets, histogram.schema, schema);
        }
        let mut kept = Vec::new();
        for (index, count) in buckets.iter() {
            if positive_bounds(histogram, index).0 < threshold {
                zero += count;
            } else {
                kept.push((index, count));
            }
        }
        coarsened(&pack(kept), histogram.schema, schema)
    };
    let buckets = [outside(&histogram.positive), outside(&histogram.negative)];
    (zero, buckets)
}

/// Bounds that both lists have.
pub fn shared_bounds(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().copied().filter(|bound| right.contains(bound)).collect()
}

/// Counts of a histogram with listed bounds, over fewer of them.
pub fn rebound(histogram: &Histogram, bounds: &[f64]) -> Vec<(i32, f64)> {
    let mut pairs: Vec<(i32, f64)> = Vec::new();
    for (index, count) in histogram.positive.iter() {
        let upper = positive_bounds(histogram, index).1;
        let to = bounds.partition_point(|bound| *bound < upper);
        let to = i32::try_from(to).unwrap_or(i32::MAX);
        match pairs.last_mut() {
            Some((last, sum)) if *last == to => *sum += count,
            _ => pairs.push((to, count)),
        }
    }
    pairs
}

/// A sum that grows histogram by histogram.
#[derive(Debug, Clone)]
pub struct Total {
    pub sum: Histogram,
    pub reconciled: bool,
}

impl Total {
    pub fn of(first: &Histogram) -> Self {
        Self { sum: first.clone(), reconciled: false }
    }

    /// # Errors
    /// The buckets are of different kinds.
    pub fn take(&mut self, next: &Histogram) -> Result<(), Incompatible> {
        let (sum, reconciled) = add(&self.sum, next)?;
        self.sum = sum;
        self.reconciled |= reconciled;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential(schema: i32, zero: (f64, f64), positive: &[(i32, f64)]) -> Histogram {
        let count = positive.iter().map(|pair| pair.1).sum::<f64>() + zero.1;
        Histogram {
            schema,
            zero_threshold: zero.0,
            zero_count: zero.1,
            count,
            sum: count,
            positive: pack(positive.iter().copied()),
            ..Histogram::default()
        }
    }

    #[test]
    fn the_coarser_schema_and_the_wider_zero_bucket_count() {
        let fine = exponential(1, (0.001, 1.0), &[(1, 1.0), (2, 2.0), (3, 4.0)]);
        let coarse = exponential(0, (0.001, 2.0), &[(1, 10.0)]);
        let (sum, _) = add(&fine, &coarse).expect("alike");
        assert_eq!((sum.schema, sum.zero_count, sum.count), (0, 3.0, 20.0));
        assert_eq!(sum.positive.iter().collect::<Vec<_>>(), [(1, 13.0), (2, 4.0)]);
        // A threshold of 3 stands within (2, 4]: it becomes 4, and both buckets are zeros.
        let wide = exponential(0, (3.0, 1.0), &[(4, 1.0)]);
        let (sum, _) =
            add(&exponential(0, (0.0, 0.0), &[(1, 1.0), (2, 1.0), (4, 1.0)]), &wide).expect("alike");
        assert_eq!((sum.zero_threshold, sum.zero_count), (4.0, 3.0));
        assert_eq!(sum.positive.iter().collect::<Vec<_>>(), [(4, 2.0)]);
    }

    #[test]
    fn what_is_added_and_taken_away_leaves_the_same() {
        let one = exponential(2, (0.01, 1.0), &[(-3, 1.0), (5, 2.0)]);
        let other = exponential(2, (0.01, 3.0), &[(-3, 2.0), (9, 1.0)]);
        let (sum, _) = add(&one, &other).expect("alike");
        let (back, _) = subtract(&sum, &other).expect("alike");
        assert_eq!((back.positive, back.count, back.zero_count), (one.positive.clone(), 4.0, 1.0));
        assert_eq!(scale(&one, 2.0).count, 8.0);
    }

    #[test]
    fn listed_bounds_meet_at_those_both_have() {
        let listed = |bounds: &[f64], counts: &[(i32, f64)]| Histogram {
            schema: CUSTOM,
            custom_bounds: bounds.to_vec(),
            positive: pack(counts.iter().copied()),
            ..Histogram::default()
        };
        let left = listed(&[1.0, 2.0, 5.0], &[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        let right = listed(&[1.0, 5.0], &[(0, 10.0), (1, 10.0), (2, 10.0)]);
        let (sum, reconciled) = add(&left, &right).expect("alike");
        assert!(reconciled);
        assert_eq!(sum.custom_bounds, [1.0, 5.0]);
        assert_eq!(sum.positive.iter().collect::<Vec<_>>(), [(0, 11.0), (1, 12.0), (2, 11.0)]);
        assert_eq!(add(&left, &exponential(0, (0.0, 0.0), &[])), Err(Incompatible));
    }
}
