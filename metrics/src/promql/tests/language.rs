//! What the language says, by example: lists of queries and their answers.

use std::sync::Arc;

use super::*;
use crate::series::{Buckets, Histogram};

/// Answers at one time, seconds.
async fn check(store: &Store, seconds: i64, table: &[(&str, &[&str])]) {
    for (query, expected) in table {
        let answer = ask(store, query, seconds).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(written(&answer), *expected, "{query}");
    }
}

fn counters() -> Store {
    store(
        60_000,
        r#"
        requests_total{job="a", pod="x"} 0+60x10
        requests_total{job="a", pod="y"} 0+120x10
        requests_total{job="b", pod="z"} 0+30x4 0+30x5
        limits{pod="x"} 1000 1000 1000 1000 1000 1000 1000 1000 1000 1000 1000
        limits{pod="y"} 100+0x10
        temperature{room="one"} 20 22 _ 21 NaN 25 24 23 22 21 20
        gone{a="b"} 1 2 stale
        "#,
    )
}

#[tokio::test]
async fn rates_reach_to_the_ends_of_their_range() {
    // The range (300 s, 600 s] has samples from 360 s on: one interval from its start.
    check(
        &counters(),
        600,
        &[
            ("rate(requests_total{job=\"a\"}[5m])", &[r#"{job="a", pod="x"} 1"#, r#"{job="a", pod="y"} 2"#]),
            ("increase(requests_total{pod=\"z\"}[10m])", &[r#"{job="b", pod="z"} 266.6666666666667"#]),
            ("resets(requests_total{pod=\"z\"}[11m])", &[r#"{job="b", pod="z"} 1"#]),
            ("irate(requests_total{pod=\"x\"}[5m])", &[r#"{job="a", pod="x"} 1"#]),
            ("idelta(requests_total{pod=\"x\"}[5m])", &[r#"{job="a", pod="x"} 60"#]),
            ("deriv(requests_total{pod=\"x\"}[5m])", &[r#"{job="a", pod="x"} 1"#]),
            ("predict_linear(requests_total{pod=\"x\"}[5m], 60)", &[r#"{job="a", pod="x"} 660"#]),
            ("rate(requests_total{pod=\"x\"}[1m])", &[]),
            ("sum by (job) (rate(requests_total[5m]))", &[r#"{job="a"} 3"#, r#"{job="b"} 0.5"#]),
        ],
    )
    .await;
}

#[tokio::test]
async fn ranges_have_their_end_and_not_their_start() {
    check(
        &counters(),
        600,
        &[
            ("count_over_time(temperature[2m])", &[r#"{room="one"} 2"#]),
            ("temperature[2m]", &[r#"temperature{room="one"} 21@540000 20@600000"#]),
            ("temperature[2m] offset 1m", &[r#"temperature{room="one"} 22@480000 21@540000"#]),
            ("temperature[2m] @ 60", &[r#"temperature{room="one"} 20@0 22@60000"#]),
            ("count_over_time(temperature[4m:1m])", &[r#"{room="one"} 4"#]),
            ("max_over_time(temperature[11m])", &[r#"{room="one"} 25"#]),
            ("last_over_time(temperature[5m])", &[r#"temperature{room="one"} 20"#]),
            ("quantile_over_time(0.5, temperature[5m])", &[r#"{room="one"} 22"#]),
            ("changes(temperature[11m])", &[r#"{room="one"} 9"#]),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_series_that_ended_is_gone_at_once_and_an_old_one_after_the_lookback() {
    let store = counters();
    check(&store, 119, &[("gone", &[r#"gone{a="b"} 2"#])]).await;
    check(&store, 120, &[("gone", &[]), ("absent(gone{a=\"b\"})", &[r#"{a="b"} 1"#])]).await;
    check(&store, 899, &[("temperature", &[r#"temperature{room="one"} 20"#])]).await;
    check(&store, 900, &[("temperature", &[]), ("absent_over_time(temperature[1m])", &["{} 1"])]).await;
}

#[tokio::test]
async fn operators_match_series_by_their_labels() {
    let x = r#"{job="a", pod="x"}"#;
    check(
        &counters(),
        600,
        &[
            ("1 + 2 * 3 ^ 2", &["19"]),
            ("-limits{pod=\"x\"} % 300", &[r#"{pod="x"} -100"#]),
            (
                "requests_total > bool 600",
                &[&format!("{x} 0"), r#"{job="a", pod="y"} 1"#, r#"{job="b", pod="z"} 0"#],
            ),
            ("requests_total > on(pod) group_left limits", &[r#"requests_total{job="a", pod="y"} 1200"#]),
            ("limits < on(pod) requests_total", &[r#"{pod="y"} 100"#]),
            (
                "requests_total / on(pod) group_left limits",
                &[&format!("{x} 0.6"), r#"{job="a", pod="y"} 12"#],
            ),
            ("limits and on(pod) requests_total > 700", &[r#"limits{pod="y"} 100"#]),
            ("limits unless on(pod) (requests_total > 700)", &[r#"limits{pod="x"} 1000"#]),
            (
                "temperature or limits{pod=\"x\"}",
                &[r#"temperature{room="one"} 20"#, r#"limits{pod="x"} 1000"#],
            ),
            ("700 < requests_total", &[r#"requests_total{job="a", pod="y"} 1200"#]),
            ("limits{pod=\"x\"} * on(pod) group_right requests_total", &[&format!("{x} 600000")]),
            ("vector(1) atan2 vector(1)", &[&format!("{{}} {}", std::f64::consts::FRAC_PI_4)]),
        ],
    )
    .await;
}

#[tokio::test]
async fn aggregations_group_by_labels() {
    check(
        &counters(),
        600,
        &[
            ("sum without (pod) (requests_total)", &[r#"{job="a"} 1800"#, r#"{job="b"} 150"#]),
            ("avg(requests_total)", &["{} 650"]),
            ("count by (job) (requests_total)", &[r#"{job="a"} 2"#, r#"{job="b"} 1"#]),
            ("max(requests_total) - min(requests_total)", &["{} 1050"]),
            ("group(requests_total)", &["{} 1"]),
            ("stdvar(limits)", &["{} 202500"]),
            ("quantile(0.5, requests_total)", &["{} 600"]),
            ("topk(1, requests_total)", &[r#"requests_total{job="a", pod="y"} 1200"#]),
            (
                "bottomk by (job) (1, requests_total)",
                &[r#"requests_total{job="a", pod="x"} 600"#, r#"requests_total{job="b", pod="z"} 150"#],
            ),
            ("count_values(\"v\", limits)", &[r#"{v="1000"} 1"#, r#"{v="100"} 1"#]),
            ("limitk(1, requests_total)", &[r#"requests_total{job="a", pod="x"} 600"#]),
            ("count(limit_ratio(0.5, requests_total) or limit_ratio(-0.5, requests_total))", &["{} 3"]),
            (
                "sort_desc(requests_total{job=\"a\"})",
                &[r#"requests_total{job="a", pod="y"} 1200"#, r#"requests_total{job="a", pod="x"} 600"#],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn labels_are_replaced_joined_and_kept_apart() {
    let store = counters();
    check(
        &store,
        600,
        &[
            (
                r#"label_replace(limits{pod="x"}, "host", "h-$1", "pod", "(.*)")"#,
                &[r#"limits{host="h-x", pod="x"} 1000"#],
            ),
            (
                r#"label_join(limits{pod="x"}, "all", "-", "pod", "pod")"#,
                &[r#"limits{all="x-x", pod="x"} 1000"#],
            ),
            (r#"vector(time()) + 1"#, &["{} 601"]),
            (r#"scalar(limits{pod="x"}) + scalar(limits)"#, &["NaN"]),
            (r#"timestamp(limits{pod="x"})"#, &[r#"{pod="x"} 600"#]),
            (r#"hour(vector(7200)) + day_of_week()"#, &["{} 6"]),
            (r#"clamp(limits, 200, 500)"#, &[r#"{pod="x"} 500"#, r#"{pod="y"} 200"#]),
        ],
    )
    .await;
    let same = ask(&store, "rate({__name__=~\"limits|requests_total\", pod=\"x\"}[5m])", 600).await;
    assert!(same.is_ok(), "labels differ by job");
    let same = ask(&store, r#"label_replace(limits, "pod", "", "", "")"#, 600).await;
    assert_eq!(same, Err(QueryError::same_labels()));
    let ambiguous = ask(&store, "limits * on() requests_total", 600).await.expect_err("many").to_string();
    assert!(ambiguous.contains("many-to-many matching not allowed"), "{ambiguous}");
    let explicit = ask(&store, "requests_total * on(job) group(requests_total) by (job)", 600).await;
    assert!(explicit.expect_err("many").to_string().contains("must be explicit"));
}

#[tokio::test]
async fn a_range_query_is_the_same_as_many_instant_ones() {
    let store = counters();
    let queries = [
        "sum by (job) (rate(requests_total[3m]))",
        "topk(1, requests_total)",
        "max_over_time(sum(requests_total)[5m:2m])",
        "requests_total > on(pod) group_left limits",
        "temperature and temperature > 21",
        "absent(gone)",
        "rate(requests_total[3m] @ end()) + requests_total offset 2m",
        "histogram_quantile(0.5, requests_total)",
        "count_values(\"v\", temperature)",
    ];
    for query in queries {
        let whole = ask_range(&store, query, [60, 600, 90]).await.expect(query);
        let mut seen = std::collections::BTreeMap::<String, Vec<String>>::new();
        let steps: Vec<i64> = (60..=600).step_by(90).collect();
        for (place, second) in steps.iter().enumerate() {
            // A whole query's end is what @ end() means.
            let query = query.replace("end()", "600");
            for line in written(&ask(&store, &query, *second).await.expect(&query)) {
                let (labels, value) = line.rsplit_once(' ').expect("a value");
                let row = seen.entry(labels.to_owned()).or_insert_with(|| vec!["_".to_owned(); steps.len()]);
                row[place] = value.to_owned();
            }
        }
        let expected: Vec<_> =
            seen.iter().map(|(labels, row)| format!("{labels} {}", row.join(" "))).collect();
        let mut found = written(&whole);
        found.sort();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn a_prediction_from_a_fixed_range_is_of_each_step() {
    // The range stays; how far ahead it is looked is counted from the step.
    let query = "predict_linear(requests_total{pod=\"x\"}[5m] @ 600, 60)";
    let answer = ask_range(&counters(), query, [600, 900, 100]).await.expect("answered");
    assert_eq!(written(&answer), [r#"{job="a", pod="x"} 660 760 860 960"#]);
}

fn natives() -> Store {
    let store = Store::in_memory(series::Limits::default());
    let histogram = |factor: f64, gauge: bool| Histogram {
        count: 4.0 * factor,
        sum: 8.0 * factor,
        positive: Buckets { spans: vec![(1, 2)], counts: vec![2.0 * factor, 2.0 * factor] },
        gauge,
        ..Histogram::default()
    };
    for (name, pod) in [("latency", "a"), ("latency", "b")] {
        let id = store.resolve(&Labels::new([(NAME, name), ("pod", pod)])).expect("taken");
        for minute in 0..11 {
            let value = Value::Histogram(Arc::new(histogram(minute as f64 + 1.0, false)));
            store.append(&[Sample { series: id, time: minute * 60_000, value }]);
        }
    }
    let id = store.resolve(&Labels::new([(NAME, "mixed"), ("pod", "a")])).expect("taken");
    let value = Value::Histogram(Arc::new(histogram(1.0, true)));
    store.append(&[Sample { series: id, time: 300_000, value }]);
    store.append(&[Sample { series: id, time: 600_000, value: Value::Number(7.0) }]);
    store
}

#[tokio::test]
async fn native_histograms_are_added_and_asked() {
    let store = natives();
    check(
        &store,
        600,
        &[
            ("histogram_count(sum(latency))", &["{} 88"]),
            ("histogram_sum(rate(latency{pod=\"a\"}[5m])) * 60", &[r#"{pod="a"} 8"#]),
            ("histogram_avg(latency{pod=\"a\"})", &[r#"{pod="a"} 2"#]),
            ("histogram_quantile(0.5, sum(latency))", &["{} 2"]),
            ("histogram_fraction(0, 2, latency{pod=\"a\"})", &[r#"{pod="a"} 0.5"#]),
            ("avg(latency) / 11", &["{} {count:4, sum:8, (1,2]:2, (2,4]:2}"]),
            ("latency{pod=\"a\"} - ignoring(pod) latency{pod=\"b\"}", &["{} {count:0, sum:0}"]),
            ("count(latency == on(pod) latency)", &["{} 2"]),
            ("max(latency)", &[]),
            ("latency + 1", &[]),
        ],
    )
    .await;
    let notes = ask(&store, "max(latency)", 600).await.expect("answered").notes;
    assert_eq!(notes.infos.iter().collect::<Vec<_>>(), ["PromQL info: ignored histogram in max aggregation"]);
    let notes = ask(&store, "rate(mixed[10m])", 600).await.expect("answered").notes;
    assert!(notes.warnings.iter().any(|note| note.contains("mix of histograms and floats")), "{notes:?}");
    let notes = ask(&store, "latency + 1", 600).await.expect("answered").notes;
    assert!(notes.infos.iter().any(|note| note.contains("incompatible sample types")), "{notes:?}");
}

#[tokio::test]
async fn classic_histograms_are_asked_by_their_buckets() {
    let store = store(
        60_000,
        r#"
        latency_bucket{le="1", pod="a"} 0+10x10
        latency_bucket{le="2", pod="a"} 0+20x10
        latency_bucket{le="+Inf", pod="a"} 0+20x10
        latency_bucket{le="what", pod="a"} 1 1 1 1 1 1 1 1 1 1 1
        "#,
    );
    check(
        &store,
        600,
        &[
            ("histogram_quantile(0.75, rate(latency_bucket[5m]))", &[r#"{pod="a"} 1.5"#]),
            ("histogram_fraction(0, 1, latency_bucket)", &[r#"{pod="a"} 0.5"#]),
            (
                "histogram_quantiles(latency_bucket, \"q\", 0.25, 0.5)",
                &[r#"{pod="a", q="0.25"} 0.5"#, r#"{pod="a", q="0.5"} 1"#],
            ),
        ],
    )
    .await;
    let notes = ask(&store, "histogram_quantile(2, latency_bucket)", 600).await.expect("answered").notes;
    assert_eq!(notes.warnings.len(), 2, "{notes:?}");
}

#[tokio::test]
async fn limits_hold() {
    let store = counters();
    let error = ask_range(&store, "up", [0, 11_001, 1]).await.expect_err("too many steps");
    assert!(error.to_string().contains("11000 points"), "{error}");
    let few = Limits { samples: 20, ..Limits::default() };
    let error = instant(&store, "requests_total[10m]", 600_000, &few).await.expect_err("too many");
    assert!(matches!(&error, QueryError::Execution(sentence) if sentence.contains("20")), "{error}");
    let grid = Grid::range(0, 600_000, 60_000);
    let error = range(&store, "requests_total", grid, &few).await.expect_err("too many");
    assert!(matches!(error, QueryError::Execution(_)), "{error}");
    let error = ask_range(&store, "up[5m]", [0, 10, 1]).await.expect_err("a range");
    assert!(error.to_string().contains("must be Scalar or instant Vector"), "{error}");
}

#[tokio::test]
async fn labels_of_the_target_are_added() {
    let store = store(
        60_000,
        r#"
        requests_total{instance="i", job="j"} 0+60x10
        target_info{instance="i", job="j", version="1"} 1 1 1 1 1 1
        target_info{instance="i", job="j", version="2"} _ _ _ _ _ _ 1 1 1 1 1
        "#,
    );
    // Both versions are there for a while: that is told.
    let error = ask(&store, "info(requests_total)", 480).await.expect_err("two versions");
    assert!(error.to_string().contains("version"), "{error}");
    check(
        &store,
        240,
        &[("info(requests_total)", &[r#"requests_total{instance="i", job="j", version="1"} 240"#])],
    )
    .await;
    check(&store, 240, &[(r#"info(requests_total, {version="3"})"#, &[])]).await;
}

#[tokio::test]
async fn a_brace_that_begins_no_count_is_a_character() {
    let store = store(
        60_000,
        r#"
        braces{pod="a{bbb}"} 1
        braces{pod="a{2"} 2
        braces{pod="aa"} 3
        "#,
    );
    check(
        &store,
        60,
        &[
            (r#"braces{pod=~"a{bbb}"}"#, &[r#"braces{pod="a{bbb}"} 1"#]),
            (r#"braces{pod=~"a{2"}"#, &[r#"braces{pod="a{2"} 2"#]),
            (r#"braces{pod=~"a{2}"}"#, &[r#"braces{pod="aa"} 3"#]),
            (r#"braces{pod!~"a{.*"}"#, &[r#"braces{pod="aa"} 3"#]),
            (r#"braces{pod=~"a{ 2 }"}"#, &[]),
            (
                r#"label_replace(braces{pod="a{2"}, "x", "$1", "pod", "a{(.)")"#,
                &[r#"braces{pod="a{2", x="2"} 2"#],
            ),
        ],
    )
    .await;
}
