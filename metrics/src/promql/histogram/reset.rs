//! Whether a counter histogram began anew between two samples.

use super::{
    algebra::{narrowed, rebound, shared_bounds, widened},
    buckets::CUSTOM,
};
use crate::series::Histogram;

/// Any count that fell, a finer schema, a narrower zero bucket: none happens without a reset.
pub fn is_reset(now: &Histogram, before: &Histogram) -> bool {
    if now.count < before.count {
        return true;
    }
    if now.schema == CUSTOM {
        if before.schema != CUSTOM {
            return true;
        }
        let bounds = shared_bounds(&now.custom_bounds, &before.custom_bounds);
        return fell(&rebound(now, &bounds), &rebound(before, &bounds));
    }
    if now.schema > before.schema
        || before.schema == CUSTOM
        || now.zero_threshold < before.zero_threshold
        || widened(before, now.zero_threshold) != now.zero_threshold
    {
        return true;
    }
    let (zero, [positive, negative]) = narrowed(before, now.zero_threshold, now.schema);
    let (_, [now_positive, now_negative]) = narrowed(now, now.zero_threshold, now.schema);
    now.zero_count < zero || fell(&now_positive, &positive) || fell(&now_negative, &negative)
}

fn fell(now: &[(i32, f64)], before: &[(i32, f64)]) -> bool {
    let mut now = now.iter().peekable();
    before.iter().any(|(index, count)| {
        while now.next_if(|pair| pair.0 < *index).is_some() {}
        let there = now.peek().filter(|pair| pair.0 == *index).map_or(0.0, |pair| pair.1);
        there < *count
    })
}

#[cfg(test)]
mod tests {
    use super::{super::buckets::pack, *};

    fn histogram(schema: i32, zero: (f64, f64), positive: &[(i32, f64)]) -> Histogram {
        let count = positive.iter().map(|pair| pair.1).sum::<f64>() + zero.1;
        let positive = pack(positive.iter().copied());
        Histogram {
            schema,
            zero_threshold: zero.0,
            zero_count: zero.1,
            count,
            positive,
            ..Histogram::default()
        }
    }

    #[test]
    fn counts_that_fall_are_a_reset() {
        let before = histogram(1, (0.1, 1.0), &[(1, 2.0), (4, 1.0)]);
        assert!(!is_reset(&histogram(1, (0.1, 1.0), &[(1, 2.0), (2, 9.0), (4, 1.0)]), &before));
        assert!(is_reset(&histogram(1, (0.1, 1.0), &[(1, 9.0)]), &before));
        assert!(is_reset(&histogram(1, (0.1, 9.0), &[(1, 1.0), (4, 1.0)]), &before));
        assert!(is_reset(&histogram(2, (0.1, 9.0), &[(1, 9.0), (4, 9.0)]), &before), "a finer schema");
        assert!(is_reset(&histogram(1, (0.01, 9.0), &[(1, 9.0), (4, 9.0)]), &before), "a narrower zero");
        assert!(!is_reset(&histogram(0, (0.1, 1.0), &[(1, 2.0), (2, 1.0)]), &before), "a coarser schema");
        assert!(is_reset(&histogram(1, (1.2, 9.0), &[(4, 9.0)]), &before), "the threshold splits a bucket");
    }
}
