//! What scrapes leave in the store: samples, stale markers, reports, and what was refused.

use std::sync::Arc;

use prost::Message;
use tiphys_api::ways::{Way, Ways};

use super::{
    counts::Counts,
    expose::{Format, proto},
    relabel,
    round::{Refusal, Report, Round},
    target::Taking,
};
use crate::series::{Labels, Limits, Matcher, MetricKind, Select, Store, Symbols, Value};

struct Bench {
    store: Arc<Store>,
    round: Round,
    counts: Counts,
}

fn bench(taking: Taking, limits: Limits) -> Bench {
    let store = Arc::new(Store::in_memory(limits));
    let counts = Counts::default();
    let target = Labels::new([("instance", "i"), ("job", "j"), ("namespace", "shop")]);
    let round = Round::new(store.clone(), target, Arc::new(taking), counts.clone());
    Bench { store, round, counts }
}

impl Bench {
    fn take(&mut self, body: &str, now: i64) -> Result<Report, Refusal> {
        self.round.take(body.as_bytes(), Format::Plain, now)
    }

    /// Samples as `labels value@time`, stale ones as `gone`.
    async fn samples(&self, metric: &str) -> Vec<String> {
        let found = self.store.all(&[Matcher::equal("__name__", metric)], 0..i64::MAX).await;
        let mut samples = Vec::new();
        for data in found {
            let labels = data.labels.without(&["__name__", "instance", "job", "namespace"]);
            for (time, value) in &data.samples {
                let value = match value {
                    value if value.is_stale() => "gone".to_owned(),
                    Value::Number(number) => number.to_string(),
                    Value::Histogram(histogram) => format!("histogram of {}", histogram.count),
                };
                samples.push(format!("{labels} {value}@{time}"));
            }
        }
        samples
    }
}

#[tokio::test]
async fn a_series_that_goes_away_ends_and_comes_back() {
    let mut bench = bench(Taking::default(), Limits::default());
    let report = bench.take("a{x=\"1\"} 1\na{x=\"2\"} 2\n", 1000).expect("readable");
    assert_eq!(report, Report { scraped: 2, kept: 2, added: 2, refused: 0 });
    // In another order, with another spelling of one: that is the same series.
    let report = bench.take("a{x=\"2\"} 3\na{x=\"1\",} 4\n", 2000).expect("readable");
    assert_eq!((report.scraped, report.added), (2, 1));
    bench.take("a{x=\"1\"} 5\n", 3000).expect("readable");
    bench.take("a{x=\"1\"} 6\na{x=\"2\"} 7\n", 4000).expect("readable");
    assert_eq!(
        bench.samples("a").await,
        [
            "{x=\"1\"} 1@1000",
            "{x=\"1\"} 4@2000",
            "{x=\"1\"} 5@3000",
            "{x=\"1\"} 6@4000",
            "{x=\"2\"} 2@1000",
            "{x=\"2\"} 3@2000",
            "{x=\"2\"} gone@3000",
            "{x=\"2\"} 7@4000",
        ]
    );
    bench.round.report(4000, true, 0.5, report);
    bench.round.end(5000);
    assert_eq!(bench.samples("a").await.last().map(String::as_str), Some("{x=\"2\"} gone@5000"));
    assert_eq!(bench.samples("up").await, ["{} 1@4000", "{} gone@5000"]);
    assert_eq!(bench.samples("scrape_samples_scraped").await[0], "{} 2@4000");
    assert_eq!(bench.samples("scrape_duration_seconds").await[0], "{} 0.5@4000");
}

#[test]
fn labels_of_scraped_series_are_in_memory_once() {
    let mut bench = bench(Taking::default(), Limits::default());
    let places =
        |symbols: &Symbols| -> Vec<_> { symbols.iter().map(|symbol| symbol.as_bytes().as_ptr()).collect() };
    for now in [1000, 2000] {
        bench.take("a{x=\"1\"} 1\nb{x=\"1\"} 2\n", now).expect("readable");
        let known = bench.round.known();
        assert_eq!((known.len(), bench.store.series_count()), (2, 2));
        for (series, symbols) in known {
            let of_store = bench.store.symbols(series, &symbols.labels());
            assert_eq!(places(&symbols), places(&of_store), "{symbols:?}");
        }
        // The next time the store has them anew.
        bench.store.drop_before(i64::MAX);
    }
}

#[tokio::test]
async fn a_fault_takes_nothing_in_and_ends_what_was() {
    let mut bench = bench(Taking::default(), Limits::default());
    bench.take("a 1\n", 1000).expect("readable");
    let refusal = bench.take("a 2\nb{ 3\n", 2000).expect_err("no labels");
    assert!(refusal.to_string().contains("line 2: the labels have no end"), "{refusal}");
    bench.take("a 3\n", 3000).expect("readable");
    assert_eq!(bench.samples("a").await, ["{} 1@1000", "{} gone@2000", "{} 3@3000"]);
    assert!(bench.samples("b").await.is_empty());
}

#[tokio::test]
async fn times_of_the_target_count_where_they_are_honored() {
    let body = "a 1 500\nb 1\nb 2\nfar 1 999999999999\n";
    let mut honors = bench(Taking::default(), Limits::default());
    honors.take(body, 1000).expect("readable");
    // What has its own time isn't missed when it is gone.
    honors.take("b 3\n", 2000).expect("readable");
    assert_eq!(honors.samples("a").await, ["{} 1@500"]);
    // The first of two lines of one series counts.
    assert_eq!(honors.samples("b").await, ["{} 1@1000", "{} 3@2000"]);
    assert!(honors.samples("far").await.is_empty());
    assert_eq!((honors.counts.duplicates.get(), honors.counts.ahead.get()), (1, 1));
    let mut ignores = bench(Taking { ignore_timestamps: true, ..Taking::default() }, Limits::default());
    ignores.take(body, 1000).expect("readable");
    ignores.take("b 3\n", 2000).expect("readable");
    assert_eq!(ignores.samples("a").await, ["{} 1@1000", "{} gone@2000"]);
    // Where the monitor says so, what has its own time is missed as well.
    let mut misses = bench(Taking { ends_timed: true, ..Taking::default() }, Limits::default());
    misses.take(body, 1000).expect("readable");
    misses.take("b 3\n", 2000).expect("readable");
    assert_eq!(misses.samples("a").await, ["{} 1@500", "{} gone@2000"]);
}

#[tokio::test]
async fn relabeling_drops_before_the_limit_counts() {
    let rules = serde_json::json!([{"sourceLabels": ["__name__"], "regex": "b.*", "action": "drop"}]);
    let written: Vec<relabel::Written> = serde_json::from_value(rules).expect("rules");
    let relabelings = relabel::Rule::all(&written).expect("rules");
    let mut bench = bench(Taking { sample_limit: 2, relabelings, ..Taking::default() }, Limits::default());
    let report = bench.take("a 1\nb 1\nb2 1\nc 1\n", 1000).expect("within the limit");
    assert_eq!((report.scraped, report.kept, report.added), (4, 2, 2));
    assert_eq!(bench.take("a 2\nc 2\nd 2\n", 2000), Err(Refusal::Samples(2)));
    assert_eq!(bench.samples("a").await, ["{} 1@1000", "{} gone@2000"]);
}

#[tokio::test]
async fn abuse_34_a_target_with_very_many_series_is_capped_and_named() {
    let limits = Limits { series_of_namespace: 100, ..Limits::default() };
    let mut bench = bench(Taking::default(), limits);
    let body: String = (0..100_000).map(|number| format!("flood{{n=\"{number}\"}} 1\n")).collect();
    let report = bench.take(&body, 1000).expect("capped, not refused");
    assert_eq!((report.scraped, report.refused), (100_000, 99_900));
    assert_eq!(bench.store.series_count(), 100);
    let component = tiphys_telemetry::Component::new("test");
    bench.counts.register(&component);
    let told = component.render();
    let line = told.lines().find(|line| line.contains("series_refused_total{")).expect("told");
    assert!(line.contains("worst=\"flood\"") && line.contains("namespace=\"shop\""), "{line}");
    assert!(line.contains("99900"), "{line}");
}

#[tokio::test]
async fn a_target_that_fills_its_namespace_tells_of_itself_all_the_same() {
    let limits = Limits { series_of_namespace: 3, ..Limits::default() };
    let mut bench = bench(Taking::default(), limits);
    let body: String = (0..9).map(|number| format!("flood{{n=\"{number}\"}} 1\n")).collect();
    for now in [1000, 2000] {
        let report = bench.take(&body, now).expect("capped, not refused");
        bench.round.report(now, true, 0.25, report);
    }
    bench.round.report(3000, false, 0.5, Report::default());
    assert_eq!(bench.samples("up").await, ["{} 1@1000", "{} 1@2000", "{} 0@3000"]);
    assert_eq!(bench.samples("scrape_duration_seconds").await[2], "{} 0.5@3000");
    for name in ["scrape_samples_scraped", "scrape_samples_post_metric_relabeling"] {
        assert_eq!(bench.samples(name).await[..2], ["{} 9@1000", "{} 9@2000"], "{name}");
    }
    assert_eq!(bench.samples("scrape_series_added").await[0], "{} 9@1000");
    assert_eq!(bench.samples("flood").await.len(), 2 * 3, "the samples themselves are capped");
    // What it says itself under these names is a sample like others.
    bench.take("up{n=\"x\"} 7\n", 4000).expect("readable");
    assert_eq!(bench.samples("up").await.len(), 3);
}

#[tokio::test]
async fn what_is_scraped_is_known_to_be() {
    let mut bench = bench(Taking::default(), Limits::default());
    let report = bench.take("a 1\n", 1000).expect("readable");
    bench.round.report(1000, true, 0.5, report);
    let of = [("instance", "i"), ("job", "j"), ("namespace", "shop")];
    let labels = |name| Labels::new(of.into_iter().chain([("__name__", name)]));
    for name in ["a", "up"] {
        assert_eq!(bench.store.ways(&labels(name)).names(), ["scraped"], "{name}");
    }
    assert!(bench.store.ways(&labels("b")).is_empty());
    // Who resolves it without a word says nothing of it; who sends it does.
    bench.store.resolve(&labels("a")).expect("known");
    assert_eq!(bench.store.ways(&labels("a")), Ways::from(Way::Scraped));
    bench.store.resolve_by(&labels("a"), Way::Otlp).expect("known");
    assert_eq!(bench.store.ways(&labels("a")), Ways::from(Way::Otlp));
}

#[tokio::test]
async fn what_a_target_says_of_its_metrics_is_kept_and_bounded() {
    let mut bench = bench(Taking::default(), Limits::default());
    let said = bench.round.said();
    bench.take("# TYPE b gauge\n# HELP a Words.\n# TYPE a counter\na 1\n", 1000).expect("readable");
    bench.take("# HELP a Other words.\n# TYPE a counter\na 1\n", 2000).expect("readable");
    let told = |metric| -> Vec<String> {
        let all = said.of(metric).into_iter();
        all.map(|(name, meta)| format!("{name} {} {}", meta.kind.name(), meta.help)).collect()
    };
    assert_eq!(told(None), ["a counter Other words.", "b gauge "]);
    assert_eq!(told(Some("b")), ["b gauge "]);
    assert!(told(Some("c")).is_empty());
    let many: String = (0..20_000).map(|number| format!("# HELP m{number} x\n")).collect();
    bench.take(&many, 3000).expect("readable");
    assert_eq!(said.of(None).len(), 10_000);
}

/// What the store has of what was said, as `namespace/metric` and the length of its help.
fn described(store: &Store) -> Vec<(String, usize)> {
    let all = store.metadata().into_iter();
    all.map(|one| (format!("{}/{}", one.namespace, one.metric), one.meta.help.len())).collect()
}

#[tokio::test]
async fn abuse_34_what_targets_say_without_end_is_not_kept() {
    let bound = Taking { namespace: Some("shop".to_owned()), ..Taking::default() };
    let mut bench = bench(bound, Limits::default());
    let said = bench.round.said();
    let long = "\u{e4}".repeat(50_000);
    for round in 0..3 {
        let random: String = (0..2000).map(|n| format!("# HELP random_{round}_{n} {long:.1000}\n")).collect();
        let body = format!("# HELP a {long}\n# TYPE a counter\na_total 1\n{random}# HELP b x\nb 1\n");
        bench.take(&body, 1000 * (round + 1)).expect("readable");
        // Of metrics without series nothing is kept, and of the others texts that end.
        let expected = [("shop/a".to_owned(), 4096), ("shop/b".to_owned(), 1)];
        assert_eq!(described(&bench.store), expected);
    }
    let kept: usize = said.of(None).iter().map(|(name, meta)| name.len() + meta.help.len()).sum();
    assert!(kept > 500_000 && kept <= 1 << 20, "{kept}");
}

#[tokio::test]
async fn what_is_said_before_there_are_series_is_kept_when_there_are() {
    let bound = Taking { namespace: Some("shop".to_owned()), ..Taking::default() };
    let mut bench = bench(bound, Limits::default());
    bench.take("# HELP a Words.\n", 0).expect("readable");
    assert!(described(&bench.store).is_empty());
    for round in 1..=16 {
        bench.take("# HELP a Words.\na 1\n", 1000 * round).expect("readable");
    }
    assert_eq!(described(&bench.store), [("shop/a".to_owned(), 6)]);
}

#[tokio::test]
async fn abuse_34_exemplars_with_long_labels_are_refused_and_counted() {
    let mut bench = bench(Taking::default(), Limits::default());
    let body = |length: usize| format!("a_total 1 # {{id=\"{}\"}} 0.5\n# EOF\n", "\u{e4}".repeat(length));
    for (now, length) in [(1000, 127), (2000, 126), (3000, 100_000)] {
        bench.round.take(body(length).as_bytes(), Format::OpenMetrics, now).expect("readable");
    }
    let found = bench.store.exemplars(&[], 0..i64::MAX);
    let times: Vec<_> = found.iter().flat_map(|(_, all)| all).map(|one| one.time).collect();
    assert_eq!((times, bench.counts.exemplars_refused.get()), (vec![2000], 2));
}

#[tokio::test]
async fn abuse_34_a_histogram_with_too_many_buckets_is_refused_and_counted() {
    let limits = Limits { histogram: 100, ..Limits::default() };
    let mut bench = bench(Taking::default(), limits);
    for (now, buckets) in [(1000, 99), (2000, 100)] {
        let histogram = proto::WireHistogram {
            sample_count: 3,
            positive_span: vec![proto::Span { offset: 0, length: buckets }],
            positive_delta: vec![0; buckets as usize],
            ..proto::WireHistogram::default()
        };
        let metric = proto::Metric { histogram: Some(histogram), ..proto::Metric::default() };
        let family = proto::Family { name: "h".into(), kind: 4, metric: vec![metric], ..Default::default() };
        bench.round.take(&family.encode_length_delimited_to_vec(), Format::Protobuf, now).expect("readable");
    }
    assert_eq!(bench.samples("h").await, ["{} histogram of 3@1000"]);
    assert_eq!((bench.counts.too_large.get(), bench.counts.samples.get()), (1, 1));
}

#[tokio::test]
async fn open_metrics_brings_exemplars_and_what_a_metric_is() {
    let mut bench = bench(Taking::default(), Limits::default());
    let body = "# TYPE a counter\n# UNIT a seconds\n# HELP a Some words.\n\
        a_total 1 # {trace_id=\"x\"} 0.5\n# TYPE b gauge\nb 1\n# EOF\n";
    for now in [1000, 2000] {
        bench.round.take(body.as_bytes(), Format::OpenMetrics, now).expect("readable");
    }
    let exemplars = bench.store.exemplars(&[Matcher::equal("__name__", "a_total")], 0..i64::MAX);
    // The same one twice is one.
    assert_eq!(exemplars.len(), 1);
    let (_, found) = &exemplars[0];
    assert_eq!((found.len(), found[0].time, found[0].value), (1, 1000, 0.5));
    assert_eq!(found[0].labels, Labels::new([("trace_id", "x")]));
    let metadata = bench.store.metadata();
    let told: Vec<_> = metadata
        .iter()
        .map(|one| (one.metric.as_str(), one.meta.kind, one.meta.help.as_str(), one.meta.unit.as_str()))
        .collect();
    let wanted = [("a", MetricKind::Counter, "Some words.", "seconds"), ("b", MetricKind::Gauge, "", "")];
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn native_histograms_come_by_protobuf() {
    let mut bench = bench(Taking::default(), Limits::default());
    let histogram = proto::WireHistogram {
        sample_count: 3,
        sample_sum: 4.0,
        schema: Some(0),
        positive_span: vec![proto::Span { offset: 0, length: 1 }],
        positive_delta: vec![3],
        ..proto::WireHistogram::default()
    };
    let label = proto::LabelPair { name: "x".into(), value: "1".into() };
    let metric = proto::Metric { label: vec![label], histogram: Some(histogram), ..proto::Metric::default() };
    let family = proto::Family { name: "h".into(), kind: 4, metric: vec![metric], ..Default::default() };
    for now in [1000, 2000] {
        bench.round.take(&family.encode_length_delimited_to_vec(), Format::Protobuf, now).expect("readable");
    }
    bench.round.end_all(3000);
    assert_eq!(
        bench.samples("h").await,
        ["{x=\"1\"} histogram of 3@1000", "{x=\"1\"} histogram of 3@2000", "{x=\"1\"} gone@3000"]
    );
}
