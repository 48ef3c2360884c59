//! Against a collector that runs, behind an API server that knows nothing of Tiphys: it lists
//! Pods, gives the Secret, and forwards ports over channels of a WebSocket.

use std::{path::Path, time::Duration};

use axum::{
    Json, Router,
    extract::{
        Path as InPath, RawQuery, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde_json::{Value, json};
use tiphys_logging::{
    client as asked, collector,
    follow::{Event, Follower},
    time,
    wire::SearchRequest,
};
use tokio::io::AsyncReadExt;

use super::*;

const LIMIT: Duration = Duration::from_secs(120);

/// Pods, and on which nodes they are; only `one` can be reached.
fn pods() -> Vec<Value> {
    let pod = |name: &str, node: &str, phase: &str| {
        json!({
            "metadata": { "name": name, "namespace": "logging", "labels": { "app": "gatherer" } },
            "spec": { "nodeName": node, "containers": [] },
            "status": { "phase": phase },
        })
    };
    vec![pod("one", "node-1", "Running"), pod("two", "node-2", "Running"), pod("three", "node-3", "Pending")]
}

async fn list(RawQuery(query): RawQuery) -> Response {
    if query.unwrap_or_default().contains("watch=") {
        return Body::from_stream(futures::stream::pending::<Result<Vec<u8>, Infallible>>()).into_response();
    }
    let metadata = json!({ "resourceVersion": "1" });
    let list = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": pods() });
    Json(list).into_response()
}

async fn secret() -> Json<Value> {
    // `token` in base64.
    Json(json!({ "metadata": { "name": "gatherer" }, "data": { "token": "dG9rZW4=" } }))
}

async fn port_forward(
    State(collector): State<SocketAddr>,
    InPath(pod): InPath<String>,
    socket: WebSocketUpgrade,
) -> Response {
    if pod != "one" {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "no port for you", "reason": "Forbidden", "code": 403,
        });
        return (StatusCode::FORBIDDEN, Json(status)).into_response();
    }
    socket.protocols(["v4.channel.k8s.io"]).on_upgrade(move |socket| carry(socket, collector))
}

/// As a kubelet's runtime does: each channel opens with the port, data is on the even one.
async fn carry(mut socket: WebSocket, collector: SocketAddr) {
    let mut there = TcpStream::connect(collector).await.expect("a collector");
    let [low, high] = COLLECTOR_PORT.to_le_bytes();
    for channel in [0, 1] {
        socket.send(Message::Binary(vec![channel, low, high].into())).await.expect("a client");
    }
    let mut buffer = vec![0; 16 << 10];
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    there.write_all(&bytes[1..]).await.expect("a collector that reads");
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            read = there.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return };
                let mut framed = vec![0];
                framed.extend_from_slice(&buffer[..length]);
                if socket.send(Message::Binary(framed.into())).await.is_err() {
                    return;
                }
            },
        }
    }
}

/// An API server before this collector, and a client of it.
async fn api(collector: SocketAddr, tasks: &Tasks) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pods = "/api/v1/namespaces/logging/pods";
    let router = Router::new()
        .route("/api/v1/namespaces/logging/secrets/gatherer", get(secret))
        .route(pods, get(list))
        .route(&format!("{pods}/{{pod}}/portforward"), get(port_forward))
        .with_state(collector);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tasks.spawn("api server", OnError::Stop, async move { axum::serve(listener, router).await });
    let config = kube::Config::new(format!("http://{address}").parse().expect("an address"));
    Client::try_from(config).expect("a client")
}

/// A collector of the folder's `pods`, whose token is `token`.
async fn collect(folder: &Path, tasks: &Tasks) -> SocketAddr {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let mut config = collector::Config::new("node-1", listen, "token");
    config.pods_dir = folder.join("pods");
    config.data_dir = folder.join("index");
    config.container_logs = None;
    collector::run(config, None, tasks).await.expect("a collector").address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_followed_and_searched_where_the_api_server_knows_of_none() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let plain = api(collect(folder.path(), &tasks).await, &tasks).await;
    let daemons = "logging/gatherer".parse().expect("a DaemonSet");
    let client = client(plain, &daemons).await.expect("collectors");
    let request = SearchRequest { query: "heron".into(), ..SearchRequest::default() };
    let mut follower = Follower::connect(&client, &request).await.expect("connected");

    let container = folder.path().join("pods/shop_web_u1/main");
    std::fs::create_dir_all(&container).expect("a folder");
    let line = format!("{} stdout F a heron lands\n", time::format(time::now()));
    std::fs::write(container.join("0.log"), line).expect("written");
    let followed = async {
        loop {
            match follower.next().await.expect("goes on") {
                Event::Record(record) => return record,
                Event::Partial(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let record = tokio::time::timeout(LIMIT, followed).await.expect("a record");
    assert_eq!((record.pod.as_str(), record.body.as_str()), ("web", "a heron lands"));

    // The one that can be reached may be slow once.
    let answered = async {
        loop {
            let answer = asked::search(&client, &request).await.expect("an answer");
            if answer.partial.iter().all(|missing| missing.node != "node-1") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(LIMIT, answered).await.expect("an answer in time");
    let found: Vec<_> = answer.records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(found, [record.id.as_str()]);
    let missing: Vec<_> = answer.partial.iter().map(|missing| missing.node.as_str()).collect();
    assert_eq!(missing, ["node-2", "node-3"]);
    assert!(answer.partial[0].error.contains("no port for you"), "{:?}", answer.partial);

    // All else is asked of the API server.
    let named = Api::<Pod>::namespaced(client, "logging").list(&ListParams::default()).await.expect("Pods");
    assert_eq!(named.items.len(), 3);
    let stragglers = tasks.shutdown(LIMIT).await;
    assert!(stragglers.is_empty(), "{stragglers:?}");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let plain = api(collect(folder.path(), &tasks).await, &tasks).await;
    let other = "logging/other".parse().expect("a DaemonSet");
    let failure = client(plain, &other).await.err().expect("a failure");
    assert_eq!(failure.next(), NAMED);
}

#[test]
fn a_node_is_asked_by_the_pod_that_runs() {
    let pod = |name: &str, node: Option<&str>, phase: &str, leaves: bool| {
        let pod = json!({
            "metadata": {
                "name": name,
                "deletionTimestamp": leaves.then_some("2026-01-31T12:00:00Z"),
            },
            "spec": { "nodeName": node, "containers": [] },
            "status": { "phase": phase },
        });
        Arc::new(serde_json::from_value::<Pod>(pod).expect("a Pod"))
    };
    let found = by_node(&[
        pod("a", Some("one"), "Running", true),
        pod("b", Some("one"), "Running", false),
        pod("c", Some("one"), "Pending", false),
        pod("d", Some("two"), "Pending", false),
        pod("e", None, "Pending", false),
    ]);
    let expected = [("one".to_owned(), Some("b".to_owned())), ("two".to_owned(), None)];
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn a_daemon_set_is_named_by_its_namespace() {
    let read = |text: &str| text.parse::<DaemonSet>().map(|daemons| daemons.to_string());
    assert_eq!(read("logging").as_deref(), Ok("logging/tiphys-collector"));
    assert_eq!(read("logging/other").as_deref(), Ok("logging/other"));
    for wrong in ["", "/", "a/", "/b", "a/b/c"] {
        assert!(read(wrong).is_err(), "{wrong:?}");
    }
}
