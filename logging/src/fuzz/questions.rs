//! Questions by chance to whoever reads: the JSON API and Loki's parameters, over real
//! collectors, sound in part and partly damaged. Each is answered or refused with a
//! reason, no node breaks, and no answer has what its reader may not see.

use axum::{Extension, Router, body::Body, response::Response};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use url::form_urlencoded::Serializer;

use super::{Dice, corpus, grammar, mutate, seeds};
use crate::{
    loki,
    record::Level,
    root::{
        PREFIX,
        tests::{TestCluster, reader},
    },
    time::SECOND,
};

/// The time of the first records: a full minute.
pub(super) const BEGIN: i64 = 1_700_000_040 * SECOND;
/// What all lines have that the reader may not see, and no question has.
pub(super) const SECRET: &str = "corncrake";
/// Rounds of each door.
pub(super) const ROUNDS: u64 = 300;

pub(super) const TIMES: [&str; 12] = [
    "1h",
    "15m",
    "0s",
    "now",
    "1w",
    "99999999w",
    "soon",
    "2023-11-14T22:13:00Z",
    "2023-11-14T22:14:00.5+01:00",
    "1677-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2262-04-11T23:47:16.854775807Z",
];
pub(super) const SECONDS: [&str; 10] = [
    "0",
    "1700000040",
    "1700000041.5",
    "1700000060000000001",
    "-9223372036854775808",
    "9223372036854775807",
    "1e300",
    "NaN",
    "2023-11-14T22:14:00Z",
    "",
];
pub(super) const SPANS: [&str; 12] =
    ["1s", "1ns", "5m", "1h", "106751d", "0s", "15", "0.1", "-1", "same", "soon", "9223372036s"];
pub(super) const NUMBERS: [&str; 8] = ["0", "1", "10", "5000", "18446744073709551615", "-1", "1e9", "null"];
pub(super) const FIELDS: [&str; 12] = [
    "level",
    "pod",
    "took",
    "status",
    "@label.app",
    "@body.took",
    "_labels",
    "_bytes",
    "pattern",
    "stream",
    "a.b",
    "",
];
pub(super) const PLACES: [&str; 6] = [
    "1700000040000000000.0.uid-web-1/app/0",
    "1700000050000000000.1.uid-web-1/app/0",
    "1700000040000000000.0.uid-vault-1/app/0",
    "-9223372036854775808.0.uid-web-1/app/0",
    "9223372036854775807.18446744073709551615.x/y/0",
    "yesterday",
];
pub(super) const NAMESPACES: [&str; 4] = ["shop", "shop", "ops", ""];

/// What a member of a request holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Member {
    Query,
    Time,
    Span,
    Number,
    Namespace,
    Place,
    Flag,
    Field,
    Fields,
    Shares,
    Scope,
}

use Member::{Field, Fields, Flag, Namespace, Number, Place, Query, Scope, Shares, Span, Time};

pub(super) type Members = &'static [(&'static str, Member)];

/// The paths of the JSON API, and what a request to them may have.
pub(super) const PATHS: [(&str, Members); 5] = [
    (
        "search",
        &[
            ("query", Query),
            ("since", Time),
            ("until", Time),
            ("limit", Number),
            ("cursor", Place),
            ("namespace", Namespace),
            ("without_body", Flag),
            ("oldest_first", Flag),
            ("within", Span),
        ],
    ),
    (
        "histogram",
        &[
            ("query", Query),
            ("since", Time),
            ("until", Time),
            ("namespace", Namespace),
            ("buckets", Number),
            ("by", Field),
            ("top", Number),
            ("within", Span),
        ],
    ),
    (
        "facets",
        &[
            ("query", Query),
            ("since", Time),
            ("until", Time),
            ("namespace", Namespace),
            ("limit", Number),
            ("patterns", Flag),
            ("compare", Span),
            ("fields", Fields),
            ("names", Flag),
            ("within", Span),
        ],
    ),
    (
        "stats",
        &[
            ("query", Query),
            ("since", Time),
            ("until", Time),
            ("namespace", Namespace),
            ("field", Field),
            ("by", Fields),
            ("quantiles", Shares),
            ("step", Span),
            ("limit", Number),
            ("within", Span),
        ],
    ),
    ("context", &[("id", Place), ("before", Number), ("after", Number), ("scope", Scope), ("within", Span)]),
];

fn text(dice: &mut Dice, of: &[&str]) -> String {
    json!(dice.pick(of)).to_string()
}

/// A member's value, as JSON.
pub(super) fn value(dice: &mut Dice, member: Member) -> String {
    match member {
        Query => json!(grammar::query(dice, 2)).to_string(),
        Time => text(dice, &TIMES),
        Span => text(dice, &SPANS),
        Number => (*dice.pick(&NUMBERS)).to_owned(),
        Namespace => text(dice, &NAMESPACES),
        Place => text(dice, &PLACES),
        Flag => ["true", "false"][dice.below(2)].to_owned(),
        Field => text(dice, &FIELDS),
        Fields => {
            let fields: Vec<&str> = (0..dice.below(4)).map(|_| *dice.pick(&FIELDS)).collect();
            json!(fields).to_string()
        }
        Shares => ["[0.5,0.99]", "[0,1]", "[]", "[2]"][dice.below(4)].to_owned(),
        Scope => text(dice, &["stream", "pod", "node", "moon"]),
    }
}

/// A question of the JSON API: its path and its body.
fn question(dice: &mut Dice) -> (&'static str, Vec<u8>) {
    let (path, members) = *dice.pick(&PATHS);
    let mut parts = Vec::new();
    for (name, member) in members {
        // A context is of some record; what else there is, some questions have.
        if *name == "id" || dice.below(3) == 0 {
            parts.push(format!("\"{name}\":{}", value(dice, *member)));
        }
    }
    let body = format!("{{{}}}", parts.join(",")).into_bytes();
    match dice.below(4) {
        0 => (path, mutate::bytes(dice, &body, &corpus::queries())),
        _ => (path, body),
    }
}

/// A question of Loki's API: its path and its parameters.
fn parameters(dice: &mut Dice) -> (&'static str, String) {
    const PATHS: [&str; 14] = [
        "query",
        "query_range",
        "labels",
        "label/level/values",
        "label/app/values",
        "series",
        "index/stats",
        "index/volume",
        "index/volume_range",
        "patterns",
        "detected_fields",
        "detected_field/x/values",
        "detected_labels",
        "format_query",
    ];
    const NAMES: [&str; 8] = ["start", "end", "time", "since", "step", "limit", "direction", "targetLabels"];
    let path = *dice.pick(&PATHS);
    let depth = if path.starts_with("query") { 2 } else { 0 };
    let mut all = Serializer::new(String::new());
    all.append_pair(if path == "series" { "match[]" } else { "query" }, &grammar::logql(dice, depth));
    for name in NAMES {
        if dice.below(4) > 0 {
            continue;
        }
        let value = match name {
            "since" | "step" => *dice.pick(&SPANS),
            "limit" => *dice.pick(&NUMBERS),
            "direction" => ["forward", "BACKWARD", "up"][dice.below(3)],
            "targetLabels" => ["pod", "pod,level", ",", "a-b"][dice.below(4)],
            _ => *dice.pick(&SECONDS),
        };
        all.append_pair(name, value);
    }
    (path, all.finish())
}

/// Two nodes with lines that the reader may see, and lines that nobody else's are.
pub(super) async fn cluster() -> TestCluster {
    let cluster = TestCluster::start(2, 0).await;
    for at in 0..12i64 {
        let (node, time) = (&cluster.nodes[(at % 2) as usize], BEGIN + at * 10 * SECOND);
        let level = if at % 4 == 0 { Level::Error } else { Level::Info };
        let line = format!(r#"{{"status":{},"took":"{at}ms","msg":"error timeout"}}"#, 200 + at);
        node.write("shop/web-1", time, at as u64, level, &line);
        node.write("ops/vault-1", time, at as u64, level, &format!("key={SECRET}{at} took={at}ms"));
    }
    cluster
}

/// Sends a question as the reader of `shop`.
pub(super) async fn asked(router: &Router, request: Request<Body>) -> Response {
    let router = router.clone().layer(Extension(reader("shop")));
    router.oneshot(request).await.expect("an answer")
}

/// Looks at what the reader of `shop` is told.
pub(super) fn look(text: &str, name: &str) {
    assert!(!text.contains(SECRET), "{name}: the answer shows what is not for its reader: {text}");
    // A panic on a node is an answer that it owes.
    for broken in ["can't be reached", "collector answered 5", "broke off"] {
        assert!(!text.contains(broken), "{name}: a node broke: {text}");
    }
}

/// What the reader of `shop` is told.
async fn told(router: &Router, request: Request<Body>, name: &str) -> (StatusCode, String) {
    let response = asked(router, request).await;
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("text");
    assert!(status.is_success() || status.is_client_error(), "{name}: {status} {text}");
    look(&text, name);
    (status, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_35_any_question_of_the_json_api_is_answered_or_refused() {
    let cluster = cluster().await;
    let (api, mut answered) = (cluster.root.router(), 0);
    for (mut dice, name) in seeds(ROUNDS) {
        let (path, body) = question(&mut dice);
        let name = format!("{name}: {path} {}", String::from_utf8_lossy(&body));
        let request =
            Request::post(format!("{PREFIX}/{path}")).header(header::CONTENT_TYPE, "application/json");
        let (status, text) = told(&api, request.body(Body::from(body)).expect("a request"), &name).await;
        let answer: Value = serde_json::from_str(&text).expect(&name);
        match status.is_success() {
            true => answered += 1,
            false => assert!(answer["message"].as_str().is_some_and(|why| !why.is_empty()), "{name}: {text}"),
        }
    }
    assert!(answered > ROUNDS / 15, "hardly anything is answered: {answered}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_35_any_parameters_of_loki_are_answered_or_refused() {
    let cluster = cluster().await;
    let (api, mut answered) = (loki::router(cluster.root.clone()), 0);
    for (mut dice, name) in seeds(ROUNDS) {
        let (path, parameters) = parameters(&mut dice);
        let name = format!("{name}: {path} {parameters}");
        let uri = format!("{}/loki/api/v1/{path}", loki::PREFIX);
        let request = match dice.below(3) {
            0 => Request::get(format!("{uri}?{parameters}")).body(Body::empty()),
            1 => Request::post(uri).body(Body::from(parameters)),
            _ => {
                let damaged = mutate::bytes(&mut dice, parameters.as_bytes(), &corpus::logql());
                Request::post(uri).body(Body::from(damaged))
            }
        };
        let (status, text) = told(&api, request.expect("a request"), &name).await;
        match status.is_success() {
            true => {
                answered += 1;
                assert!(serde_json::from_str::<Value>(&text).is_ok(), "{name}: {text}");
            }
            false => assert!(!text.is_empty() && text.len() < 64 << 10, "{name}: {text}"),
        }
    }
    assert!(answered > ROUNDS / 15, "hardly anything is answered: {answered}");
    cluster.stop().await;
}
