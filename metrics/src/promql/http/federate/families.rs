//! The newest samples as protobuf: `io.prometheus.client.MetricFamily`, each with its length before it. The
//! only form of this API that has native histograms. Pure.
//!
//! Counts are floats, as the store's are. The messages have no place for bounds that a native histogram lists
//! by itself: such a one goes as a classic histogram with the same bounds.

use prost::Message;

use super::Newest;
use crate::{
    promql::histogram::CUSTOM,
    scrape::expose::proto::{Bucket, Family, LabelPair, Metric, Number, Span, WireHistogram},
    series::{Buckets, Histogram, Value},
};

/// Kinds of families by their numbers.
const UNTYPED: i32 = 3;
const HISTOGRAM: i32 = 4;
const GAUGE_HISTOGRAM: i32 = 5;

/// Samples in order of their metrics' names, as families: what is of one metric and of one kind.
pub fn delimited(found: &[Newest]) -> Vec<u8> {
    let alike =
        |a: &Newest, b: &Newest| a.labels.name() == b.labels.name() && kind(&a.value) == kind(&b.value);
    let mut body = Vec::new();
    for of_one in found.chunk_by(alike) {
        let family = Family {
            name: of_one[0].labels.name().to_owned(),
            kind: kind(&of_one[0].value),
            metric: of_one.iter().map(metric).collect(),
            ..Family::default()
        };
        body.extend(family.encode_length_delimited_to_vec());
    }
    body
}

fn kind(value: &Value) -> i32 {
    match value {
        Value::Number(_) => UNTYPED,
        Value::Histogram(histogram) if histogram.gauge => GAUGE_HISTOGRAM,
        Value::Histogram(_) => HISTOGRAM,
    }
}

fn metric(one: &Newest) -> Metric {
    let pair = |(name, value): (&str, &str)| LabelPair { name: name.to_owned(), value: value.to_owned() };
    let (untyped, histogram) = match &one.value {
        Value::Number(value) => (Some(Number { value: *value }), None),
        Value::Histogram(histogram) => (None, Some(wire(histogram))),
    };
    Metric {
        label: one.pairs().into_iter().map(pair).collect(),
        timestamp_ms: one.time,
        untyped,
        histogram,
        ..Metric::default()
    }
}

fn wire(histogram: &Histogram) -> WireHistogram {
    let counted = WireHistogram {
        sample_count_float: histogram.count,
        sample_sum: histogram.sum,
        ..WireHistogram::default()
    };
    if histogram.schema == CUSTOM {
        return WireHistogram { bucket: classic(histogram), ..counted };
    }
    // One without a count is read as one of whole numbers, and those have other fields for their buckets.
    let has_buckets = histogram.count > 0.0 || histogram.zero_count > 0.0;
    let (positive_span, positive_count) = runs(&histogram.positive, has_buckets);
    let (negative_span, negative_count) = runs(&histogram.negative, has_buckets);
    let is_known = !positive_span.is_empty() || !negative_span.is_empty();
    WireHistogram {
        schema: Some(histogram.schema),
        zero_threshold: histogram.zero_threshold,
        zero_count_float: histogram.zero_count,
        // By a run without buckets it is known as a native one.
        positive_span: if is_known { positive_span } else { vec![Span { offset: 0, length: 0 }] },
        positive_count,
        negative_span,
        negative_count,
        ..counted
    }
}

/// Runs and counts of buckets; none unless it `has` some.
fn runs(buckets: &Buckets, has: bool) -> (Vec<Span>, Vec<f64>) {
    let spans = buckets.spans.iter().filter(|_| has);
    let spans = spans.map(|(offset, length)| Span { offset: *offset, length: *length });
    (spans.collect(), buckets.counts.iter().copied().filter(|_| has).collect())
}

/// How many are below each of the bounds that a histogram lists; below the last one, `+Inf`, are all.
fn classic(histogram: &Histogram) -> Vec<Bucket> {
    let mut counts = histogram.positive.iter().peekable();
    let mut below = 0.0;
    let bounds = (0i32..).zip(&histogram.custom_bounds);
    let bucket = |(index, upper): (i32, &f64)| {
        while let Some((_, count)) = counts.next_if(|(at, _)| *at <= index) {
            below += count;
        }
        Bucket { upper_bound: *upper, cumulative_count_float: below, ..Bucket::default() }
    };
    bounds.map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        scrape::expose::proto::{draw, families},
        series::{Labels, NAME},
    };

    fn newest(labels: &[(&str, &str)], value: Value) -> Newest {
        Newest { labels: Labels::new(labels.iter().copied()), time: 1500, value }
    }

    fn native(histogram: Histogram) -> Value {
        Value::Histogram(Arc::new(histogram))
    }

    fn filled() -> Histogram {
        Histogram {
            schema: 3,
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 8.5,
            sum: 10.25,
            positive: Buckets { spans: vec![(-2, 2), (3, 1)], counts: vec![2.0, 3.0, 1.5] },
            negative: Buckets { spans: vec![(1, 1)], counts: vec![1.0] },
            ..Histogram::default()
        }
    }

    /// What is read of one histogram that was written: `suffix bound value`, or the histogram.
    fn read(histogram: Histogram) -> (Vec<String>, Option<Value>) {
        let body = delimited(&[newest(&[(NAME, "took")], native(histogram))]);
        let families = families(&body).expect("families");
        let drawn = draw(&families[0], &families[0].metric[0]);
        let found = drawn.iter().find(|one| one.value.number().is_none()).map(|one| one.value.clone());
        let told = drawn.iter().filter_map(|one| {
            let bound = one.extra.as_ref().map_or("", |(_, bound)| bound);
            Some(format!("{} {bound} {}", one.suffix, one.value.number()?))
        });
        (told.collect(), found)
    }

    #[test]
    fn samples_of_one_metric_and_kind_are_a_family() {
        let body = delimited(&[
            newest(&[(NAME, "took"), ("job", "a")], Value::Number(0.0)),
            newest(&[(NAME, "took"), ("job", "b")], Value::Number(2.0)),
            newest(&[(NAME, "took"), ("job", "c")], native(filled())),
            newest(&[(NAME, "took"), ("job", "d")], native(Histogram { gauge: true, ..filled() })),
            newest(&[(NAME, "up"), ("instance", "x")], Value::Number(1.0)),
        ]);
        let families = families(&body).expect("families");
        let told: Vec<_> =
            families.iter().map(|one| (one.name.as_str(), one.kind, one.metric.len())).collect();
        assert_eq!(told, [("took", 3, 2), ("took", 4, 1), ("took", 5, 1), ("up", 3, 1)]);
        let first = &families[0].metric[0];
        let labels: Vec<_> = first.label.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect();
        assert_eq!(labels, [("job", "a"), ("instance", "")]);
        assert_eq!((first.timestamp_ms, first.untyped.as_ref().map(|one| one.value)), (1500, Some(0.0)));
        assert_eq!(families[3].metric[0].label.len(), 1, "it has an instance of its own");
        assert!(delimited(&[]).is_empty());
    }

    #[test]
    fn native_histograms_come_back_as_they_were() {
        let gauge = Histogram { gauge: true, ..filled() };
        for histogram in [filled(), gauge] {
            assert_eq!(read(histogram.clone()), (Vec::new(), Some(native(histogram))));
        }
    }

    #[test]
    fn an_empty_histogram_is_known_as_a_native_one() {
        let counts = |buckets: Buckets| Buckets { counts: vec![0.0; buckets.counts.len()], ..buckets };
        let empty = Histogram { zero_threshold: 0.0, zero_count: 0.0, count: 0.0, sum: 0.0, ..filled() };
        let zeros =
            Histogram { positive: counts(filled().positive), negative: counts(filled().negative), ..empty };
        let none = Buckets::default();
        let expected = Histogram { positive: none.clone(), negative: none, ..zeros.clone() };
        assert_eq!(read(zeros), (Vec::new(), Some(native(expected))));
    }

    #[test]
    fn listed_bounds_go_as_a_classic_histogram() {
        let histogram = Histogram {
            schema: CUSTOM,
            count: 6.0,
            sum: 20.0,
            positive: Buckets { spans: vec![(0, 1), (1, 2)], counts: vec![1.0, 2.0, 3.0] },
            custom_bounds: vec![1.0, 5.0, 10.0],
            ..Histogram::default()
        };
        let (told, found) = read(histogram);
        assert_eq!(found, None);
        assert_eq!(
            told,
            ["_bucket 1.0 1", "_bucket 5.0 1", "_bucket 10.0 3", "_bucket +Inf 6", "_sum  20", "_count  6"]
        );
    }
}
