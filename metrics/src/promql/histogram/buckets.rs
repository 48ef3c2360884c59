//! The bounds of a native histogram's buckets.

use crate::series::{Buckets, Histogram};

/// The schema whose bounds are listed.
pub const CUSTOM: i32 = -53;

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub lower_inclusive: bool,
    pub upper_inclusive: bool,
    pub count: f64,
}

/// All buckets in order of their bounds: negative ones, the zero bucket if it is populated,
/// positive ones.
pub fn all_buckets(histogram: &Histogram) -> Vec<Bucket> {
    let mut all = Vec::with_capacity(histogram.positive.counts.len() + histogram.negative.counts.len() + 1);
    if histogram.schema != CUSTOM {
        let negative: Vec<_> = histogram.negative.iter().collect();
        all.extend(negative.into_iter().rev().map(|(index, count)| Bucket {
            lower: -bound(index, histogram.schema),
            upper: -bound(index.saturating_sub(1), histogram.schema),
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        }));
        if histogram.zero_count > 0.0 {
            all.push(Bucket {
                lower: -histogram.zero_threshold,
                upper: histogram.zero_threshold,
                lower_inclusive: true,
                upper_inclusive: true,
                count: histogram.zero_count,
            });
        }
    }
    all.extend(histogram.positive.iter().map(|(index, count)| {
        let (lower, upper) = positive_bounds(histogram, index);
        Bucket { lower, upper, lower_inclusive: lower == f64::NEG_INFINITY, upper_inclusive: true, count }
    }));
    all
}

/// The bounds of the positive (or custom) bucket with an index.
pub fn positive_bounds(histogram: &Histogram, index: i32) -> (f64, f64) {
    if histogram.schema != CUSTOM {
        return (bound(index.saturating_sub(1), histogram.schema), bound(index, histogram.schema));
    }
    let at = |index: i32| usize::try_from(index).ok().and_then(|at| histogram.custom_bounds.get(at)).copied();
    let lower = if index <= 0 { f64::NEG_INFINITY } else { at(index - 1).unwrap_or(f64::INFINITY) };
    (lower, at(index).unwrap_or(f64::INFINITY))
}

/// The upper bound of a bucket: `2^(index * 2^-schema)`; the last finite one ends at the
/// largest number.
pub fn bound(index: i32, schema: i32) -> f64 {
    let index = i64::from(index);
    if schema < 0 {
        let exponent = index << (-schema).min(30);
        return if exponent == 1024 { f64::MAX } else { power_of_two(exponent) };
    }
    let schema = schema.min(30);
    let (whole, part) = (index >> schema, index & ((1 << schema) - 1));
    if part == 0 && whole == 1024 {
        return f64::MAX;
    }
    (part as f64 / (1i64 << schema) as f64).exp2() * power_of_two(whole)
}

fn power_of_two(exponent: i64) -> f64 {
    2f64.powi(i32::try_from(exponent.clamp(-2000, 2000)).unwrap_or_default())
}

/// The index of a bucket in a schema with fewer buckets.
pub fn coarser(index: i32, from: i32, to: i32) -> i32 {
    let by = (from - to).clamp(0, 31);
    ((index.saturating_sub(1)) >> by).saturating_add(1)
}

/// Buckets from indexes in order and counts; empty ones are left out.
pub fn pack(pairs: impl IntoIterator<Item = (i32, f64)>) -> Buckets {
    let mut buckets = Buckets::default();
    let mut next = 0i32;
    for (index, count) in pairs {
        if count == 0.0 {
            continue;
        }
        match buckets.spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            _ => buckets.spans.push((index.saturating_sub(next), 1)),
        }
        next = index.saturating_add(1);
        buckets.counts.push(count);
    }
    buckets
}

/// Indexes and counts in a schema with fewer buckets.
pub fn coarsened(buckets: &Buckets, from: i32, to: i32) -> Vec<(i32, f64)> {
    let mut pairs: Vec<(i32, f64)> = Vec::with_capacity(buckets.counts.len());
    for (index, count) in buckets.iter() {
        let index = if from > to { coarser(index, from, to) } else { index };
        match pairs.last_mut() {
            Some((last, sum)) if *last == index => *sum += count,
            _ => pairs.push((index, count)),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_the_schema() {
        assert_eq!((bound(0, 0), bound(1, 0), bound(-1, 0)), (1.0, 2.0, 0.5));
        assert_eq!((bound(1, -1), bound(2, -1), bound(-1, -2)), (4.0, 16.0, 1.0 / 16.0));
        assert!((bound(1, 1) - std::f64::consts::SQRT_2).abs() < 1e-15);
        assert_eq!((bound(1024, 0), bound(1025, 0)), (f64::MAX, f64::INFINITY));
        assert_eq!((coarser(1, 1, 0), coarser(2, 1, 0), coarser(3, 1, 0), coarser(0, 1, 0)), (1, 1, 2, 0));
    }

    #[test]
    fn packed_buckets_are_the_same_buckets() {
        let pairs = [(-3, 1.0), (-2, 2.0), (0, 0.0), (4, 5.0)];
        let buckets = pack(pairs);
        assert_eq!(buckets.spans, [(-3, 2), (5, 1)]);
        assert_eq!(buckets.iter().collect::<Vec<_>>(), [(-3, 1.0), (-2, 2.0), (4, 5.0)]);
        assert_eq!(coarsened(&buckets, 1, 0), [(-1, 3.0), (2, 5.0)]);
    }

    #[test]
    fn listed_bounds_begin_at_minus_infinity() {
        let histogram = Histogram {
            schema: CUSTOM,
            custom_bounds: vec![1.0, 5.0],
            positive: pack([(0, 1.0), (2, 3.0)]),
            ..Histogram::default()
        };
        let bounds: Vec<_> = all_buckets(&histogram).iter().map(|b| (b.lower, b.upper)).collect();
        assert_eq!(bounds, [(f64::NEG_INFINITY, 1.0), (5.0, f64::INFINITY)]);
    }
}
