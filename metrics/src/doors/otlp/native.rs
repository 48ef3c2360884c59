//! An exponential histogram as a native one. Pure.
//!
//! OpenTelemetry's bucket `i` ends at `base^(i+1)`, Prometheus' at `base^i`; so indexes move
//! by one. What is finer than Prometheus knows is made coarser: two buckets become one.

use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, exponential_histogram_data_point::Buckets as WireBuckets,
};

use crate::series::{Buckets, Histogram};

const FINEST: i32 = 8;
const COARSEST: i32 = -4;
/// Where a sender doesn't say how wide the bucket of zero is.
const ZERO: f64 = 1e-128;

/// # Errors
/// The histogram is coarser than Prometheus knows.
pub fn histogram(point: &ExponentialHistogramDataPoint) -> Result<Histogram, String> {
    if point.scale < COARSEST {
        return Err(format!("an exponential histogram of scale {} is too coarse", point.scale));
    }
    let schema = point.scale.min(FINEST);
    let coarser = (point.scale - schema).min(31);
    let buckets =
        |wire: &Option<WireBuckets>| wire.as_ref().map(|wire| runs(wire, coarser)).unwrap_or_default();
    Ok(Histogram {
        schema,
        zero_threshold: if point.zero_threshold > 0.0 { point.zero_threshold } else { ZERO },
        zero_count: point.zero_count as f64,
        count: point.count as f64,
        sum: point.sum.unwrap_or_default(),
        positive: buckets(&point.positive),
        negative: buckets(&point.negative),
        custom_bounds: Vec::new(),
        gauge: false,
    })
}

/// Buckets with counts, in runs, `coarser` times halved.
fn runs(wire: &WireBuckets, coarser: i32) -> Buckets {
    let mut found: Vec<(i32, f64)> = Vec::new();
    for (at, count) in wire.bucket_counts.iter().enumerate() {
        if *count == 0 {
            continue;
        }
        let at = i64::from(wire.offset) + at as i64;
        let Ok(index) = i32::try_from((at >> coarser) + 1) else { continue };
        match found.last_mut() {
            Some((last, sum)) if *last == index => *sum += *count as f64,
            _ => found.push((index, *count as f64)),
        }
    }
    let mut buckets = Buckets::default();
    let mut next = 0i32;
    for (index, count) in found {
        match buckets.spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            _ => buckets.spans.push((index.saturating_sub(next), 1)),
        }
        next = index.saturating_add(1);
        buckets.counts.push(count);
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(scale: i32, offset: i32, counts: &[u64]) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            scale,
            count: counts.iter().sum(),
            positive: Some(WireBuckets { offset, bucket_counts: counts.to_vec() }),
            ..Default::default()
        }
    }

    #[test]
    fn buckets_move_by_one_and_become_coarser() {
        let check = |scale, offset, counts: &[u64], schema, wanted: &[(i32, f64)]| {
            let histogram = histogram(&point(scale, offset, counts)).expect("known");
            assert_eq!(histogram.schema, schema);
            assert_eq!(histogram.positive.iter().collect::<Vec<_>>(), wanted);
        };
        check(3, -2, &[1, 0, 2, 3], 3, &[(-1, 1.0), (1, 2.0), (2, 3.0)]);
        // Scale 10 has four buckets where schema 8 has one; below zero as above.
        check(10, -5, &[1, 1, 1, 1, 1, 1], 8, &[(-1, 1.0), (0, 4.0), (1, 1.0)]);
        check(3, i32::MAX, &[1, 1], 3, &[]);
        assert!(histogram(&point(-5, 0, &[1])).is_err());
    }
}
