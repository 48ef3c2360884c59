//! The same samples and the same queries to Debian's Prometheus: the same answers.
//!
//! Prometheus 2.42 includes a range's start, which 3 and this one exclude; no sample or
//! step of these stands on one, so all else must be equal, floats within 1e-9.

use std::{collections::BTreeMap, process::Stdio, sync::Arc, time::Duration};

use axum::{Extension, Router, body::Body, http::Request};
use prost::Message;
use serde_json::{Value as Json, json};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};
use tower::ServiceExt;

use super::{peer_queries::queries, *};
use crate::promql::{PREFIX, routes};

/// When the samples begin, seconds: Tuesday, 14 November 2023, 22:00.
pub const BASE: i64 = 1_699_999_200;
const MINUTES: i64 = 90;

/// Remote write, as much of it as is needed.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<WrittenSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<WrittenLabel>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<WrittenSample>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenLabel {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WrittenSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    time: i64,
}

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1u32 << 31)
    }
}

type Series = (Labels, Vec<(i64, f64)>);

/// Counters with resets, gauges with gaps, ends, NaN and infinities, a classic histogram.
fn generated() -> Vec<Series> {
    let mut dice = Dice(7);
    let mut all: Vec<Series> = Vec::new();
    // Every 15 s, a little after the full second, not quite regular.
    let times = |dice: &mut Dice| -> Vec<i64> {
        let jitter = |dice: &mut Dice| (dice.next() * 400.0) as i64;
        (0..MINUTES * 4).map(|number| BASE * 1000 + number * 15_000 + 3_217 + jitter(dice)).collect()
    };
    for (job, instance, code) in [
        ("api", "1", "200"),
        ("api", "1", "500"),
        ("api", "2", "200"),
        ("web", "3", "200"),
        ("web", "10", "404"),
    ] {
        let labels =
            Labels::new([(NAME, "requests_total"), ("job", job), ("instance", instance), ("code", code)]);
        let mut count = (dice.next() * 50.0).round();
        let mut samples = Vec::new();
        for time in times(&mut dice) {
            count = if dice.next() < 0.01 { 0.0 } else { count + (dice.next() * 40.0).floor() };
            if dice.next() > 0.03 {
                samples.push((time, count));
            }
        }
        all.push((labels, samples));
    }
    for room in ["hall", "attic", "cellar", "shed"] {
        let labels = Labels::new([(NAME, "temperature"), ("room", room), ("job", "api")]);
        let mut value = dice.next() * 30.0 - 10.0;
        let mut samples = Vec::new();
        for (number, time) in times(&mut dice).into_iter().enumerate() {
            value += dice.next() - 0.5;
            match (room, number) {
                // Away for longer than the lookback.
                ("attic", 100..140) => {}
                ("cellar", 60 | 200) => samples.push((time, STALE)),
                ("cellar", 61..70 | 201..) => {}
                ("shed", 50..55) => samples.push((time, f64::NAN)),
                ("shed", 80) => samples.push((time, f64::INFINITY)),
                ("shed", 120..130) => samples.push((time, 4.0)),
                _ => samples.push((time, value)),
            }
        }
        all.push((labels, samples));
    }
    for instance in ["1", "2"] {
        let mut counts = [0.0; 5];
        let times = times(&mut dice);
        let rows: Vec<[f64; 5]> = times
            .iter()
            .map(|_| {
                let mut sum = 0.0;
                for count in &mut counts {
                    *count += (dice.next() * 5.0).floor();
                }
                counts.map(|count| {
                    sum += count;
                    sum
                })
            })
            .collect();
        for (place, le) in ["0.1", "0.5", "1", "5", "+Inf"].iter().enumerate() {
            let labels = Labels::new([(NAME, "latency_bucket"), ("instance", instance), ("le", le)]);
            all.push((labels, times.iter().zip(&rows).map(|(time, row)| (*time, row[place])).collect()));
        }
    }
    for (instance, value) in [("1", 100.0), ("2", 250.0), ("3", 70.0), ("10", 0.0)] {
        let labels = Labels::new([
            (NAME, "capacity"),
            ("instance", instance),
            ("zone", if value > 80.0 { "east" } else { "west" }),
        ]);
        all.push((labels, times(&mut dice).into_iter().map(|time| (time, value)).collect()));
    }
    all
}

/// A running Prometheus of Debian; ends with the test.
struct Peer {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Peer {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").expect("written");
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--web.enable-remote-write-receiver"])
            .args(["--storage.tsdb.retention.time=100y"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "prometheus can't be started ({error}); install Debian's package prometheus (make setup)"
                )
            });
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let mut told = Vec::new();
        let address = loop {
            let line = tokio::time::timeout(Duration::from_secs(120), lines.next_line()).await;
            let Some(line) = line.expect("it says something within a minute").expect("readable") else {
                panic!("prometheus ended: {}", told.join("\n"));
            };
            if line.contains("msg=\"Listening on\"") {
                let address = line.split("address=").nth(1).expect("its address");
                break address.split_whitespace().next().expect("its address").to_owned();
            }
            told.push(line);
        };
        // Its pipe must not fill up, and not close.
        let drain = async move { while let Ok(Some(_)) = lines.next_line().await {} };
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(drain);
        let peer = Self { process, address, _folder: folder };
        let ready = async {
            while peer.ask("GET", "/-/ready", "", &[]).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), ready).await.expect("ready within a minute");
        peer
    }

    /// HTTP/1.0: the answer ends with the connection.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).await.expect("connected");
        let head = format!("{method} {path} HTTP/1.0\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(body).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answered");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let status = String::from_utf8_lossy(&answer[9..12]).parse().expect("a status");
        (status, answer.split_off(end + 4))
    }

    async fn feed(&self, all: &[Series]) {
        // Slices of time: it takes nothing that is an hour older than its newest.
        for slice in 0..MINUTES.div_euclid(10) + 1 {
            let (from, to) = ((BASE + slice * 600) * 1000, (BASE + slice * 600 + 600) * 1000);
            let series = all.iter().map(|(labels, samples)| WrittenSeries {
                labels: labels
                    .iter()
                    .map(|(name, value)| WrittenLabel { name: name.to_owned(), value: value.to_owned() })
                    .collect(),
                samples: samples
                    .iter()
                    .filter(|(time, _)| (from..to).contains(time))
                    .map(|(time, value)| WrittenSample { value: *value, time: *time })
                    .collect(),
            });
            let request =
                WriteRequest { series: series.filter(|series| !series.samples.is_empty()).collect() };
            let packed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("packed");
            let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n";
            let (status, answer) = self.ask("POST", "/api/v1/write", headers, &packed).await;
            assert_eq!(status, 204, "{}", String::from_utf8_lossy(&answer));
        }
    }

    async fn query(&self, path: &str, form: &[(&str, String)]) -> Json {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let (_, body) = self.ask("POST", &format!("/api/v1/{path}"), headers, form.as_bytes()).await;
        serde_json::from_slice(&body).expect("JSON")
    }
}

/// Series of an answer by their labels, and their order.
fn by_labels(data: &Json) -> (Vec<String>, BTreeMap<String, Json>) {
    let key = |series: &Json| {
        let labels: BTreeMap<String, Json> =
            serde_json::from_value(series["metric"].clone()).expect("labels");
        format!("{labels:?}")
    };
    let all = data["result"].as_array().expect("a list");
    let values = |series: &Json| match &series["values"] {
        Json::Null => json!([series["value"]]),
        values => values.clone(),
    };
    (all.iter().map(key).collect(), all.iter().map(|series| (key(series), values(series))).collect())
}

fn same_pairs(ours: &Json, theirs: &Json) -> Result<(), String> {
    let (a, b) = (ours.as_array().expect("pairs"), theirs.as_array().expect("pairs"));
    if a.len() != b.len() {
        return Err(format!("{} values, there are {}", a.len(), b.len()));
    }
    let number = |pair: &Json| pair[1].as_str().expect("a text").parse::<f64>().expect("a number");
    for (ours, theirs) in a.iter().zip(b) {
        let (a, b) = (number(ours), number(theirs));
        let close =
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-6);
        if ours[0].as_f64() != theirs[0].as_f64() || !close {
            return Err(format!("{ours}, there it is {theirs}"));
        }
    }
    Ok(())
}

/// What differs between two answers.
fn compare(ours: &Json, theirs: &Json, in_order: bool) -> Result<(), String> {
    if ours["status"] != theirs["status"] || ours["errorType"] != theirs["errorType"] {
        return Err(format!("{}, there it is {}", short(ours), short(theirs)));
    }
    if ours["status"] == "error" {
        return Ok(());
    }
    let (a, b) = (&ours["data"], &theirs["data"]);
    if a["resultType"] != b["resultType"] {
        return Err(format!("{}, there it is {}", a["resultType"], b["resultType"]));
    }
    if a["resultType"] == "scalar" {
        return same_pairs(&json!([a["result"]]), &json!([b["result"]]));
    }
    if a["resultType"] == "string" {
        return if a == b { Ok(()) } else { Err(format!("{a}, there it is {b}")) };
    }
    let ((our_order, a), (their_order, b)) = (by_labels(a), by_labels(b));
    if !a.keys().eq(b.keys()) {
        return Err(format!("{:?}, there are {:?}", a.keys(), b.keys()));
    }
    if in_order && our_order != their_order {
        return Err(format!("in the order {our_order:?}, there it is {their_order:?}"));
    }
    a.iter().try_for_each(|(labels, values)| {
        same_pairs(values, &b[labels]).map_err(|sentence| format!("{labels}: {sentence}"))
    })
}

fn short(json: &Json) -> String {
    json.to_string().chars().take(200).collect()
}

/// Asks our own door, as a client would.
async fn ours(door: &Router, path: &str, form: &[(&str, String)]) -> Json {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = Request::post(format!("{PREFIX}/api/v1/{path}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .expect("a request");
    let response = door.clone().oneshot(request).await.expect("answered");
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("read");
    serde_json::from_slice(&body).expect("JSON")
}

/// Everybody may do everything.
struct Anybody;

impl Authorizer for Anybody {
    fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debians_prometheus_gives_the_same_answers() {
    let all = generated();
    let mut peer = Peer::start().await;
    peer.feed(&all).await;
    let store = Store::in_memory(series::Limits::default());
    for (labels, samples) in &all {
        let series = store.resolve(labels).expect("taken");
        let samples: Vec<_> = samples
            .iter()
            .map(|(time, value)| Sample { series, time: *time, value: Value::Number(*value) })
            .collect();
        assert_eq!(store.append(&samples).taken, samples.len() as u64);
    }
    let door = routes(Arc::new(store), Arc::new(Anybody)).layer(Extension(UserInfo::master("test")));
    let mut wrong = Vec::new();
    let seconds = |time: i64| format!("{}.{:03}", time / 1000, time % 1000);
    let all = queries();
    assert!(all.len() > 300, "{} queries", all.len());
    let (start, end) = (BASE * 1000 + 1_900_001, BASE * 1000 + 5_400_001);
    for query in &all {
        let in_order = query.starts_with("sort") || query.starts_with("topk") || query.starts_with("bottomk");
        let asked = ("query", query.clone());
        let at = vec![asked.clone(), ("time", seconds((BASE + 3600) * 1000 + 1))];
        let over = vec![asked, ("start", seconds(start)), ("end", seconds(end)), ("step", "97".to_owned())];
        for (path, form, in_order) in [("query", at, in_order), ("query_range", over, false)] {
            let compared = compare(&ours(&door, path, &form).await, &peer.query(path, &form).await, in_order);
            if let Err(sentence) = compared {
                wrong.push(format!("{query}\n    {path}: {sentence}"));
            }
        }
    }
    peer.process.kill().await.expect("ended");
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}
