//! Whole collectors with senders on real sockets: what is acknowledged is found, by
//! whoever may send, and over kill -9.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use prost::Message;
use tiphys_lifecycle::{OnError, Tasks};

use super::*;
use crate::{
    collector::{self, Config, Running},
    index::Store,
    search,
    wire::{LogRecord as Found, NodeRequest},
};

/// A token is the name of a service account's namespace, which it may write to; `both` may
/// write to two. `busy` finds the API server away.
pub(crate) struct ByToken;

#[async_trait]
impl Gate for ByToken {
    async fn who(&self, token: &str) -> Result<Sender, Refusal> {
        match token {
            "shop" | "ops" | "both" => {
                Ok(Sender { name: format!("system:serviceaccount:{token}:sender"), ..Sender::default() })
            }
            "busy" => Err(Refusal::unavailable("the API server is away")),
            _ => Err(Refusal::new(Kind::Unauthenticated, "the token is not valid")),
        }
    }

    async fn may(&self, sender: &Sender, _: Door, namespace: &str) -> Result<(), Refusal> {
        let own = sender.own_namespace().unwrap_or_default();
        let both = own == "both" && ["shop", "ops"].contains(&namespace);
        if own == namespace || both {
            return Ok(());
        }
        Err(Refusal::new(Kind::Forbidden, format!("may not write to `{namespace}`")))
    }
}

pub(crate) struct Collector {
    pub running: Running,
    pub folder: tempfile::TempDir,
    pub tasks: Tasks,
    pub sockets: Sockets,
}

/// Sends to an address.
#[derive(Clone)]
pub(crate) struct Sockets {
    address: SocketAddr,
    http: Client<HttpConnector, Body>,
}

impl Sockets {
    pub fn of(address: SocketAddr) -> Self {
        Self { address, http: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// A server that has these doors.
    pub async fn over(doors: Doors, tasks: &Tasks) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = super::listen::router(doors);
        tasks.spawn("doors", OnError::Log, async move { axum::serve(listener, router).await });
        Self::of(address)
    }

    pub async fn send(
        &self,
        request: http::request::Builder,
        path: &str,
        body: impl Into<Body>,
    ) -> (http::HeaderMap, StatusCode, Bytes) {
        self.try_send(request, path, body).await.expect("an answer")
    }

    /// An error when the other side is gone.
    pub async fn try_send(
        &self,
        request: http::request::Builder,
        path: &str,
        body: impl Into<Body>,
    ) -> Result<(http::HeaderMap, StatusCode, Bytes), ()> {
        let uri = format!("http://{}{path}", self.address);
        let request = request.uri(uri).body(body.into()).expect("a request");
        let answer = tokio::time::timeout(Duration::from_secs(120), self.http.request(request)).await;
        let (head, body) = answer.expect("in time").map_err(drop)?.into_parts();
        let body = body.collect().await.map_err(drop)?.to_bytes();
        Ok((head.headers, head.status, body))
    }
}

pub(crate) fn config(folder: &Path) -> Config {
    let local = ([127, 0, 0, 1], 0).into();
    let mut config = Config::new("n1", local, "t0ken");
    config.pods_dir = folder.join("pods");
    config.data_dir = folder.join("data");
    // A commit comes when a test wants one.
    config.commit_after = Duration::from_secs(3600);
    let from = vec!["127.0.0.0/8".parse().expect("a network")];
    let syslog =
        SyslogConfig { tcp: Some(local), udp: Some(local), tls: None, namespace: "edge".into(), from };
    config.doors = DoorConfig { http: vec![local], syslog, ..DoorConfig::default() };
    config
}

async fn start(folder: &Path, tasks: &Tasks) -> Running {
    collector::run_with(config(folder), None, Some(Arc::new(ByToken)), tasks).await.expect("started")
}

impl Collector {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tasks = Tasks::new();
        let running = start(folder.path(), &tasks).await;
        let sockets = Sockets::of(running.doors.http[0]);
        Self { running, folder, tasks, sockets }
    }

    pub fn find(&self, query: &str) -> Vec<Found> {
        find(&self.running.store, query)
    }

    pub fn bodies(&self, query: &str) -> Vec<String> {
        self.find(query).into_iter().map(|record| record.body).collect()
    }

    pub fn metric(&self, line: &str) -> bool {
        let text = self.running.metrics.component.render();
        text.lines().any(|found| found.contains(line))
    }

    pub async fn stop(self) -> tempfile::TempDir {
        let left = self.tasks.shutdown(Duration::from_secs(120)).await;
        assert_eq!(left, Vec::<String>::new());
        self.folder
    }
}

pub(crate) fn find(store: &Store, query: &str) -> Vec<Found> {
    let request = NodeRequest { query: query.into(), ..NodeRequest::default() };
    let request = search::Request::new(&request, Duration::from_secs(60)).expect("a query");
    let answer = search::search(store, &request, 100_000, "n1");
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    answer.records
}

pub(crate) fn post(token: &str) -> http::request::Builder {
    Request::post("/").header("Authorization", format!("Bearer {token}"))
}

pub(crate) fn otlp(namespace: Option<&str>, bodies: &[&str]) -> ExportLogsServiceRequest {
    let value = |text: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(text.into())) });
    let attribute =
        |key: &str, text: &str| KeyValue { key: key.into(), value: value(text), ..KeyValue::default() };
    let mut attributes = vec![attribute("service.name", "checkout"), attribute("team", "blue")];
    attributes.extend(namespace.map(|namespace| attribute("k8s.namespace.name", namespace)));
    let record = |(at, body): (usize, &&str)| LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000 + at as u64,
        severity_number: 17,
        body: value(body),
        ..LogRecord::default()
    };
    let log_records = bodies.iter().enumerate().map(record).collect();
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }],
    }
}

pub(crate) fn protobuf(token: &str) -> http::request::Builder {
    post(token).header("Content-Type", "application/x-protobuf")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_is_found_when_it_is_acknowledged() {
    let collector = Collector::new().await;
    let body = otlp(None, &["payment failed", "payment done"]).encode_to_vec();
    let (_, status, answer) = collector.sockets.send(protobuf("shop"), "/v1/logs", body).await;
    assert_eq!((status, answer.len()), (StatusCode::OK, 0));
    let found = collector.find("ns:shop payment");
    assert_eq!(found.len(), 2);
    let first = &found[0];
    let names = (first.namespace.as_str(), first.pod.as_str(), first.container.as_str(), first.node.as_str());
    assert_eq!(names, ("shop", "checkout", "checkout", "n1"));
    assert_eq!((first.body.as_str(), first.level.as_str()), ("payment done", "error"));
    assert_eq!(first.time, "2023-11-14T22:13:20.000000001Z");
    assert_eq!(collector.find("team:blue level:error").len(), 2, "labels are searched");
    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"by json"}}]}]}]}"#;
    let request = post("shop").header("Content-Type", "application/json");
    let (_, status, answer) = collector.sockets.send(request, "/v1/logs", json).await;
    assert_eq!((status, answer.as_ref()), (StatusCode::OK, b"{}".as_slice()));
    assert_eq!(collector.bodies("ns:shop \"by json\""), ["by json"]);
    assert!(collector.metric("tiphys_logs_door_records_total{door=\"otlp\"} 3"));
    // They are still there, each once, after a commit and a restart.
    let folder = collector.stop().await;
    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    assert_eq!(find(&running.store, "payment").len(), 2);
    assert_eq!(find(&running.store, "team:blue").len(), 2, "labels outlive the restart");
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_longer_than_a_record_becomes_several_and_no_byte_is_left_out() {
    let collector = Collector::new().await;
    let long = format!("begin {}end", "0123456789 ".repeat(60_000));
    let body = otlp(None, &[&long, "other"]).encode_to_vec();
    let (_, status, _) = collector.sockets.send(protobuf("shop"), "/v1/logs", body).await;
    assert_eq!(status, StatusCode::OK);
    let mut bodies = collector.bodies("ns:shop NOT other");
    bodies.reverse();
    assert_eq!(bodies.len(), 3);
    let bytes = |body: &String| crate::parse::part(body.as_bytes()).unwrap_or(body.as_bytes()).to_vec();
    assert!(bodies.iter().map(bytes).collect::<Vec<_>>().concat() == long.as_bytes());
    assert_eq!(collector.bodies("ns:shop other"), ["other"]);
    collector.stop().await;
}

/// Starts once the last task of the collector before let go of the index.
pub(crate) async fn again(folder: &Path, tasks: &Tasks) -> Running {
    let started = async {
        loop {
            match collector::run_with(config(folder), None, Some(Arc::new(ByToken)), tasks).await {
                Err(collector::CollectorError::Index(crate::index::IndexError::InUse(_))) => {
                    tokio::task::yield_now().await;
                }
                other => return other.expect("started"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), started).await.expect("started in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_and_grpc() {
    let collector = Collector::new().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &otlp(None, &["packed"]).encode_to_vec()).expect("packed");
    let packed = encoder.finish().expect("packed");
    let request = protobuf("shop").header("Content-Encoding", "gzip");
    assert_eq!(collector.sockets.send(request, "/v1/logs", packed.clone()).await.1, StatusCode::OK);
    assert_eq!(collector.bodies("packed"), ["packed"]);

    let address = format!("http://{}", collector.running.doors.http[0]);
    let channel = tonic::transport::Endpoint::from_shared(address)
        .expect("an address")
        .connect()
        .await
        .expect("connected");
    let client = |token: &'static str| {
        LogsServiceClient::with_interceptor(channel.clone(), move |mut request: tonic::Request<()>| {
            let value = format!("Bearer {token}").parse().expect("metadata");
            request.metadata_mut().insert("authorization", value);
            Ok(request)
        })
    };
    let answer = client("shop").export(otlp(None, &["by grpc"])).await.expect("taken").into_inner();
    assert_eq!(answer.partial_success, None);
    assert_eq!(collector.bodies("ns:shop \"by grpc\""), ["by grpc"]);
    let refused = client("nobody").export(otlp(None, &["no"])).await.expect_err("refused");
    assert_eq!((refused.code(), refused.message()), (tonic::Code::Unauthenticated, "the token is not valid"));
    let refused = client("shop").export(otlp(Some("ops"), &["no"])).await.expect_err("refused");
    assert_eq!(
        (refused.code(), refused.message()),
        (tonic::Code::PermissionDenied, "may not write to `ops`")
    );
    let away = client("busy").export(otlp(None, &["no"])).await.expect_err("refused");
    assert_eq!(away.code(), tonic::Code::Unavailable);
    assert!(!away.details().is_empty(), "it says when to come again");
    // A packed message, as the collector of OpenTelemetry sends it.
    let mut frame = vec![1];
    frame.extend_from_slice(&(packed.len() as u32).to_be_bytes());
    frame.extend_from_slice(&packed);
    let request = post("shop").header("Content-Type", "application/grpc").header("grpc-encoding", "gzip");
    let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    assert_eq!(collector.sockets.send(request, path, frame).await.1, StatusCode::OK);
    assert_eq!(collector.bodies("packed").len(), 2);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lokis_senders() {
    let collector = Collector::new().await;
    let path = "/loki/api/v1/push";
    let push = |labels: &str, line: &str| {
        format!(
            r#"{{"streams":[{{"stream":{{{labels}}},"values":[["1700000000000000000","{line}",{{"code":"5"}}]]}}]}}"#
        )
    };
    let json = |token| post(token).header("Content-Type", "application/json");
    let (_, status, answer) =
        collector.sockets.send(json("shop"), path, push(r#""app":"web""#, "a line")).await;
    assert_eq!((status, answer.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(collector.bodies("app:web code:5"), ["a line code=5"]);
    // Promtail's and Fluent Bit's way to say who they are and whose logs it is.
    let basic = Request::post("/").header("Content-Type", "application/json").header("X-Scope-OrgID", "ops");
    let basic = basic.header("Authorization", "Basic YW55OmJvdGg=");
    assert_eq!(collector.sockets.send(basic, path, push("", "as ops")).await.1, StatusCode::NO_CONTENT);
    assert_eq!(collector.find("ns:ops \"as ops\"").len(), 1);
    let (_, status, answer) =
        collector.sockets.send(json("shop"), path, push(r#""namespace":"ops""#, "no")).await;
    assert_eq!((status, answer.as_ref()), (StatusCode::FORBIDDEN, b"may not write to `ops`\n".as_slice()));
    let packed = snap::raw::Encoder::new().compress_vec(b"\x0a\x00").expect("packed");
    assert_eq!(collector.sockets.send(protobuf("shop"), path, packed).await.1, StatusCode::NO_CONTENT);
    assert_eq!(collector.sockets.send(protobuf("shop"), path, "no snappy").await.1, StatusCode::BAD_REQUEST);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shippers_to_elasticsearch() {
    let collector = Collector::new().await;
    let sockets = &collector.sockets;
    let get = |path| sockets.send(Request::get("/").header("Authorization", "ApiKey aWQ6c2hvcA=="), path, "");
    let (headers, status, answer) = get("/").await;
    assert_eq!(
        (status, headers["X-Elastic-Product"].as_bytes()),
        (StatusCode::OK, b"Elasticsearch".as_slice())
    );
    let about: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert!(about["version"]["number"].as_str().is_some_and(|version| version.starts_with("8.")));
    assert_eq!(get("/_cluster/health").await.1, StatusCode::OK);
    assert_eq!(get("/_license").await.1, StatusCode::METHOD_NOT_ALLOWED);
    let (_, status, answer) = sockets.send(post("nobody"), "/_bulk", "").await;
    let refused: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((status.as_u16(), &refused["error"]["type"]), (401, &"security_exception".into()));
    let bulk = r#"{"create":{}}
{"@timestamp":"2026-01-31T12:00:00Z","message":"mine","log.level":"warn","order":{"id":41}}
{"create":{}}
{"message":"theirs","kubernetes":{"namespace":"ops"}}
"#;
    let (_, status, answer) = sockets.send(post("shop"), "/app-logs/_bulk?filter_path=errors", bulk).await;
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((status, &answer["errors"]), (StatusCode::OK, &true.into()));
    let statuses: Vec<_> = [0, 1].map(|item| answer["items"][item]["create"]["status"].as_u64()).into();
    assert_eq!(statuses, [Some(201), Some(403)]);
    let found = collector.find("index:app-logs order.id:41 level:warn");
    assert_eq!(
        (found.len(), found[0].container.as_str(), found[0].time.as_str()),
        (1, "app-logs", "2026-01-31T12:00:00.000000000Z")
    );
    assert!(collector.find("theirs").is_empty());
    collector.stop().await;
}

/// Waits until it is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            // The collector needs the processor more than who asks.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_that_speak_syslog() {
    let collector = Collector::new().await;
    let open = collector.running.doors.clone();
    let found = async |query: &str, count| until(|| collector.find(query).len() >= count).await;
    let mut tcp = tokio::net::TcpStream::connect(open.syslog_tcp.expect("open")).await.expect("connected");
    let lines = b"<11>1 2026-01-31T12:00:00Z router1 kernel 7 - - link down\n40 <30>Jan 31 12:00:01 router1 dhcpd: lease";
    tokio::io::AsyncWriteExt::write_all(&mut tcp, lines).await.expect("written");
    found("ns:edge pod:router1", 2).await;
    let first = &collector.find("link level:error facility:user procid:7")[0];
    assert_eq!((first.container.as_str(), first.node.as_str()), ("kernel", "router1"));
    assert_eq!(first.body, "link down procid=7");
    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let to = open.syslog_udp.expect("open");
    udp.send_to(b"<14>by python\0", to).await.expect("sent");
    found("ns:edge \"by python\" node:127.0.0.1", 1).await;
    // A record is found before its sender is told, and counted then.
    until(|| collector.metric("tiphys_logs_door_records_total{door=\"syslog\"} 3")).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_34_long_messages_of_syslog_become_parts_and_many_without_end_share_a_bound() {
    let collector = Collector::new().await;
    let address = collector.running.doors.syslog_tcp.expect("open");
    let is_one_capped = || {
        collector.metric(r#"tiphys_logs_door_capped_total{door="syslog",namespace="edge",what="messages"} 1"#)
    };
    let long = format!("{}end", "long ".repeat(140_000));
    let mut tcp = tokio::net::TcpStream::connect(address).await.expect("connected");
    let head = "<11>1 - edge app - - -";
    let endless = "x".repeat(2 << 20);
    let lines = format!("{head} {long}\n{head} {endless}\n{head} afterwards\n");
    tokio::io::AsyncWriteExt::write_all(&mut tcp, lines.as_bytes()).await.expect("written");
    // Each part but the last has the word `next`.
    until(|| !collector.find("ns:edge afterwards").is_empty()).await;
    let parts = collector.bodies("ns:edge long");
    let bytes: Vec<&[u8]> = parts
        .iter()
        .rev()
        .map(|part| crate::parse::part(part.as_bytes()).unwrap_or(part.as_bytes()))
        .collect();
    assert_eq!((bytes.len(), bytes.concat() == long.as_bytes()), (3, true));
    assert!(collector.bodies("ns:edge cut").iter().any(|body| body.ends_with("x …[cut by tiphys]")));
    assert!(is_one_capped());

    // Of these, 22 have room.
    let mut senders = Vec::new();
    for _ in 0..23 {
        let mut tcp = tokio::net::TcpStream::connect(address).await.expect("connected");
        let begin = format!("{head} {}", &endless[..1_000_000]);
        tokio::io::AsyncWriteExt::write_all(&mut tcp, begin.as_bytes()).await.expect("written");
        senders.push(tcp);
    }
    until(|| !is_one_capped()).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_part_of_a_message_that_is_cut_is_found_by_its_words_and_stands_behind_the_others() {
    const MAX_MESSAGE: usize = 1 << 20;
    let collector = Collector::new().await;
    let address = collector.running.doors.syslog_tcp.expect("open");
    // Each word is there once.
    let words: Vec<String> = (0..150_000).map(|number| format!("w{number:06}")).collect();
    let head = "<11>1 2026-01-31T12:00:00Z edge app - - -";
    let message = format!("{head} {}", words.join(" "));
    let kept = &message[head.len() + 1..MAX_MESSAGE];
    let last = kept.rsplit(' ').nth(1).expect("a whole word");
    let mut tcp = tokio::net::TcpStream::connect(address).await.expect("connected");
    let lines = format!("{message}\n{head} afterwards\n");
    tokio::io::AsyncWriteExt::write_all(&mut tcp, lines.as_bytes()).await.expect("written");
    until(|| !collector.find("ns:edge afterwards").is_empty()).await;

    let check = |store: &Store| {
        let found = find(store, &format!("ns:edge {last}"));
        assert_eq!(found.len(), 1);
        assert!(found[0].body.ends_with(" …[cut by tiphys]") && found[0].body.contains(last));
        // The newest is the first.
        let stream = find(store, "ns:edge *").into_iter().rev();
        let stream: Vec<String> = stream.map(|record| record.body).collect();
        let (after, parts) = stream.split_last().expect("some");
        assert_eq!((after.as_str(), parts.last() == Some(&found[0].body)), ("afterwards", true));
        let bytes = parts.iter().map(|part| crate::parse::part(part.as_bytes()).unwrap_or(part.as_bytes()));
        let whole = bytes.collect::<Vec<_>>().concat();
        assert!(parts.len() > 3 && whole == format!("{kept} …[cut by tiphys]").into_bytes());
    };
    check(&collector.running.store);
    let folder = collector.stop().await;
    // From the disk.
    let (store, _) = Store::open(&folder.path().join("data"), Default::default()).expect("a store");
    check(&store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_30_nobody_writes_into_a_namespace_that_is_not_his() {
    let collector = Collector::new().await;
    let send = async |token: &str, asked: Option<&str>, named: Option<&str>| {
        let mut request = protobuf(token);
        if let Some(asked) = asked {
            request = request.header("X-Tiphys-Namespace", asked);
        }
        let body = otlp(named, &["a line"]).encode_to_vec();
        let (_, status, answer) = collector.sockets.send(request, "/v1/logs", body).await;
        (status.as_u16(), String::from_utf8_lossy(&answer).into_owned())
    };
    assert_eq!(send("nobody", None, None).await.0, 401);
    assert_eq!(send("busy", None, None).await.0, 503);
    let (status, message) = send("shop", None, Some("ops")).await;
    assert_eq!(status, 403);
    assert!(message.contains("may not write to `ops`"), "{message}");
    assert_eq!(send("shop", Some("ops"), None).await.0, 403);
    assert_eq!(send("shop", Some("../ops"), None).await.0, 400);
    // A namespace that is asked for counts before one that the records name.
    assert_eq!(send("shop", Some("shop"), Some("ops")).await.0, 200);
    assert_eq!(send("both", None, Some("ops")).await.0, 200);
    let mut found: Vec<_> = collector.find("line").into_iter().map(|record| record.namespace).collect();
    found.sort();
    assert_eq!(found, ["ops", "shop"]);
    // Of a request for two, what may be taken is taken, and the rest is said.
    let mut two = otlp(Some("shop"), &["mine"]);
    two.resource_logs.extend(otlp(Some("ops"), &["theirs", "theirs"]).resource_logs);
    let (_, status, answer) = collector.sockets.send(protobuf("shop"), "/v1/logs", two.encode_to_vec()).await;
    let answer = opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse::decode(answer);
    let partial = answer.expect("an answer").partial_success.expect("partial");
    assert_eq!((status.as_u16(), partial.rejected_log_records), (200, 2));
    assert!(partial.error_message.contains("may not write to `ops`"));
    assert_eq!((collector.bodies("mine").len(), collector.bodies("theirs").len()), (1, 0));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_wrong_are_told_why() {
    let collector = Collector::new().await;
    let without = collector.sockets.send(Request::post("/"), "/v1/logs", "").await;
    assert_eq!(without.1, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let request = Request::post("/").header("Content-Type", "application/json");
    let (headers, status, answer) = collector.sockets.send(request, "/v1/logs", "{}").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(headers.contains_key("WWW-Authenticate") && String::from_utf8_lossy(&answer).contains("Bearer"));
    let request = post("shop").header("Content-Type", "application/json");
    let (_, status, answer) = collector.sockets.send(request, "/v1/logs", "{\"resourceLogs\":7}").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&answer).contains("line 1 column"), "{answer:?}");
    let request = protobuf("shop").header("Content-Encoding", "br");
    assert_eq!(collector.sockets.send(request, "/v1/logs", "x").await.1, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = vec![0; 17 << 20];
    assert_eq!(
        collector.sockets.send(protobuf("shop"), "/v1/logs", large).await.1,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let (_, status, answer) = collector.sockets.send(post("shop"), "/v1/metrics", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(String::from_utf8_lossy(&answer).contains("/v1/logs"));
    assert!(collector.metric("tiphys_logs_door_refused_total{door=\"otlp\",reason=\"too large\"} 1"));
    collector.stop().await;
}
