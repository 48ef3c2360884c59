//! Spans through the door, into files, and out by SQL and as Jaeger shows them.

mod bounds;
mod calls;
mod former;
mod full;
mod killed;
mod lossless;
mod unsynced;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router, body::Body};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as WireSpan, Status, span::Event},
};
use prost::Message;
use serde_json::{Value, json};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::Tasks;
use tower::ServiceExt;

use super::{Span, Spans, SpansConfig, SpansTable, file, routes};
use crate::{
    append::tests::durable,
    decisions::Decisions,
    doors::body::Room,
    sql::{Asker, Engine, Format},
};

/// Lets users see and write the namespace of their own name only.
struct Own;

impl Authorizer for Own {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { namespace, .. } = attributes else { return Err("no".into()) };
        let own = user.name.split(':').nth(2).unwrap_or_default();
        if *namespace == own { Ok(()) } else { Err("not yours".into()) }
    }
}

fn user(namespace: &str) -> UserInfo {
    UserInfo::named(format!("system:serviceaccount:{namespace}:app"), &[])
}

fn config(folder: &Path) -> SpansConfig {
    SpansConfig { folder: folder.to_owned(), keep: Duration::from_secs(3600), keep_bytes: 1 << 30 }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..Default::default() }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// Rows whose names are these numbers.
fn numbered(numbers: std::ops::Range<i64>) -> Vec<Span> {
    let span = |number: i64| Span {
        time: now(),
        name: number.to_string(),
        trace_id: format!("{number:032x}"),
        span_id: format!("{number:016x}"),
        namespace: "shop".into(),
        ..Span::default()
    };
    numbers.map(span).collect()
}

/// The numbers that are kept, in order.
fn numbers(spans: &Spans) -> Vec<i64> {
    let mut numbers = Vec::new();
    let see = |span: Option<&Span>| {
        numbers.extend(span.map(|span| span.name.parse::<i64>().expect("a number")));
        true
    };
    spans.visit(&(i64::MIN..i64::MAX), see).expect("read");
    numbers.sort_unstable();
    numbers
}

fn span(trace: u8, id: u8, parent: Option<u8>, name: &str, micros: i64) -> WireSpan {
    let start = micros.unsigned_abs() * 1000;
    WireSpan {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: parent.map(|id| vec![id; 8]).unwrap_or_default(),
        name: name.into(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_500_000,
        attributes: vec![text("http.method", "GET")],
        events: vec![Event { time_unix_nano: start, name: "retry".into(), ..Default::default() }],
        status: Some(Status { message: "it broke".into(), code: 2 }),
        ..Default::default()
    }
}

fn export(spans: Vec<WireSpan>) -> Vec<u8> {
    let scope = Some(InstrumentationScope { name: "lib".into(), ..Default::default() });
    let scope_spans = vec![ScopeSpans { scope, spans, ..Default::default() }];
    let attributes = vec![text("service.name", "cart"), text("host.name", "h")];
    let resource = Some(Resource { attributes, ..Default::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

struct Bench {
    spans: Arc<Spans>,
    routes: Router,
}

fn bench(folder: &Path, tasks: &Tasks) -> Bench {
    let spans = Spans::open(config(folder), tasks).expect("opened");
    let routes = routes(&spans, Arc::new(Own), Room::new(64 << 20, Duration::ZERO));
    Bench { spans, routes }
}

impl Bench {
    async fn ask(&self, namespace: &str, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let routes = self.routes.clone().layer(Extension(user(namespace)));
        let (head, body) = routes.oneshot(request).await.expect("an answer").into_parts();
        (head.status, body.collect().await.expect("a body").to_bytes().to_vec())
    }

    async fn send(&self, namespace: &str, kind: &str, body: Vec<u8>) -> (StatusCode, String) {
        let request =
            Request::post("/otlp/v1/traces").header(header::CONTENT_TYPE, kind).body(Body::from(body));
        let (status, body) = self.ask(namespace, request.expect("a request")).await;
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn jaeger(&self, namespace: &str, path: &str) -> (StatusCode, Value) {
        let request = Request::get(format!("/jaeger/api{path}")).body(Body::empty()).expect("a request");
        let (status, body) = self.ask(namespace, request).await;
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    async fn sql(&self, namespace: &str, statement: &str) -> Value {
        let folder = tempfile::tempdir().expect("a folder");
        let tasks = Tasks::new();
        let decisions = Decisions::open(folder.path().join("decisions.jsonl"), &tasks).expect("opened");
        let extension = Arc::new(SpansTable::new(self.spans.clone()));
        let engine = Engine::new(Arc::default(), decisions, vec![extension]);
        let asker = Asker::new(user(namespace), Arc::new(Own));
        let answer = engine.answer(statement, Format::Json, asker).await.expect("an answer");
        serde_json::from_str(&answer.text).expect("JSON")
    }
}

const PROTOBUF: &str = "application/x-protobuf";

#[tokio::test]
async fn abuse_33_spans_have_the_room_that_all_doors_have_together() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let spans = Spans::open(config(folder.path()), &tasks).expect("opened");
    let room = Room::new(1 << 20, Duration::ZERO);
    let routes = routes(&spans, Arc::new(Own), room.clone());
    let bench = Bench { spans, routes };
    // What another door has taken.
    let (_, taken) = room.read("bank", Body::from(vec![0; (1 << 20) - 10])).await.expect("there is room");
    let body = export(vec![span(1, 1, None, "GET /", now)]);
    let (status, said) = bench.send("shop", PROTOBUF, body.clone()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{said}");
    drop(taken);
    assert_eq!(bench.send("shop", PROTOBUF, body).await, (StatusCode::OK, String::new()));
}

#[tokio::test]
async fn spans_are_rows_and_traces() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let bench = bench(folder.path(), &tasks);
    let spans = vec![span(1, 1, None, "GET /", now - 1000), span(1, 2, Some(1), "query", now)];
    assert_eq!(bench.send("shop", PROTOBUF, export(spans)).await, (StatusCode::OK, String::new()));
    let rows = bench
        .sql("shop", "select name, service, namespace, kind, status, duration_us, parent_span_id, attributes from spans order by time")
        .await;
    assert_eq!(
        rows[1],
        json!({"name": "query", "service": "cart", "namespace": "shop", "kind": "server", "status": "error",
            "duration_us": 1500, "parent_span_id": "0101010101010101", "attributes": "{\"http.method\":\"GET\"}"})
    );
    let (_, services) = bench.jaeger("shop", "/services").await;
    assert_eq!(services["data"], json!(["cart"]));
    let (_, names) = bench.jaeger("shop", "/services/cart/operations").await;
    assert_eq!(names["data"], json!(["GET /", "query"]));
    let (_, names) = bench.jaeger("shop", "/operations?service=cart&spanKind=client").await;
    assert_eq!(names["data"], json!([]));
    let id = "01".repeat(16);
    let (_, trace) = bench.jaeger("shop", &format!("/traces/{id}")).await;
    let told = &trace["data"][0]["spans"][1];
    assert_eq!((&told["operationName"], &told["duration"]), (&json!("query"), &json!(1500)));
    assert_eq!(
        told["references"][0],
        json!({"refType": "CHILD_OF", "traceID": id, "spanID": "01".repeat(8)})
    );
    assert_eq!(trace["data"][0]["processes"]["p1"]["serviceName"], "cart");
    assert!(
        told["tags"]
            .as_array()
            .expect("tags")
            .contains(&json!({"key": "error", "type": "bool", "value": true}))
    );
    let table = [
        ("service=cart", 1),
        ("service=other", 0),
        ("service=cart&operation=query&minDuration=1ms&maxDuration=2ms", 1),
        ("service=cart&minDuration=2ms", 0),
        ("service=cart&tags=%7B%22http.method%22%3A%22GET%22%7D", 1),
        ("service=cart&tags=%7B%22http.method%22%3A%22PUT%22%7D", 0),
    ];
    for (query, count) in table {
        let (_, found) = bench.jaeger("shop", &format!("/traces?{query}")).await;
        assert_eq!(found["data"].as_array().map(Vec::len), Some(count), "{query}");
    }
    assert_eq!(bench.jaeger("shop", "/traces?service=cart&minDuration=x").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bench.jaeger("shop", "/traces/77").await.0, StatusCode::NOT_FOUND);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn abuse_29_spans_of_another_namespace_are_not_shown() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let bench = bench(folder.path(), &tasks);
    bench.send("ops", PROTOBUF, export(vec![span(1, 1, None, "secret", now)])).await;
    bench.send("shop", PROTOBUF, export(vec![span(2, 1, None, "mine", now)])).await;
    // In memory and in a file alike.
    for _ in 0..2 {
        assert_eq!(bench.sql("shop", "select name from spans").await, json!([{"name": "mine"}]));
        assert_eq!(bench.sql("shop", "select count(*) as n from spans").await, json!([{"n": 1}]));
        assert_eq!(bench.jaeger("shop", "/services/cart/operations").await.1["data"], json!(["mine"]));
        assert_eq!(
            bench.jaeger("shop", &format!("/traces/{}", "01".repeat(16))).await.0,
            StatusCode::NOT_FOUND
        );
        bench.spans.write(now).expect("written");
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_death_and_goes_when_it_is_old() {
    let (folder, now) = (tempfile::tempdir().expect("a folder"), now());
    let names = async |bench: &Bench| bench.sql("shop", "select name from spans order by time").await;
    let tasks = Tasks::new();
    let before = bench(folder.path(), &tasks);
    before.send("shop", PROTOBUF, export(vec![span(1, 1, None, "one", now - 2000)])).await;
    let log = |number: u64| folder.path().join(format!("recent-{number}.jsonl"));
    let first = std::fs::read_to_string(log(1)).expect("a log");
    before.spans.write(now).expect("written");
    before.send("shop", PROTOBUF, export(vec![span(1, 2, None, "two", now - 1000)])).await;
    // Half a line, half a file, and a log that is in a file already, as deaths leave them.
    assert!(!log(1).exists());
    std::fs::write(log(1), first).expect("written");
    let lines = std::fs::read_to_string(log(2)).expect("a log");
    assert_eq!(lines.lines().count(), 1);
    std::fs::write(log(2), format!("{lines}{{\"time\":")).expect("written");
    std::fs::write(folder.path().join("1-2-3.half"), b"PAR1").expect("written");
    let after = bench(folder.path(), &Tasks::new());
    assert_eq!(names(&after).await, json!([{"name": "one"}, {"name": "two"}]));
    assert!(!log(1).exists() && !folder.path().join("1-2-3.half").exists());
    // What comes behind the half line is not spoilt by it.
    after.send("shop", PROTOBUF, export(vec![span(1, 3, None, "three", now)])).await;
    let after = bench(folder.path(), &Tasks::new());
    assert_eq!(names(&after).await, json!([{"name": "one"}, {"name": "two"}, {"name": "three"}]));
    let range = "select name from spans where time >= to_timestamp_micros(";
    assert_eq!(
        after.sql("shop", &format!("{range}{}) order by time", now - 1500)).await,
        json!([{"name": "two"}, {"name": "three"}])
    );
    assert_eq!(file::list(folder.path()).expect("files").len(), 1);
    let later = now + 2 * 3_600_000_000;
    after.spans.look(later).expect("looked");
    assert_eq!(file::list(folder.path()).expect("files").len(), 2, "a clock that leaps makes nothing old");
    after.spans.forget(later).expect("forgotten");
    assert_eq!(file::list(folder.path()).expect("files"), [], "both files are older than an hour then");
    assert_eq!(names(&after).await, json!([]));
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_is_durable_after_a_second() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let spans = Spans::open(config(folder.path()), &tasks).expect("opened");
    for number in 0..3 {
        spans.take(numbered(number..number + 1)).expect("taken");
        assert_eq!(durable::lossy(folder.path()).len(), 1, "it is in the log, and not durable yet");
        // Of a clock that stands still while the disk works.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(durable::lossy(folder.path()), Vec::<PathBuf>::new());
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn a_damaged_file_is_set_aside() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let bench = bench(folder.path(), &tasks);
    bench.send("shop", PROTOBUF, export(vec![span(1, 1, None, "kept", now)])).await;
    std::fs::write(folder.path().join(format!("{now}-{now}-7.parquet")), b"no parquet").expect("written");
    assert_eq!(bench.sql("shop", "select name from spans").await, json!([{"name": "kept"}]));
    assert!(folder.path().join(format!("{now}-{now}-7.damaged")).exists());
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn spans_come_as_json_and_what_is_none_is_refused() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let bench = bench(folder.path(), &tasks);
    let request = |trace: &str| {
        json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]},
            "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
                "traceId": trace, "spanId": "EEE19B7EC3C1B174", "name": "json", "kind": 3,
                "startTimeUnixNano": (now * 1000).to_string(), "endTimeUnixNano": (now * 1000 + 5000).to_string(),
                "attributes": [{"key": "n", "value": {"intValue": "3"}}], "status": {"code": 1}}]}]}]})
        .to_string()
        .into_bytes()
    };
    let sent = bench.send("shop", "application/json", request("5B8EFFF798038103D269B633813FC60C")).await;
    assert_eq!(sent, (StatusCode::OK, "{}".to_owned()));
    let rows = bench.sql("shop", "select trace_id, kind, status, attributes, duration_us from spans").await;
    assert_eq!(
        rows,
        json!([{"trace_id": "5b8efff798038103d269b633813fc60c", "kind": "client", "status": "ok",
            "attributes": "{\"n\":3}", "duration_us": 5}])
    );
    let (status, said) = bench.send("shop", "application/json", request("12")).await;
    assert!(status == StatusCode::BAD_REQUEST && said.contains("no valid trace_id"), "{said}");
    assert_eq!(bench.send("shop", PROTOBUF, vec![0x0a, 0xff]).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bench.send("shop", "text/plain", Vec::new()).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let request = Request::post("/otlp/v1/traces")
        .header(header::CONTENT_TYPE, PROTOBUF)
        .header("x-tiphys-namespace", "ops")
        .body(Body::empty());
    assert_eq!(bench.ask("shop", request.expect("a request")).await.0, StatusCode::FORBIDDEN);
    tasks.shutdown(Duration::from_secs(120)).await;
}
