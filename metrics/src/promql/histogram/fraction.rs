//! Which share of a native histogram's observations lies between two bounds.

use super::{
    buckets::{Bucket, CUSTOM, all_buckets},
    quantile::one_sided,
};
use crate::series::Histogram;

/// The share above `lower` and up to `upper`, and whether observations that were no numbers
/// are left out of it.
pub fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, bool) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, false);
    }
    if lower >= upper {
        return (0.0, false);
    }
    let buckets = all_buckets(histogram);
    let in_buckets: f64 = buckets.iter().map(|bucket| bucket.count).sum();
    let has_nan = histogram.sum.is_nan() && in_buckets < histogram.count;
    let count = if histogram.sum.is_nan() { in_buckets } else { histogram.count };
    let share = (below(upper, histogram, &buckets, count) - below(lower, histogram, &buckets, count))
        / histogram.count;
    (share, has_nan)
}

/// How many observations lie below a value.
fn below(value: f64, histogram: &Histogram, buckets: &[Bucket], count: f64) -> f64 {
    let mut rank = 0f64;
    for bucket in buckets {
        let mut bucket = *bucket;
        let is_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if is_zero {
            one_sided(histogram, &mut bucket);
        }
        if bucket.lower >= value {
            return rank.min(count);
        }
        if bucket.upper > value {
            let linear = histogram.schema == CUSTOM || is_zero;
            return (rank + within(value, &bucket, linear)).min(count);
        }
        rank += bucket.count;
    }
    count
}

/// How many of a bucket's observations lie below a value within it. A bucket without a
/// lower end is taken whole, one without an upper end not at all.
fn within(value: f64, bucket: &Bucket, linear: bool) -> f64 {
    if bucket.lower == f64::NEG_INFINITY {
        return bucket.count;
    }
    let share = if linear {
        (value - bucket.lower) / (bucket.upper - bucket.lower)
    } else {
        let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
        let at = value.abs().log2();
        if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
    };
    bucket.count * share
}

#[cfg(test)]
mod tests {
    use super::{super::buckets::pack, *};

    #[test]
    fn shares_between_bounds() {
        let histogram = Histogram {
            count: 20.0,
            sum: 40.0,
            positive: pack([(1, 10.0), (2, 10.0)]),
            ..Histogram::default()
        };
        let share = |lower, upper| fraction(lower, upper, &histogram).0;
        assert_eq!(
            (share(1.0, 2.0), share(f64::NEG_INFINITY, f64::INFINITY), share(4.0, 9.0)),
            (0.5, 1.0, 0.0)
        );
        assert!((share(0.0, 2f64.sqrt()) - 0.25).abs() < 1e-12);
        assert_eq!(share(3.0, 2.0), 0.0);
        assert!(share(f64::NAN, 2.0).is_nan());
        let nan = Histogram { sum: f64::NAN, count: 40.0, ..histogram };
        assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &nan), (0.5, true));
    }
}
