//! Quantiles and shares of classic histograms: cumulative counts by upper bound.

/// A bucket: how many observations are at or below its bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicBucket {
    pub upper: f64,
    pub count: f64,
}

/// Counts that differ by less than this share are taken as equal: sums of floating point
/// numbers differ so.
const SMALL: f64 = 1e-12;

/// Sorted, each bound once. `None` where the largest bound isn't `+Inf`.
fn prepared(buckets: &mut Vec<ClassicBucket>) -> Option<()> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last()?.upper != f64::INFINITY {
        return None;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    Some(())
}

/// Makes counts grow from bucket to bucket; true where more than rounding was mended.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> bool {
    let mut forced = false;
    let Some(mut before) = buckets.first().map(|bucket| bucket.count) else { return false };
    for bucket in &mut buckets[1..] {
        if nearly(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn nearly(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL
}

/// The value below which a share `q` lies, linear within a bucket; and whether counts had
/// to be made to grow.
pub fn classic_quantile(q: f64, mut buckets: Vec<ClassicBucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    if prepared(&mut buckets).is_none() {
        return (f64::NAN, false);
    }
    let forced = make_monotonic(&mut buckets);
    let last = buckets.len() - 1;
    let all = buckets[last].count;
    if last == 0 || all == 0.0 {
        return (f64::NAN, forced);
    }
    let rank = q * all;
    // A NaN among the counts is never reached.
    let at = buckets[..last].iter().position(|bucket| bucket.count >= rank).unwrap_or(last);
    if at == last {
        return (buckets[last - 1].upper, forced);
    }
    let Some(before) = at.checked_sub(1).map(|before| buckets[before]) else {
        let first = buckets[0];
        let value = if first.upper <= 0.0 { first.upper } else { first.upper * (rank / first.count) };
        return (value, forced);
    };
    let (upper, count) = (buckets[at].upper, buckets[at].count - before.count);
    (before.upper + (upper - before.upper) * ((rank - before.count) / count), forced)
}

/// The share of observations above `lower` and up to `upper`.
pub fn classic_fraction(lower: f64, upper: f64, mut buckets: Vec<ClassicBucket>) -> f64 {
    if prepared(&mut buckets).is_none() {
        return f64::NAN;
    }
    let all = buckets[buckets.len() - 1].count;
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (below(upper, &buckets, all) - below(lower, &buckets, all)) / all
}

fn below(value: f64, buckets: &[ClassicBucket], all: f64) -> f64 {
    let mut rank = 0f64;
    let mut start = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if start >= value {
            return f64::min(rank, all);
        }
        if bucket.upper > value {
            if start == f64::NEG_INFINITY {
                return bucket.count.min(all);
            }
            let share = (value - start) / (bucket.upper - start);
            return (rank + (bucket.count - rank) * share).min(all);
        }
        rank = bucket.count;
        start = bucket.upper;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs.iter().map(|(upper, count)| ClassicBucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn quantiles_of_cumulative_counts() {
        let all = [(1.0, 10.0), (f64::INFINITY, 20.0), (2.0, 20.0)];
        let of = |q| classic_quantile(q, buckets(&all)).0;
        assert_eq!((of(0.25), of(0.5), of(0.75), of(1.0)), (0.5, 1.0, 1.5, 2.0));
        assert_eq!((of(-1.0), of(2.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(classic_quantile(0.5, buckets(&[(1.0, 10.0)])).0.is_nan(), "no +Inf");
        assert!(classic_quantile(0.5, buckets(&[(1.0, 0.0), (f64::INFINITY, 0.0)])).0.is_nan());
        let negative = buckets(&[(-1.0, 10.0), (f64::INFINITY, 10.0)]);
        assert_eq!(classic_quantile(0.5, negative).0, -1.0);
        // The highest bucket: its lower end.
        assert_eq!(classic_quantile(0.9, buckets(&[(1.0, 1.0), (f64::INFINITY, 10.0)])).0, 1.0);
    }

    #[test]
    fn counts_that_fall_are_mended_and_told() {
        let falling = buckets(&[(1.0, 10.0), (2.0, 5.0), (f64::INFINITY, 20.0)]);
        assert_eq!(classic_quantile(0.5, falling), (1.0, true));
        let rounding = buckets(&[(1.0, 10.0), (2.0, 10.0 - 1e-13), (f64::INFINITY, 10.0)]);
        assert!(!classic_quantile(0.5, rounding).1);
    }

    #[test]
    fn shares_of_cumulative_counts() {
        let all = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 40.0)];
        let of = |lower, upper| classic_fraction(lower, upper, buckets(&all));
        assert_eq!((of(0.0, 1.0), of(0.5, 1.5), of(f64::NEG_INFINITY, f64::INFINITY)), (0.25, 0.25, 1.0));
    }
}
