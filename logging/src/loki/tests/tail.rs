//! The live tail over a real socket.

use std::time::Duration;

use futures::{SinkExt, Stream, StreamExt, stream};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::root::tests::{
    admin, reader,
    slow::{FEW, Got, is_of_missed, number, one_stops_and_another_reads},
};

/// The address of a server that takes everyone for `user`.
async fn serve(cluster: &TestCluster, user: UserInfo) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = router(cluster.root.clone()).layer(Extension(user));
    cluster
        .tasks
        .spawn("loki", tiphys_lifecycle::OnError::Log, async move { axum::serve(listener, router).await });
    format!("ws://{address}")
}

async fn message<S>(socket: &mut S) -> Value
where
    S: futures::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    let next = async {
        loop {
            if let Message::Text(text) = socket.next().await.expect("a message").expect("sound") {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), next).await.expect("in time")
}

#[tokio::test]
async fn the_tail_gives_the_past_and_then_what_comes() {
    let cluster = cluster().await;
    let server = serve(&cluster, admin()).await;
    let query = "{app=\"db\"} | logfmt | rows >= 10 | line_format \"{{.rows}}\"";
    let uri =
        format!("{server}{}", with("tail", &[("query", query), ("start", "1700000000"), ("limit", "10")]));
    let (mut socket, _) = tokio_tungstenite::connect_async(uri).await.expect("connected");
    let past = message(&mut socket).await;
    let texts: Vec<_> = past["streams"]
        .as_array()
        .expect("streams")
        .iter()
        .map(|stream| stream["values"][0][1].clone())
        .collect();
    assert_eq!(texts, ["11", "10"]);
    for (pod, body) in [("ops/db-1", "rows=3"), ("shop/web-1", "rows=30"), ("ops/db-1", "rows=13 x=1")] {
        cluster.nodes[1].write(pod, crate::time::now(), 100, Level::Info, body);
    }
    let live = message(&mut socket).await;
    assert_eq!(live["streams"][0]["values"][0][1], "13");
    assert_eq!(live["streams"][0]["stream"]["x"], "1");
    socket.close(None).await.expect("closed");

    let wrong = format!("{server}{}", with("tail", &[("query", "{a=")]));
    assert!(tokio_tungstenite::connect_async(wrong).await.is_err());
    let (status, text) = get(&cluster, Some(admin()), &with("tail", &[("query", "{}")])).await;
    assert!(status.is_client_error(), "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn abuse_30_the_tail_shows_no_namespace_that_is_not_allowed() {
    let cluster = cluster().await;
    let server = serve(&cluster, reader("shop")).await;
    let uri =
        format!("{server}{}", with("tail", &[("query", "{}"), ("start", "1700000000"), ("limit", "5000")]));
    let (mut socket, _) = tokio_tungstenite::connect_async(uri).await.expect("connected");
    assert!(!message(&mut socket).await.to_string().contains("ops"));
    cluster.nodes[0].write("ops/db-1", 1, 200, Level::Info, "hidden");
    cluster.nodes[0].write("shop/web-1", 2, 200, Level::Info, "seen");
    let live = message(&mut socket).await;
    assert_eq!(live["streams"][0]["values"], json!([["2", "seen"]]));
    socket.send(Message::Close(None)).await.expect("sent");
    cluster.stop().await;
}

/// The lines of a Pod, as far as they are asked for.
async fn lines_of_web(server: &str) -> impl Stream<Item = Got> + Unpin + use<> {
    let uri = format!("{server}{}", with("tail", &[("query", "{pod=\"web-1\"}")]));
    let (socket, _) = tokio_tungstenite::connect_async(uri).await.expect("connected");
    let messages = stream::unfold(socket, |mut socket| async move {
        let got = got(&message(&mut socket).await);
        Some((stream::iter(got), socket))
    });
    Box::pin(messages.flatten())
}

/// What a message tells: what was dropped before, and lines.
fn got(message: &Value) -> Vec<Got> {
    let entries = |name: &str| message[name].as_array().cloned().unwrap_or_default().into_iter();
    let told = entries("dropped_entries");
    let missed =
        told.filter(|entry| !entry["labels"]["error"].as_str().is_some_and(is_of_missed)).map(|entry| {
            assert_eq!(entry["labels"]["node"], "n1", "{entry}");
            let dropped = entry["labels"]["dropped"].as_str().and_then(|count| count.parse().ok());
            Got::Missed(dropped.expect("a count"))
        });
    let line = |line: Value| Got::Line(number(line["values"][0][1].as_str().expect("a text")));
    missed.chain(entries("streams").map(line)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_33_a_client_that_stops_is_told_what_it_missed() {
    let mut cluster = cluster().await;
    cluster.shows(FEW);
    let server = serve(&cluster, admin()).await;
    let (slow, quick) = (lines_of_web(&server).await, lines_of_web(&server).await);
    one_stops_and_another_reads(&cluster.nodes[0], slow, quick).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_long_past_comes_in_frames_that_clients_take() {
    // More than the 16 MiB of a frame.
    const LINES: u64 = 80;
    let cluster = cluster().await;
    let server = serve(&cluster, admin()).await;
    let filler = "x".repeat(255 << 10);
    for at in 0..LINES {
        let body = format!("{at} {filler}");
        cluster.nodes[0].write("ops/long-1", BEGIN + at as i64, at, Level::Info, &body);
    }
    let params = [("query", "{pod=\"long-1\"}"), ("start", "1700000000"), ("limit", "80")];
    let uri = format!("{server}{}", with("tail", &params));
    let (mut socket, _) = tokio_tungstenite::connect_async(uri).await.expect("connected");
    let mut numbers = Vec::new();
    while numbers.len() < LINES as usize {
        for stream in message(&mut socket).await["streams"].as_array().expect("streams") {
            let values = stream["values"].as_array().expect("values").iter();
            numbers.extend(values.map(|value| number(value[1].as_str().expect("a text"))));
        }
    }
    assert_eq!(numbers, (0..LINES).collect::<Vec<_>>());
    cluster.stop().await;
}
