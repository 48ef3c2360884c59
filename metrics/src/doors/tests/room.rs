//! The room that all bodies have together, and how much one request may have in it.

use futures::{FutureExt, StreamExt, stream};

use super::*;
use crate::doors::{
    amount::{HISTOGRAM, MOST_SAMPLES},
    body::Room,
};

/// Doors whose bodies have so many bytes together.
fn narrow(bytes: usize) -> Bench {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let mut doors = Doors::new(store.clone(), Counts::default(), Arc::new(Everything));
    doors.room = Room::new(bytes, Duration::from_secs(5));
    let user = UserInfo::named("system:serviceaccount:shop:app", &[]);
    Bench { store, routes: doors.routes().layer(Extension(user)) }
}

#[tokio::test(start_paused = true)]
async fn abuse_33_bodies_have_room_together_and_who_stands_still_is_cut() {
    let (bench, now) = (narrow(1000), now());
    let begun = stream::iter([Ok::<_, axum::Error>(vec![0u8; 990])]).chain(stream::pending());
    let request = Request::post(OTLP_PATH).header(header::CONTENT_TYPE, ONE);
    let request = request.body(Body::from_stream(begun)).expect("a request");
    let mut slow = Box::pin(bench.routes.clone().oneshot(request));
    assert!(slow.as_mut().now_or_never().is_none(), "it is not complete");
    let series = vec![one(&[("__name__", "a")], &[(now, 1.0)])];
    let body = snappy(&WriteOne { series, metadata: vec![] });
    // Another door, and no room: the sender is told when to send again.
    let answer = bench.send(WRITE_PATH, ONE, "snappy", body.clone()).await;
    let again = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let told = (answer.status, again, bench.store.series_count());
    assert_eq!(told, (StatusCode::SERVICE_UNAVAILABLE, Some("5"), 0), "{}", answer.text());
    assert_eq!(slow.await.expect("an answer").status(), StatusCode::REQUEST_TIMEOUT);
    let answer = bench.send(WRITE_PATH, ONE, "snappy", body).await;
    assert_eq!((answer.status, bench.store.series_count()), (StatusCode::NO_CONTENT, 1), "{}", answer.text());
}

#[tokio::test(start_paused = true)]
async fn abuse_33_a_namespace_that_fills_its_share_of_the_room_keeps_no_other_out() {
    let (store, now) = (Arc::new(Store::in_memory(Limits::default())), now());
    let mut doors = Doors::new(store.clone(), Counts::default(), Arc::new(Everything));
    doors.room = Room::new(1000, Duration::from_secs(5)).with_least(8);
    let of = |account: &str| {
        let user = UserInfo::named(account, &[]);
        Bench { store: store.clone(), routes: doors.routes().layer(Extension(user)) }
    };
    let (shop, bank) = (of("system:serviceaccount:shop:app"), of("system:serviceaccount:bank:app"));
    let begun = stream::iter([Ok::<_, axum::Error>(vec![0u8; 495])]).chain(stream::pending());
    let request = Request::post(OTLP_PATH).header(header::CONTENT_TYPE, ONE);
    let request = request.body(Body::from_stream(begun)).expect("a request");
    let mut slow = Box::pin(shop.routes.clone().oneshot(request));
    assert!(slow.as_mut().now_or_never().is_none(), "it is not complete");
    let series = vec![one(&[("__name__", "a")], &[(now, 1.0)])];
    let body = snappy(&WriteOne { series, metadata: vec![] });
    let answer = shop.send(WRITE_PATH, ONE, "snappy", body.clone()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().contains("your share"), "{}", answer.text());
    let answer = bank.send(WRITE_PATH, ONE, "snappy", body).await;
    assert_eq!((answer.status, store.series_count()), (StatusCode::NO_CONTENT, 1), "{}", answer.text());
}

/// A field of a message that has a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![(number << 3) | 2];
    prost::encode_length_delimiter(bytes.len(), &mut field).expect("it has room");
    field.extend_from_slice(bytes);
    field
}

#[tokio::test]
async fn abuse_33_two_bytes_of_a_request_are_not_made_a_sample_without_end() {
    let bench = bench();
    let empty = |number: u8, count: usize| field(number, &[]).repeat(count);
    let samples = MOST_SAMPLES + 1;
    let histograms = MOST_SAMPLES / HISTOGRAM + 1;
    let label = field(1, &[field(1, b"__name__"), field(2, b"a")].concat());
    // Samples, exemplars and histograms of a series, all of two bytes.
    for (number, count) in [(2, samples), (3, samples), (4, histograms)] {
        let body = field(1, &[label.clone(), empty(number, count)].concat());
        let packed = snap::raw::Encoder::new().compress_vec(&body).expect("packed");
        let answer = bench.send(WRITE_PATH, ONE, "snappy", packed).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "field {number}: {}", answer.text());
        assert!(answer.text().contains("more than 500000 samples"), "{}", answer.text());
    }
    let symbols = [field(4, b""), field(4, b"__name__"), field(4, b"a")].concat();
    for (number, count) in [(2, samples), (4, samples), (3, histograms)] {
        let series = field(5, &[field(1, &[1, 2]), empty(number, count)].concat());
        let body = [symbols.clone(), series].concat();
        let packed = snap::raw::Encoder::new().compress_vec(&body).expect("packed");
        let answer = bench.send(WRITE_PATH, TWO, "snappy", packed).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "field {number}: {}", answer.text());
    }
    assert_eq!(bench.store.series_count(), 0);
    let symbols = empty(4, 1_000_001);
    let packed = snap::raw::Encoder::new().compress_vec(&symbols).expect("packed");
    let answer = bench.send(WRITE_PATH, TWO, "snappy", packed).await;
    assert!(answer.text().contains("more than 1000000 symbols"), "{}", answer.text());
}

#[tokio::test]
async fn abuse_33_labels_of_a_histogram_are_not_written_out_for_each_bucket_without_end() {
    let (bench, now) = (bench(), now());
    let request = |buckets: usize| {
        let histogram = HistogramDataPoint {
            attributes: vec![attribute("v", &"x".repeat(1 << 20))],
            time_unix_nano: now.unsigned_abs() * 1_000_000,
            bucket_counts: vec![1; buckets],
            explicit_bounds: (1..buckets).map(|bound| bound as f64).collect(),
            ..Default::default()
        };
        let histogram = Histogram { data_points: vec![histogram], aggregation_temporality: 2 };
        let metrics = vec![metric("h", "", Data::Histogram(histogram)), metric("b", "", sum(1.0, now, 2))];
        export(metrics).encode_to_vec()
    };
    let answer = bench.send(OTLP_PATH, ONE, "", request(100)).await;
    assert_eq!((answer.status, bench.store.series_count()), (StatusCode::PAYLOAD_TOO_LARGE, 0));
    assert!(answer.text().contains("64 MiB"), "{}", answer.text());
    // Of one that is small enough those are refused that no store takes, and the others are taken.
    let answer = bench.send(OTLP_PATH, ONE, "", request(2)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(bench.series().await.iter().any(|series| series.starts_with("b_total{")));
}
