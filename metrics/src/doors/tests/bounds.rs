//! Histograms, exemplars and words about metrics that are beyond what is taken: they are told and counted,
//! and cost nothing that comes with them.

use super::*;
use crate::scrape::expose::proto::Span;

#[tokio::test]
async fn abuse_34_a_histogram_with_too_many_buckets_is_refused_and_told_and_the_rest_is_taken() {
    let ((bench, counts), now) = (counted(), now());
    let most = Limits::default().histogram;
    let histogram = |buckets: usize, timestamp| write::WireHistogram {
        count_int: Some(3),
        positive_spans: vec![Span { offset: 0, length: buckets as u32 }],
        positive_deltas: vec![0; buckets],
        timestamp,
        ..Default::default()
    };
    let mut series = one(&[("__name__", "h")], &[]);
    series.histograms = vec![histogram(most - 1, now), histogram(most, now + 1)];
    let series = vec![series, one(&[("__name__", "behind")], &[(now, 1.0)])];
    let answer = bench.send(WRITE_PATH, ONE, "snappy", snappy(&WriteOne { series, metadata: vec![] })).await;
    let told = (answer.status, answer.written("histograms"), answer.written("samples"));
    assert_eq!(told, (StatusCode::BAD_REQUEST, "1", "1"));
    assert!(answer.text().starts_with("a histogram of h{") && answer.text().contains("over 10000"));
    let taken = [r#"behind{namespace="shop"} 1"#, r#"h{namespace="shop"} histogram of 3"#];
    assert_eq!(bench.series().await, taken);
    assert_eq!((counts.too_large.get(), counts.samples.get()), (1, 2));
    // OTLP says it as partial success.
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: now.unsigned_abs() * 1_000_000,
        count: 2,
        positive: Some(Buckets { offset: 0, bucket_counts: vec![2; most] }),
        ..Default::default()
    };
    let exponential = ExponentialHistogram { data_points: vec![exponential], aggregation_temporality: 2 };
    let metrics =
        vec![metric("exp", "", Data::ExponentialHistogram(exponential)), metric("x", "", sum(1.0, now, 2))];
    let answer = bench.send(OTLP_PATH, ONE, "", export(metrics).encode_to_vec()).await;
    let response = ExportMetricsServiceResponse::decode(answer.body.as_slice()).expect("an answer");
    let partial = response.partial_success.expect("told");
    assert_eq!((partial.rejected_data_points, counts.too_large.get()), (1, 2));
    assert!(partial.error_message.contains("over 10000 buckets"), "{}", partial.error_message);
}

#[tokio::test]
async fn an_exemplar_of_otlp_stays_without_the_attributes_that_make_it_too_long() {
    let ((bench, counts), now) = (counted(), now());
    let example = |millis: i64, length: usize| WireExemplar {
        time_unix_nano: millis.unsigned_abs() * 1_000_000,
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        filtered_attributes: vec![attribute("user", &"x".repeat(length))],
        value: Some(exemplar::Value::AsDouble(0.4)),
    };
    // The names and values of both ids have 63 characters.
    let mut point = number(1.0, now);
    point.exemplars = vec![example(now - 2, 61), example(now - 1, 62)];
    let gauge = Data::Gauge(Gauge { data_points: vec![point] });
    bench.send(OTLP_PATH, ONE, "", export(vec![metric("g", "", gauge)]).encode_to_vec()).await;
    let found = bench.store.exemplars(&[], 0..i64::MAX);
    let of = |label: &str| found[0].1.iter().map(|one| one.labels.get(label).is_some()).collect::<Vec<_>>();
    assert_eq!((of("user"), of("trace_id")), (vec![true, false], vec![true; 2]));
    assert_eq!((of("span_id"), counts.exemplars_refused.get()), (vec![true; 2], 0));
}

#[tokio::test]
async fn abuse_34_exemplars_with_long_labels_are_refused_and_counted() {
    let ((bench, counts), now) = (counted(), now());
    let exemplar = |length: usize, timestamp| write::one::WireExemplar {
        labels: vec![write::one::Label { name: "id".into(), value: "x".repeat(length) }],
        value: 0.5,
        timestamp,
    };
    let mut series = one(&[("__name__", "a")], &[(now, 1.0)]);
    series.exemplars = vec![exemplar(126, now - 2), exemplar(127, now - 1)];
    let request = WriteOne { series: vec![series], metadata: vec![] };
    let answer = bench.send(WRITE_PATH, ONE, "snappy", snappy(&request)).await;
    assert_eq!((answer.status, answer.written("exemplars")), (StatusCode::NO_CONTENT, "1"));
    assert_eq!(counts.exemplars_refused.get(), 1);
}

#[tokio::test]
async fn a_request_that_is_refused_whole_is_counted_by_its_door_and_why() {
    let ((bench, counts), now) = (counted(), now());
    let series = vec![one(&[("__name__", "a")], &[(now, 1.0)])];
    let taken = snappy(&WriteOne { series, metadata: vec![] });
    let ahead = export(vec![metric("b", "", sum(1.0, now + 3_600_000, 2))]).encode_to_vec();
    let malformed = StatusCode::BAD_REQUEST;
    let table = [
        (WRITE_PATH, ONE, "snappy", taken.clone(), StatusCode::NO_CONTENT),
        (WRITE_PATH, ONE, "gzip", taken.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (WRITE_PATH, ONE, "snappy", b"no snappy".to_vec(), malformed),
        (WRITE_PATH, ONE, "snappy", taken, StatusCode::NO_CONTENT),
        (OTLP_PATH, "text/plain", "", ahead.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (OTLP_PATH, ONE, "", vec![0x0a, 0xff], malformed),
        (OTLP_PATH, ONE, "gzip", b"no gzip".to_vec(), malformed),
        // Of this one it is known what it had.
        (OTLP_PATH, ONE, "", ahead, malformed),
    ];
    for (path, kind, packing, body, expected) in table {
        let answer = bench.send(path, kind, packing, body).await;
        assert_eq!(answer.status, expected, "{path} {kind} {packing}: {}", answer.text());
    }
    let expected = [
        r#"{door="otlp",reason="malformed"} 2"#,
        r#"{door="otlp",reason="unsupported"} 1"#,
        r#"{door="remotewrite",reason="malformed"} 1"#,
        r#"{door="remotewrite",reason="unsupported"} 1"#,
    ];
    let name = "tiphys_metrics_requests_refused_total";
    assert_eq!(told(&counts, name), expected.map(|line| format!("{name}{line}")));
    assert_eq!(counts.ahead.get(), 2, "the sample, and the one of target_info");
}

#[tokio::test]
async fn abuse_29_a_sender_changes_nothing_that_others_say() {
    let ((bench, _), now) = (counted(), now());
    let meta = |help: &str| crate::series::Meta { help: help.to_owned(), ..Default::default() };
    bench.store.describe_own("a", meta("Ours."));
    bench.store.describe("", "b", meta("The cluster's."));
    let said = |metric: &str| write::one::Metadata {
        kind: 2,
        metric: metric.into(),
        help: "Theirs.".into(),
        unit: String::new(),
    };
    let series = vec![one(&[("__name__", "a")], &[(now, 1.0)]), one(&[("__name__", "b")], &[(now, 1.0)])];
    // There are no series of the third.
    let metadata = vec![said("a"), said("b"), said("c")];
    bench.send(WRITE_PATH, ONE, "snappy", snappy(&WriteOne { series, metadata })).await;
    let told: Vec<_> = (bench.store.metadata().into_iter())
        .map(|one| format!("{}/{} {}", one.namespace, one.metric, one.meta.help))
        .collect();
    assert_eq!(told, ["/a Ours.", "/b The cluster's.", "shop/a Theirs.", "shop/b Theirs."]);
}
