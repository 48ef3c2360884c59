//! Records that are sent with times of 1970 and of 9999: taken by the doors, and found by those
//! times in memory and on disk.

use http::StatusCode;
use prost::Message;
use tiphys_lifecycle::Tasks;

use super::tests::{Collector, again, otlp, post, protobuf};
use crate::{
    index::Store,
    search::{self, Request},
    time,
    wire::NodeRequest,
};

/// The first nanosecond of 1970, and the year 9999, in nanoseconds.
const EPOCH: &str = "0";
const OF_9999: &str = "253402300799999999999";

/// How many records of the range match. RFC 3339, from and to.
fn count(store: &Store, query: &str, since: Option<&str>, until: Option<&str>) -> usize {
    let parsed = |text: Option<&str>| text.map(|text| time::parse(text).expect("a time"));
    let request =
        NodeRequest { query: query.into(), since: parsed(since), until: parsed(until), ..Default::default() };
    let request = Request::new(&request, std::time::Duration::from_secs(60)).expect("a query");
    let answer = search::search(store, &request, 100, "n1");
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    answer.records.len()
}

/// Two records of each of three doors.
fn check(store: &Store) {
    let (epoch, day) = (Some("1970-01-01T00:00:00Z"), Some("1970-01-02T00:00:00Z"));
    for door in ["loki", "bulk", "otlp"] {
        let count = |since, until| count(store, &format!("gull door:{door}"), since, until);
        assert_eq!(count(None, None), 2, "{door}");
        assert_eq!(count(epoch, day), 1, "{door}");
        assert_eq!(count(None, epoch), 0, "{door}");
        assert_eq!(count(day, Some("2200-01-01T00:00:00Z")), 0, "{door}");
        assert_eq!(count(Some("2200-01-01T00:00:00Z"), None), 1, "{door}");
    }
    assert_eq!(count(store, "gull time:>=9999-01-01", None, None), 3);
    assert_eq!(count(store, "gull time:<1970-01-02", None, None), 3);
}

async fn send(collector: &Collector) {
    let sockets = &collector.sockets;
    let push = format!(
        r#"{{"streams":[{{"stream":{{"door":"loki"}},"values":[["{EPOCH}","gull"],["{OF_9999}","gull"]]}}]}}"#
    );
    let json = post("shop").header("Content-Type", "application/json");
    let (_, status, answer) = sockets.send(json, "/loki/api/v1/push", push).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer:?}");

    let bulk = r#"{"create":{}}
{"@timestamp":"1970-01-01T00:00:00Z","message":"gull","door":"bulk"}
{"create":{}}
{"@timestamp":"9999-12-31T23:59:59.999999999Z","message":"gull","door":"bulk"}
"#;
    let (_, status, answer) = sockets.send(post("shop"), "/gulls/_bulk", bulk).await;
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((status, &answer["errors"]), (StatusCode::OK, &false.into()), "{answer}");

    // Zero is no time here, and 64 bits end in 2554.
    let mut records = otlp(None, &["gull door=otlp", "gull door=otlp"]);
    let lines = records.resource_logs[0].scope_logs[0].log_records.iter_mut();
    lines.zip([1, u64::MAX]).for_each(|(record, time)| record.time_unix_nano = time);
    let (_, status, answer) = sockets.send(protobuf("shop"), "/v1/logs", records.encode_to_vec()).await;
    assert_eq!(status, StatusCode::OK, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_1970_and_of_9999_are_taken_and_found() {
    let collector = Collector::new().await;
    send(&collector).await;
    check(&collector.running.store);
    let folder = collector.stop().await;

    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    assert_eq!(running.store.sizes().0, 6, "all of them are on disk");
    check(&running.store);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}
