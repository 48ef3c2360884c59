//! Quantiles and deviations of native histograms.

use super::buckets::{Bucket, CUSTOM, all_buckets};
use crate::series::Histogram;

/// What makes a quantile doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It lies among observations that were no numbers.
    IsNan,
    /// There were such observations; they count as the largest.
    Skewed,
}

/// The value below which a share `q` of the observations lies. Between an exponential
/// bucket's bounds it grows exponentially, in listed and zero buckets linearly.
pub fn quantile(q: f64, histogram: &Histogram) -> (f64, Option<Doubt>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    let has_nan = histogram.sum.is_nan();
    let forward = has_nan || q < 0.5;
    let mut buckets = all_buckets(histogram);
    if !forward {
        buckets.reverse();
    }
    let rank = if forward { q } else { 1.0 - q } * histogram.count;
    let mut count = 0.0;
    let mut chosen = None;
    let mut populated = buckets.iter().filter(|bucket| bucket.count != 0.0);
    for bucket in populated.by_ref() {
        chosen = Some(*bucket);
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    let rest: f64 = populated.map(|bucket| bucket.count).sum();
    let Some(mut bucket) = chosen else { return (f64::NAN, None) };
    if histogram.schema == CUSTOM {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        one_sided(histogram, &mut bucket);
    }
    let count = count.min(histogram.count);
    if count < rank {
        return if has_nan { (f64::NAN, Some(Doubt::IsNan)) } else { (bucket.upper, None) };
    }
    let within = if forward { rank - (count - bucket.count) } else { count - rank };
    let doubt = (has_nan && count + rest < histogram.count).then_some(Doubt::Skewed);
    let linear = histogram.schema == CUSTOM || (bucket.lower <= 0.0 && bucket.upper >= 0.0);
    (between(&bucket, within / bucket.count, linear), doubt)
}

/// The zero bucket ends at 0 towards a side where nothing else was observed.
pub fn one_sided(histogram: &Histogram, bucket: &mut Bucket) {
    match (histogram.negative.counts.is_empty(), histogram.positive.counts.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

fn between(bucket: &Bucket, fraction: f64, linear: bool) -> f64 {
    if linear {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        return (lower + (upper - lower) * fraction).exp2();
    }
    -(upper + (lower - upper) * (1.0 - fraction)).exp2()
}

/// The variance, each observation taken as its bucket's middle.
pub fn deviation(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let of = |bucket: Bucket| {
        let value = if histogram.schema == CUSTOM {
            f64::midpoint(bucket.upper, bucket.lower)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt() * bucket.upper.signum()
        };
        bucket.count * (value - mean) * (value - mean)
    };
    let sum: f64 = all_buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0).map(of).sum();
    sum / histogram.count
}

#[cfg(test)]
mod tests {
    use super::{super::buckets::pack, *};

    fn histogram(positive: &[(i32, f64)], zero: f64) -> Histogram {
        let count = positive.iter().map(|pair| pair.1).sum::<f64>() + zero;
        Histogram {
            zero_threshold: 0.5,
            zero_count: zero,
            count,
            sum: 10.0,
            positive: pack(positive.iter().copied()),
            ..Histogram::default()
        }
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let one = histogram(&[(1, 10.0)], 0.0);
        assert!((quantile(0.5, &one).0 - std::f64::consts::SQRT_2).abs() < 1e-12);
        let two = histogram(&[(1, 5.0), (2, 5.0)], 0.0);
        assert!((quantile(0.25, &two).0 - std::f64::consts::SQRT_2).abs() < 1e-12);
        assert!((quantile(0.75, &two).0 - 8f64.sqrt()).abs() < 1e-12);
        assert_eq!(quantile(1.0, &two).0, 4.0);
        // With positive buckets only, the zero bucket begins at 0, and is linear.
        assert_eq!(quantile(0.25, &histogram(&[(1, 5.0)], 5.0)).0, 0.25);
        assert_eq!(quantile(-0.1, &one).0, f64::NEG_INFINITY);
        assert!(quantile(0.5, &Histogram::default()).0.is_nan());
    }

    #[test]
    fn observations_that_are_no_numbers_are_told() {
        let nan = Histogram { sum: f64::NAN, count: 20.0, ..histogram(&[(1, 10.0)], 0.0) };
        assert_eq!(quantile(0.9, &nan).1, Some(Doubt::IsNan));
        assert_eq!(quantile(0.2, &nan).1, Some(Doubt::Skewed));
    }

    #[test]
    fn a_deviation_is_from_the_mean() {
        let one = Histogram { sum: 10.0 * std::f64::consts::SQRT_2, ..histogram(&[(1, 10.0)], 0.0) };
        assert!(deviation(&one).abs() < 1e-12);
    }
}
