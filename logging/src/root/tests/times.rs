//! Times that a query speaks of: what they bound, and that all nodes mean the same by `now`.

use super::*;
use crate::time;

fn ago(minutes: i64) -> i64 {
    time::now() - minutes * 60 * time::SECOND
}

async fn cluster() -> TestCluster {
    let cluster = TestCluster::start(2, 0).await;
    for (at, minutes) in [80, 50, 10, 1].into_iter().enumerate() {
        let body = format!("known {minutes} minutes ago");
        cluster.nodes[at % 2].write(&format!("shop/web-{at}"), ago(minutes), at as u64, Level::Info, &body);
    }
    cluster.nodes[0].write("shop/web-9", ago(5), 9, Level::Error, "fresh");
    cluster
}

fn of(query: &str) -> SearchRequest {
    SearchRequest { query: query.into(), ..SearchRequest::default() }
}

#[tokio::test]
async fn a_time_in_the_query_is_as_good_as_one_beside_it() {
    let cluster = cluster().await;
    let check = async |request: SearchRequest, expected: &[&str]| {
        let answer = cluster.root.search(&admin(), &request).await.expect("an answer");
        assert_eq!(bodies(&answer.records), expected, "{request:?}");
    };
    check(of("known time:[now-1h TO now-5m]"), &["known 10 minutes ago", "known 50 minutes ago"]).await;
    let scanned =
        cluster.root.search(&admin(), &of("time:[now-1h TO now-5m]")).await.expect("an answer").scanned;
    assert_eq!(scanned, 3, "blocks of other times are not looked into");
    check(of("NOT time:<now-7m"), &["known 1 minutes ago", "fresh"]).await;
    check(of("time:<now-1h OR level:error"), &["fresh", "known 80 minutes ago"]).await;
    let both = SearchRequest { since: Some("20m".into()), ..of("known time:<now-5m") };
    check(both, &["known 10 minutes ago"]).await;
    check(of("time:{now TO now-1h}"), &[]).await;
    let refused = cluster.root.search(&admin(), &of("a time:>soon")).await;
    assert!(
        matches!(refused, Err(RootError::Invalid(text)) if text.contains("^^^^") && text.contains("now-15m"))
    );
    cluster.stop().await;
}

#[tokio::test]
async fn counts_without_a_range_are_of_the_querys() {
    let cluster = cluster().await;
    let request = HistogramRequest {
        query: "known time:>=now-2h".into(),
        buckets: Some(4),
        ..HistogramRequest::default()
    };
    let answer = cluster.root.histogram(&admin(), &request).await.expect("an answer");
    let counts: Vec<u64> = answer.buckets.iter().map(|bar| bar.count).collect();
    // Bars begin at whole half hours, so the first and the last are parts of one.
    assert_eq!((counts.iter().sum::<u64>(), answer.step_ns / time::SECOND), (4, 1800));
    assert!((4..=5).contains(&counts.len()), "{counts:?}");
    // A range of its own keeps its bars.
    let request = HistogramRequest { since: Some("8h".into()), ..request };
    let answer = cluster.root.histogram(&admin(), &request).await.expect("an answer");
    let counts: Vec<u64> = answer.buckets.iter().map(|bar| bar.count).collect();
    assert_eq!((counts.iter().sum::<u64>(), &counts[..2]), (4, &[0, 0][..]), "{counts:?}");
    cluster.stop().await;
}

#[tokio::test]
async fn patterns_are_compared_with_the_time_before_the_querys() {
    let cluster = cluster().await;
    let request = FacetsRequest {
        query: "time:>now-30m".into(),
        patterns: true,
        compare: Some("same".into()),
        ..FacetsRequest::default()
    };
    let answer = cluster.root.facets(&admin(), &request).await.expect("an answer");
    let found: Vec<_> = answer.facets["pattern"].iter().map(|v| (v.value.as_str(), v.count, v.new)).collect();
    assert_eq!(found, [("known <*> minutes ago", 2, false), ("fresh", 1, true)]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_tail_takes_the_records_of_the_times_asked_for() {
    let cluster = cluster().await;
    let mut lines = Box::pin(cluster.root.tail(&admin(), &of("time:>now-1m")).await.expect("a tail"));
    cluster.nodes[0].write("shop/web-1", ago(10), 100, Level::Info, "late");
    cluster.nodes[0].write("shop/web-1", time::now(), 101, Level::Info, "now");
    let line = tokio::time::timeout(Duration::from_secs(60), lines.next()).await.expect("in time");
    assert!(matches!(line, Some(TailLine::Record(record)) if record.body == "now"));
    cluster.stop().await;
}
