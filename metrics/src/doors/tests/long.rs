//! Labels that are too long, at the doors: they cost their own series, which is told and counted, and nothing
//! else, memory neither.

use super::*;

/// What `/metrics` tells of series that were refused.
fn refused(counts: &Counts) -> Vec<String> {
    told(counts, "tiphys_metrics_series_refused_total")
}

#[tokio::test]
async fn abuse_34_a_label_of_a_megabyte_that_is_sent_costs_its_own_series_only() {
    let ((bench, counts), now) = (counted(), now());
    let (megabyte, two) = ("x".repeat(1_000_000), "y".repeat(2 << 20));
    let series = vec![
        one(&[("__name__", "before")], &[(now, 1.0)]),
        one(&[("__name__", "big"), ("v", &megabyte)], &[(now, 2.0)]),
        one(&[("__name__", "bigger"), ("v", &two)], &[(now, 3.0)]),
        one(&[("__name__", "named"), (&megabyte, "v")], &[(now, 4.0), (now + 1, 5.0)]),
        one(&[("__name__", &megabyte)], &[(now, 6.0)]),
        one(&[("__name__", "behind")], &[(now, 7.0)]),
    ];
    let answer = bench.send(WRITE_PATH, ONE, "snappy", snappy(&WriteOne { series, metadata: vec![] })).await;
    assert_eq!((answer.status, answer.written("samples")), (StatusCode::BAD_REQUEST, "2"));
    let why = "label \"v\" of \"big\" has 1000000 bytes; 4096 are taken at most (5 samples were not taken)\n";
    assert_eq!(answer.text(), why);
    assert_eq!(bench.series().await, [r#"before{namespace="shop"} 1"#, r#"behind{namespace="shop"} 7"#]);
    let told = refused(&counts);
    assert_eq!(told.len(), 4, "{told:?}");
    for (line, worst) in told.iter().zip(["big\"", "bigger\"", "named\"", "xxx"]) {
        let is_told = line.contains(&format!("worst=\"{worst}")) && line.ends_with(" 1");
        assert!(is_told && line.contains("reason=\"label_too_long\""), "{worst}: {line}");
        assert!(line.contains("namespace=\"shop\"") && line.len() < 300, "it is told shortly: {line}");
    }
}

#[tokio::test]
async fn abuse_34_a_symbol_of_a_megabyte_costs_the_series_that_name_it() {
    let ((bench, counts), now) = (counted(), now());
    let mut symbols = ["", "__name__", "good", "bad", "v", "n"].map(str::to_owned).to_vec();
    symbols.push("x".repeat(1_000_000));
    symbols.extend((0..100).map(|n: i32| n.to_string()));
    let sample = write::one::WireSample { value: 1.0, timestamp: now };
    let series = |labels_refs: Vec<u32>| write::two::TimeSeries {
        labels_refs,
        samples: vec![sample],
        ..Default::default()
    };
    let mut all: Vec<_> = (0..100).map(|n| series(vec![1, 3, 4, 6, 5, 7 + n])).collect();
    all.push(series(vec![1, 2]));
    let answer = bench.send(WRITE_PATH, TWO, "snappy", snappy(&WriteTwo { symbols, series: all })).await;
    let told = (answer.status, answer.written("samples"));
    assert_eq!(told, (StatusCode::BAD_REQUEST, "1"), "{}", answer.text());
    assert_eq!(bench.series().await, [r#"good{namespace="shop"} 1"#]);
    let told = refused(&counts);
    assert!(told.len() == 1 && told[0].contains("label_too_long") && told[0].ends_with(" 100"), "{told:?}");
}

#[tokio::test]
async fn abuse_33_symbols_that_are_named_very_often_are_not_all_written_out() {
    let ((bench, counts), now) = (counted(), now());
    // Each series within the store's limits, and all together 70 MB out of 100 kB.
    let mut symbols = ["", "__name__", "m"].map(str::to_owned).to_vec();
    symbols.push("x".repeat(4000));
    symbols.extend((0..60).map(|n: i32| format!("n{n}")));
    let labels_refs: Vec<u32> = [1, 2].into_iter().chain((0..60).flat_map(|n| [4 + n, 3])).collect();
    let sample = write::one::WireSample { value: 1.0, timestamp: now };
    let series = write::two::TimeSeries { labels_refs, samples: vec![sample], ..Default::default() };
    let request = |count| snappy(&WriteTwo { symbols: symbols.clone(), series: vec![series.clone(); count] });
    let answer = bench.send(WRITE_PATH, TWO, "snappy", request(300)).await;
    assert_eq!((answer.status, answer.written("samples")), (StatusCode::PAYLOAD_TOO_LARGE, "0"));
    assert!(answer.text().contains("64 MiB"), "{}", answer.text());
    assert!(bench.series().await.is_empty() && refused(&counts).is_empty());
    let answer = bench.send(WRITE_PATH, TWO, "snappy", request(3)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    let requests = told(&counts, "tiphys_metrics_requests_refused_total");
    let one = r#"tiphys_metrics_requests_refused_total{door="remotewrite",reason="too_large"} 1"#;
    assert_eq!(requests, [one], "how many samples it had is not known");
}
