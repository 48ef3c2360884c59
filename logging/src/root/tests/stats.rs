//! Statistics and facets through the root.

use super::*;

async fn cluster() -> TestCluster {
    let cluster = TestCluster::start(2, 1).await;
    for (at, node) in cluster.nodes.iter().enumerate() {
        for second in 0..10u64 {
            let number = at as u64 * 10 + second;
            let time = 1_000_000_000 * second as i64;
            let body =
                format!(r#"{{"status":{},"took":"{}ms"}}"#, if second == 0 { 500 } else { 200 }, number * 10);
            node.write("shop/web-1", time, number, Level::Info, &body);
            node.write("ops/db-1", time, number, Level::Warn, "secret=7 status=404");
        }
    }
    cluster
}

fn request() -> StatsRequest {
    StatsRequest {
        since: Some("1970-01-01T00:00:00Z".into()),
        until: Some("1970-01-01T00:00:10Z".into()),
        ..StatsRequest::default()
    }
}

#[tokio::test]
async fn numbers_of_all_nodes_are_one() {
    let cluster = cluster().await;
    let asked = StatsRequest {
        query: "took:*".into(),
        field: Some("took".into()),
        by: vec!["status".into(), "app".into()],
        quantiles: vec![0.5],
        ..request()
    };
    let answer = cluster.root.stats(&admin(), &asked).await.expect("an answer");
    assert_eq!((answer.count, answer.series.len(), answer.partial[0].node.as_str()), (20, 2, "n3"));
    let first = &answer.series[0];
    assert_eq!(
        (first.group["status"].as_str(), first.group["app"].as_str(), first.count),
        ("200", "web", 18)
    );
    let point = &first.points[0];
    assert_eq!((point.rate, point.min, point.max), (1.8, Some(0.01), Some(0.19)));
    let exact = 0.1;
    assert!((point.quantiles[0] - exact).abs() <= 0.011, "{}", point.quantiles[0]);
    let steps = StatsRequest { step: Some("5s".into()), by: vec!["ns".into()], ..request() };
    let answer = cluster.root.stats(&admin(), &steps).await.expect("an answer");
    let counts: Vec<Vec<u64>> =
        answer.series.iter().map(|s| s.points.iter().map(|point| point.count).collect()).collect();
    assert_eq!(counts, [[10, 10], [10, 10]]);
    cluster.stop().await;
}

#[tokio::test]
async fn bars_tell_the_most_frequent_values_of_a_field_apart() {
    let cluster = cluster().await;
    cluster.nodes[0].write("shop/web-1", 1_000_000_000, 90, Level::Info, "no field");
    let asked = request();
    let request = HistogramRequest {
        since: asked.since,
        until: asked.until,
        buckets: Some(2),
        by: Some("status".into()),
        top: Some(2),
        ..HistogramRequest::default()
    };
    let answer = cluster.root.histogram(&admin(), &request).await.expect("an answer");
    assert_eq!((answer.partial[0].node.as_str(), answer.capped), ("n3", false));
    let values: Vec<_> = answer.values.iter().map(|v| (v.value.as_str(), v.count)).collect();
    assert_eq!(values, [("404", 20), ("200", 18)]);
    let bar = &answer.buckets[0];
    assert_eq!(
        (bar.count, bar.by_value["404"], bar.by_value["200"], bar.others, bar.without),
        (21, 10, 8, 2, 1)
    );
    assert_eq!((bar.by_level["info"], bar.by_level["warn"]), (11, 10));
    // Who may not see a namespace learns no value of it.
    let answer = cluster.root.histogram(&reader("shop"), &request).await.expect("an answer");
    let values: Vec<_> = answer.values.iter().map(|v| (v.value.as_str(), v.count)).collect();
    assert_eq!((values, answer.restricted), (vec![("200", 18), ("500", 2)], true));
    // The level is a key as any other, and so is a name.
    for (by, expected) in [("level", [("info", 21), ("warn", 20)]), ("pod", [("web-1", 21), ("db-1", 20)])] {
        let request = HistogramRequest { by: Some(by.into()), ..request.clone() };
        let answer = cluster.root.histogram(&admin(), &request).await.expect("an answer");
        let values: Vec<_> = answer.values.iter().map(|v| (v.value.as_str(), v.count)).collect();
        assert_eq!(values, expected);
    }
    let refused = HistogramRequest { by: Some(String::new()), ..request };
    assert!(matches!(cluster.root.histogram(&admin(), &refused).await, Err(RootError::Invalid(_))));
    cluster.stop().await;
}

#[tokio::test]
async fn patterns_of_all_nodes_are_compared_with_the_time_before() {
    let cluster = TestCluster::start(2, 0).await;
    cluster.nodes[0].write("shop/web-1", 5, 0, Level::Info, "known 1");
    cluster.nodes[1].write("shop/web-2", 15, 0, Level::Info, "known 2");
    cluster.nodes[1].write("shop/web-2", 16, 1, Level::Info, "fresh 2");
    let request = FacetsRequest {
        since: Some("1970-01-01T00:00:00.000000010Z".into()),
        until: Some("1970-01-01T00:00:00.000000020Z".into()),
        patterns: true,
        compare: Some("same".into()),
        ..FacetsRequest::default()
    };
    let answer = cluster.root.facets(&admin(), &request).await.expect("an answer");
    let found: Vec<_> = answer.facets["pattern"].iter().map(|v| (v.value.as_str(), v.new)).collect();
    assert_eq!(found, [("fresh <*>", true), ("known <*>", false)]);
    let without_begin = FacetsRequest { since: None, ..request };
    let refused = cluster.root.facets(&admin(), &without_begin).await;
    assert!(matches!(refused, Err(RootError::Invalid(_))));
    cluster.stop().await;
}

#[tokio::test]
async fn abuse_30_statistics_and_names_of_fields_end_at_the_right_to_read() {
    let cluster = cluster().await;
    let asked = StatsRequest { by: vec!["ns".into(), "status".into()], ..request() };
    let answer = cluster.root.stats(&reader("shop"), &asked).await.expect("an answer");
    assert!(answer.restricted && answer.count == 20);
    let text = serde_json::to_string(&answer).expect("JSON");
    assert!(!text.contains("ops") && !text.contains("404"), "{text}");
    let denied = StatsRequest { namespace: Some("ops".into()), ..asked };
    assert!(matches!(cluster.root.stats(&reader("shop"), &denied).await, Err(RootError::Forbidden(_))));
    let facets = FacetsRequest { fields: vec!["status".into()], names: true, ..FacetsRequest::default() };
    let answer = cluster.root.facets(&reader("shop"), &facets).await.expect("an answer");
    let text = serde_json::to_string(&answer.facets).expect("JSON");
    assert!(text.contains("took") && !text.contains("secret") && !text.contains("404"), "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn abuse_35_answers_wait_for_room_and_all_come() {
    let mut cluster = TestCluster::start(4, 0).await;
    for (at, node) in cluster.nodes.iter().enumerate() {
        for seq in 0..20 {
            node.write(&format!("shop/web-{at}"), seq as i64, seq, Level::Info, &"x".repeat(500));
        }
    }
    // Each answer is greater than all the room there is.
    cluster.root.room = room::Room::of(1 << 10);
    let request = SearchRequest { limit: Some(1000), ..SearchRequest::default() };
    let answer = cluster.root.search(&admin(), &request).await.expect("an answer");
    assert_eq!((answer.records.len(), answer.partial), (80, vec![]));
    cluster.stop().await;
}
