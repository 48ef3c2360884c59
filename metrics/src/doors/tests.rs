//! Requests as senders make them, at the doors' own routes; Prometheus itself is one of them.

mod bounds;
mod long;
mod pods;
mod room;
mod slow;
mod turns;

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router, body::Body, response::IntoResponse, routing::get};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        Exemplar as WireExemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use prost::Message;
use serde_json::json;
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::{OnError, Tasks};
use tower::ServiceExt;

use super::{Doors, OTLP_PATH, WRITE_PATH, write};
use crate::{
    scrape::counts::Counts,
    series::{Limits, Matcher, Select, Store, Value},
};

struct Everything;

impl Authorizer for Everything {
    fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
        Ok(())
    }
}

struct Bench {
    store: Arc<Store>,
    routes: Router,
}

fn bench() -> Bench {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let doors = Doors::new(store.clone(), Counts::default(), Arc::new(Everything));
    let user = UserInfo::named("system:serviceaccount:shop:app", &[]);
    Bench { store, routes: doors.routes().layer(Extension(user)) }
}

/// Doors, and what they count.
fn counted() -> (Bench, Counts) {
    let (store, counts) = (Arc::new(Store::in_memory(Limits::default())), Counts::default());
    let doors = Doors::new(store.clone(), counts.clone(), Arc::new(Everything));
    let user = UserInfo::named("system:serviceaccount:shop:app", &[]);
    (Bench { store, routes: doors.routes().layer(Extension(user)) }, counts)
}

/// What `/metrics` tells under a name that has labels, in order.
fn told(counts: &Counts, name: &str) -> Vec<String> {
    let component = tiphys_telemetry::Component::new("test");
    counts.register(&component);
    let told = component.render();
    let lines = told.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn written(&self, what: &str) -> &str {
        let name = format!("x-prometheus-remote-write-{what}-written");
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("absent")
    }
}

impl Bench {
    async fn send(&self, path: &str, kind: &str, packing: &str, body: Vec<u8>) -> Answer {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, kind)
            .header(header::CONTENT_ENCODING, packing)
            .body(Body::from(body))
            .expect("a request");
        let response = self.routes.clone().oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// A node's doors before these, where `t0ken` is the token.
    fn node(&self) -> Router {
        let routes = self.routes.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let routes = routes.clone();
            async move {
                let token = request.headers().get(header::AUTHORIZATION).cloned();
                match token.is_some_and(|token| token == "Bearer t0ken") {
                    true => routes.oneshot(request.map(Body::new)).await,
                    false => Ok(StatusCode::UNAUTHORIZED.into_response()),
                }
            }
        });
        super::forward(kube::Client::new(service, "default"))
    }

    /// All series but `target_info`, with their last values.
    async fn series(&self) -> Vec<String> {
        let found = self.store.all(&[], 0..i64::MAX).await;
        let told = |value: &Value| match value {
            value if value.is_stale() => "gone".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Histogram(histogram) => format!("histogram of {}", histogram.count),
        };
        let last = found.iter().filter_map(|data| Some((&data.labels, data.samples.last()?)));
        last.map(|(labels, (_, value))| format!("{labels} {}", told(value))).collect()
    }
}

const ONE: &str = "application/x-protobuf";
const TWO: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

fn snappy(message: &impl Message) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&message.encode_to_vec()).expect("packed")
}

/// A series as senders of 1.0 write it.
#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<write::one::Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<write::one::WireSample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<write::one::WireExemplar>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<write::WireHistogram>,
}

#[derive(Clone, PartialEq, Message)]
struct WriteOne {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<write::one::Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct WriteTwo {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<write::two::TimeSeries>,
}

fn one(pairs: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    let label =
        |(name, value): &(&str, &str)| write::one::Label { name: (*name).into(), value: (*value).into() };
    let sample =
        |(timestamp, value): &(i64, f64)| write::one::WireSample { value: *value, timestamp: *timestamp };
    TimeSeries {
        labels: pairs.iter().map(label).collect(),
        samples: samples.iter().map(sample).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn remote_write_one_is_taken_and_what_comes_late_is_told() {
    let (bench, now) = (bench(), now());
    let series = vec![
        one(&[("__name__", "a"), ("x", "1"), ("namespace", "ops")], &[(now - 1000, 1.0), (now, 2.0)]),
        one(&[("__name__", "b")], &[(now, 3.0)]),
    ];
    let metadata =
        write::one::Metadata { kind: 1, metric: "a".into(), help: "Words.".into(), unit: "s".into() };
    let answer =
        bench.send(WRITE_PATH, ONE, "snappy", snappy(&WriteOne { series, metadata: vec![metadata] })).await;
    assert_eq!((answer.status, answer.written("samples")), (StatusCode::NO_CONTENT, "3"));
    let taken = [r#"a{exported_namespace="ops", namespace="shop", x="1"} 2"#, r#"b{namespace="shop"} 3"#];
    assert_eq!(bench.series().await, taken);
    let told = bench.store.metadata();
    assert_eq!((told[0].namespace.as_str(), told[0].meta.help.as_str()), ("shop", "Words."));
    // The same again changes nothing; what is older or says otherwise is told, and the rest is taken.
    let again = || one(&[("__name__", "b")], &[(now, 3.0)]);
    let answer = bench
        .send(WRITE_PATH, ONE, "snappy", snappy(&WriteOne { series: vec![again()], metadata: vec![] }))
        .await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let late = one(&[("__name__", "b")], &[(now - 5000, 9.0), (now + 1, 4.0)]);
    let answer = bench
        .send(WRITE_PATH, ONE, "snappy", snappy(&WriteOne { series: vec![late], metadata: vec![] }))
        .await;
    assert_eq!((answer.status, answer.written("samples")), (StatusCode::BAD_REQUEST, "1"));
    assert!(answer.text().contains("out of order sample: b{"), "{}", answer.text());
    let ahead = one(&[("__name__", "b")], &[(now + 3_600_000, 9.0)]);
    let answer = bench
        .send(WRITE_PATH, ONE, "snappy", snappy(&WriteOne { series: vec![ahead], metadata: vec![] }))
        .await;
    assert!(answer.text().contains("ahead of the clock"), "{}", answer.text());
}

#[tokio::test]
async fn remote_write_two_has_symbols_histograms_and_counts() {
    let (bench, now) = (bench(), now());
    let symbols = ["", "__name__", "h", "x", "1", "trace_id", "abc", "Words."].map(str::to_owned).to_vec();
    let histogram = write::WireHistogram {
        count_int: Some(3),
        sum: 6.0,
        positive_spans: vec![crate::scrape::expose::proto::Span { offset: 0, length: 2 }],
        positive_deltas: vec![1, 1],
        timestamp: now,
        ..Default::default()
    };
    let series = write::two::TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        histograms: vec![histogram],
        exemplars: vec![write::two::WireExemplar { labels_refs: vec![5, 6], value: 1.0, timestamp: now }],
        metadata: Some(write::two::Metadata { kind: 3, help_ref: 7, unit_ref: 0 }),
        ..Default::default()
    };
    let request = |series| snappy(&WriteTwo { symbols: symbols.clone(), series: vec![series] });
    let answer = bench.send(WRITE_PATH, TWO, "snappy", request(series.clone())).await;
    let written = (answer.written("samples"), answer.written("histograms"), answer.written("exemplars"));
    assert_eq!((answer.status, written), (StatusCode::NO_CONTENT, ("0", "1", "1")), "{}", answer.text());
    assert_eq!(bench.series().await, [r#"h{namespace="shop", x="1"} histogram of 3"#]);
    let wrong = [vec![1], vec![1, 99], vec![1, 2, 1, 2]];
    for labels_refs in wrong {
        let series = write::two::TimeSeries { labels_refs, ..series.clone() };
        let answer = bench.send(WRITE_PATH, TWO, "snappy", request(series)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    }
}

#[tokio::test]
async fn what_is_no_remote_write_is_refused() {
    let bench = bench();
    let empty = snappy(&WriteOne::default());
    let check = async |kind: &str, packing: &str, body: Vec<u8>, wanted: u16| {
        let answer = bench.send(WRITE_PATH, kind, packing, body).await;
        assert_eq!(answer.status.as_u16(), wanted, "{kind} {packing}: {}", answer.text());
    };
    check(ONE, "snappy", empty.clone(), 204).await;
    check("application/json", "snappy", empty.clone(), 415).await;
    check("application/x-protobuf;proto=x.Y", "snappy", empty.clone(), 415).await;
    check(ONE, "gzip", empty, 415).await;
    check(ONE, "snappy", b"no snappy".to_vec(), 400).await;
    let broken = snap::raw::Encoder::new().compress_vec(&[0x0a, 0xff]).expect("packed");
    check(ONE, "snappy", broken, 400).await;
    // A length of gigabytes, a bomb.
    check(ONE, "snappy", vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0], 413).await;
    let bomb = snap::raw::Encoder::new().compress_vec(&vec![0; 40 << 20]).expect("packed");
    check(ONE, "snappy", bomb, 413).await;
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..Default::default() }
}

fn number(value: f64, millis: i64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![attribute("http.method", "GET")],
        time_unix_nano: millis.unsigned_abs() * 1_000_000,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..Default::default()
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric { name: name.into(), unit: unit.into(), data: Some(data), ..Default::default() }
}

fn sum(value: f64, millis: i64, aggregation_temporality: i32) -> Data {
    Data::Sum(Sum { data_points: vec![number(value, millis)], aggregation_temporality, is_monotonic: true })
}

fn export(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let attributes = vec![
        attribute("service.name", "cart"),
        attribute("service.namespace", "web"),
        attribute("service.instance.id", "i1"),
        attribute("host.name", "h"),
    ];
    let scope = InstrumentationScope { name: "lib".into(), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..Default::default() }];
    let resource = Some(Resource { attributes, ..Default::default() });
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }],
    }
}

#[tokio::test]
async fn otlp_becomes_prometheus_series() {
    let (bench, now) = (bench(), now());
    let example = WireExemplar {
        time_unix_nano: now.unsigned_abs() * 1_000_000,
        trace_id: vec![0xab; 16],
        value: Some(exemplar::Value::AsDouble(0.4)),
        ..Default::default()
    };
    let histogram = HistogramDataPoint {
        time_unix_nano: now.unsigned_abs() * 1_000_000,
        count: 3,
        sum: Some(1.5),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        exemplars: vec![example],
        ..Default::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: now.unsigned_abs() * 1_000_000,
        count: 2,
        scale: 0,
        positive: Some(Buckets { offset: 0, bucket_counts: vec![2] }),
        ..Default::default()
    };
    let metrics = vec![
        metric("queue.size", "1", Data::Gauge(Gauge { data_points: vec![number(0.5, now)] })),
        metric("requests", "{request}", sum(2.0, now, 2)),
        metric(
            "latency",
            "s",
            Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 2 }),
        ),
        metric(
            "exp",
            "",
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                aggregation_temporality: 2,
            }),
        ),
    ];
    let answer = bench.send(OTLP_PATH, ONE, "", export(metrics).encode_to_vec()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let response = ExportMetricsServiceResponse::decode(answer.body.as_slice()).expect("an answer");
    assert_eq!(response.partial_success, None);
    let of = r#"instance="i1", job="web/cart""#;
    let (to, ot) = (r#"namespace="shop""#, r#"otel_scope_name="lib""#);
    let mut wanted = [
        format!(r#"exp{{{of}, {to}, {ot}}} histogram of 2"#),
        format!(r#"latency_seconds_bucket{{{of}, le="+Inf", {to}, {ot}}} 3"#),
        format!(r#"latency_seconds_bucket{{{of}, le="0.5", {to}, {ot}}} 1"#),
        format!(r#"latency_seconds_count{{{of}, {to}, {ot}}} 3"#),
        format!(r#"latency_seconds_sum{{{of}, {to}, {ot}}} 1.5"#),
        format!(r#"queue_size_ratio{{http_method="GET", {of}, {to}, {ot}}} 0.5"#),
        format!(r#"requests_total{{http_method="GET", {of}, {to}, {ot}}} 2"#),
        format!(r#"target_info{{host_name="h", {of}, {to}}} 1"#),
    ];
    wanted.sort();
    let mut found = bench.series().await;
    found.sort();
    assert_eq!(found, wanted);
    let exemplars = bench.store.exemplars(&[Matcher::equal("le", "0.5")], 0..i64::MAX);
    assert_eq!(exemplars[0].1[0].labels.get("trace_id"), Some("ab".repeat(16).as_str()));
}

#[tokio::test]
async fn what_is_sent_is_known_by_its_door() {
    let (bench, now) = (bench(), now());
    let series = vec![one(&[("__name__", "a")], &[(now, 1.0)])];
    bench.send(WRITE_PATH, ONE, "snappy", snappy(&WriteOne { series, metadata: vec![] })).await;
    let request = export(vec![metric("b", "", Data::Gauge(Gauge { data_points: vec![number(0.5, now)] }))]);
    bench.send(OTLP_PATH, ONE, "", request.encode_to_vec()).await;
    let found = bench.store.all(&[], 0..i64::MAX).await;
    let ways = |name: &str| {
        let one = found.iter().find(|one| one.labels.name() == name).expect("taken");
        bench.store.ways(&one.labels).names()
    };
    assert_eq!((ways("a"), ways("b")), (vec!["remoteWrite".to_owned()], vec!["otlp".to_owned()]));
}

#[tokio::test]
async fn otlp_deltas_add_up_and_what_cant_be_told_is_said() {
    let (bench, now) = (bench(), now());
    for (value, time) in [(2.0, now - 1000), (3.0, now)] {
        let request = export(vec![metric("requests", "", sum(value, time, 1))]);
        assert_eq!(bench.send(OTLP_PATH, ONE, "", request.encode_to_vec()).await.status, StatusCode::OK);
    }
    assert!(bench.series().await[0].ends_with("} 5"));
    // One that says neither: the others are taken, and the sender is told.
    let metrics = vec![metric("good", "", sum(1.0, now, 2)), metric("bad", "", sum(1.0, now, 0))];
    let answer = bench.send(OTLP_PATH, ONE, "", export(metrics).encode_to_vec()).await;
    let response = ExportMetricsServiceResponse::decode(answer.body.as_slice()).expect("an answer");
    let partial = response.partial_success.expect("told");
    assert_eq!(partial.rejected_data_points, 1);
    assert!(partial.error_message.contains("neither delta nor cumulative"));
}

#[tokio::test]
async fn otlp_comes_as_json_too() {
    let (bench, now) = (bench(), now());
    let nanos = (now * 1_000_000).to_string();
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]},
        "scopeMetrics": [{"scope": {"name": "lib"}, "metrics": [
            {"name": "load", "unit": "By", "gauge": {"dataPoints": [
                {"asInt": "7", "timeUnixNano": nanos, "attributes": [{"key": "n", "value": {"intValue": "1"}}]}]}},
            {"name": "lat", "histogram": {"aggregationTemporality": 2, "dataPoints": [
                {"timeUnixNano": nanos, "count": "2", "sum": 3.5, "bucketCounts": ["1", "1"], "explicitBounds": [1]}]}},
        ]}],
    }]});
    let answer = bench.send(OTLP_PATH, "application/json", "", request.to_string().into_bytes()).await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "{}"));
    let found = bench.series().await;
    assert!(
        found.contains(
            &r#"load_bytes{job="cart", n="1", namespace="shop", otel_scope_name="lib"} 7"#.to_owned()
        ),
        "{found:?}"
    );
    assert!(found.contains(
        &r#"lat_bucket{job="cart", le="1.0", namespace="shop", otel_scope_name="lib"} 1"#.to_owned()
    ));
    let wrong = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "load", "gauge": {"dataPoints": [{"asInt": "x"}]}}]}]}]});
    let answer = bench.send(OTLP_PATH, "application/json", "", wrong.to_string().into_bytes()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("metric \\\"load\\\": \\\"x\\\" is no whole number"), "{}", answer.text());
}

#[tokio::test]
async fn a_nodes_ports_pass_on_what_is_sent_and_what_is_answered() {
    let (bench, now) = (bench(), now());
    let node = bench.node();
    let call = async |authorization: &str, body: Vec<u8>| {
        let request = Request::post("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
            .header(header::CONTENT_TYPE, "application/grpc")
            .header("grpc-encoding", "gzip")
            .header(header::AUTHORIZATION, authorization)
            .body(Body::from(body))
            .expect("a request");
        let (head, body) = node.clone().oneshot(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body");
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status"));
        let status = status.or_else(|| head.headers.get("grpc-status")).cloned().expect("a status");
        let said = head.headers.get("grpc-message").cloned();
        let said = said.map(|said| said.to_str().expect("a text").to_owned()).unwrap_or_default();
        (status.to_str().expect("a number").to_owned(), said, body.to_bytes())
    };
    let frame = |packed: bool, message: &[u8]| {
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        [&[u8::from(packed)][..], &length, message].concat()
    };
    let message = export(vec![metric("load", "", sum(1.0, now, 2))]).encode_to_vec();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, &message).expect("packed");
    let gzip = encoder.finish().expect("packed");
    let basic =
        format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "any:t0ken"));
    for (authorization, body) in
        [("Bearer t0ken", frame(false, &message)), (basic.as_str(), frame(true, &gzip))]
    {
        let (status, said, body) = call(authorization, body).await;
        assert_eq!((status.as_str(), body.as_ref()), ("0", &[0, 0, 0, 0, 0][..]), "{said}");
    }
    assert!(bench.series().await[0].starts_with("load_total{"));
    let none = export(vec![metric("load", "", sum(1.0, now, 0))]).encode_to_vec();
    let (status, said, _) = call("Bearer t0ken", frame(false, &none)).await;
    assert!(status == "3" && said.contains("neither delta nor cumulative"), "{status} {said}");
    assert_eq!(call("Bearer wrong", frame(false, &message)).await.0, "16");
    assert_eq!(call("Digest x", frame(false, &message)).await.0, "16");
    assert_eq!(call("Bearer t0ken", vec![0, 0]).await.0, "3");
    let request = Request::post("/api/v1/write")
        .header(header::CONTENT_TYPE, ONE)
        .header(header::CONTENT_ENCODING, "snappy")
        .header(header::AUTHORIZATION, "Bearer t0ken")
        .body(Body::from(snappy(&WriteOne {
            series: vec![one(&[("__name__", "a")], &[(now, 1.0)])],
            metadata: vec![],
        })))
        .expect("a request");
    let answer = node.clone().oneshot(request).await.expect("an answer");
    assert_eq!(answer.headers()["x-prometheus-remote-write-samples-written"], "1");
}

/// Ends the program with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn serve(router: Router, tasks: &Tasks) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tasks.spawn("server", OnError::Log, async move { axum::serve(listener, router).await });
    address
}

/// Prometheus scrapes a target and sends what it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_itself_writes_here() {
    let (bench, tasks) = (bench(), Tasks::new());
    let metrics = "# HELP orders_total Orders.\n# TYPE orders_total counter\n\
        orders_total{kind=\"a\\\"b\"} 42\n# TYPE temp gauge\ntemp NaN\n";
    let target = serve(Router::new().route("/metrics", get(async move || metrics)), &tasks).await;
    let door = serve(bench.routes.clone(), &tasks).await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{target}']}}]}}]\n\
         remote_write: [{{url: 'http://{door}{WRITE_PATH}', metadata_config: {{send_interval: 1s}},\
         queue_config: {{batch_send_deadline: 200ms}}}}]\n"
    );
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, config).expect("written");
    let program = Command::new("prometheus")
        .arg(format!("--config.file={}", path.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg("--web.listen-address=127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus, of Debian's package of that name");
    let _program = Program(program);
    let wanted = [
        format!(r#"orders_total{{instance="{target}", job="shop", kind="a\"b", namespace="shop"}} 42"#),
        format!(r#"temp{{instance="{target}", job="shop", namespace="shop"}} NaN"#),
        format!(r#"up{{instance="{target}", job="shop", namespace="shop"}} 1"#),
    ];
    let looking = async {
        loop {
            let found = bench.series().await;
            let described = bench.store.metadata();
            let told = described.iter().any(|one| one.metric == "orders_total" && one.meta.help == "Orders.");
            if told && wanted.iter().all(|wanted| found.contains(wanted)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(120), looking).await.is_err() {
        panic!("{wanted:?} are not among {:?}", bench.series().await);
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}
