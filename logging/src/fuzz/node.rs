//! Requests by chance to one collector, as a server makes them and whoever has the token
//! (docs/collector.md), and orders to delete by way of the root: each is answered or refused with a
//! reason, a list of namespaces is kept to, and nothing goes but what was ordered.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Extension, Router, body::Body, response::Response};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::net::TcpListener;
use tower::ServiceExt;
use url::form_urlencoded::Serializer;

use super::{
    Dice, corpus, grammar, mutate,
    questions::{BEGIN, FIELDS, PLACES, ROUNDS, SECRET, TIMES},
    seeds,
};
use crate::{
    collector::Config,
    deletion::DeleteAnswer,
    index::{
        Retention, Store,
        tests::{find, info},
    },
    metric_names::Metrics,
    record::{Level, Record, Source, StreamInfo},
    root::{Access, Collector, Collectors, LogRoot, PREFIX, tests::reader},
    search::TailHub,
    serve::Service,
    tail::Batch,
    time::{self, SECOND},
};

const TOKEN: &str = "t0ken";
/// Lines of each namespace that a round writes.
const LINES: u64 = 4;

/// A collector whose store is filled by hand.
struct Node {
    store: Arc<Store>,
    router: Router,
    tasks: Tasks,
    /// The time of the first lines, and the number of the next ones.
    begin: i64,
    next: u64,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new(begin: i64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        let (store, tasks) = (Arc::new(store), Tasks::new());
        let config = Config::new("n1", ([127, 0, 0, 1], 0).into(), TOKEN);
        let service =
            Service::new(store.clone(), Arc::new(TailHub::default()), Metrics::new(), &config, &tasks);
        let mut node = Self { store, router: service.router(), tasks, begin, next: 0, _folder: folder };
        node.write();
        let pending = node.store.begin_commit(vec![]).expect("begun");
        node.store.finish_commit(&pending).expect("durable");
        node.write();
        node
    }

    /// Lines of both namespaces, a second apart.
    fn write(&mut self) {
        for (namespace, word) in [("shop", "error timeout"), ("ops", SECRET)] {
            let info = StreamInfo { namespace: namespace.into(), ..(*info(namespace)).clone() };
            let record = |seq: u64| Record {
                time: self.time(seq),
                seq,
                level: Level::Error,
                source: Source::Stdout,
                body: Bytes::from(format!("{word} {seq} took={seq}ms")),
            };
            let records = (self.next..self.next + LINES).map(record).collect();
            self.store.append(Batch { info: Arc::new(info), records }).expect("appended");
        }
        self.next += LINES;
    }

    fn time(&self, seq: u64) -> i64 {
        self.begin + seq as i64 * SECOND
    }

    async fn send(&self, request: http::request::Builder, body: Vec<u8>) -> Response {
        let request = request.body(Body::from(body)).expect("a request");
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    /// Times of a namespace's records.
    fn times(&self, namespace: &str) -> Vec<i64> {
        let found = find(&self.store, &format!("ns:{namespace}"));
        assert!(found.partial.is_empty(), "{:?}", found.partial);
        found.records.iter().map(|record| time::parse(&record.time).expect("a time")).collect()
    }
}

/// A member of what a collector is asked, as JSON.
fn member(dice: &mut Dice, name: &str) -> Value {
    let number = *dice.pick(&[0, 1, BEGIN, BEGIN + 3 * SECOND, -1, i64::MIN, i64::MAX]);
    let field = *dice.pick(&FIELDS);
    match name {
        "query" => json!(grammar::query(dice, 2)),
        "cursor" => json!(dice.pick(&PLACES)),
        "namespaces" => [json!(["shop"]), json!([]), json!(["shop", "gone"])][dice.below(3)].clone(),
        "patterns" | "without_body" | "names" => json!(dice.below(2) == 0),
        "fields" => json!(vec![field; dice.below(3)]),
        "order" => json!(dice.pick(&["newest", "oldest", "last", "first", "sideways"])),
        "only" => {
            let (kind, of) =
                (*dice.pick(&["stream", "pod", "node", "moon"]), *dice.pick(&["uid-shop", "n1", ""]));
            json!({ kind: of })
        }
        "stats" => json!({
            "field": if dice.below(2) == 0 { json!(field) } else { Value::Null },
            "by": vec![field; dice.below(5)],
            "step_ns": number,
            "origin": dice.pick(&[Value::Null, json!(number)]),
            "sketch": dice.below(2) == 0,
        }),
        _ => json!(number),
    }
}

/// What a collector is asked, and whether only of the namespace that may be shown.
fn question(dice: &mut Dice) -> (Vec<u8>, bool) {
    const MEMBERS: [&str; 16] = [
        "query",
        "since",
        "until",
        "limit",
        "cursor",
        "namespaces",
        "buckets",
        "patterns",
        "without_body",
        "compare_since",
        "fields",
        "names",
        "order",
        "only",
        "stats",
        "within_ms",
    ];
    let mut all = serde_json::Map::new();
    for name in MEMBERS {
        if dice.below(4) == 0 {
            all.insert(name.to_owned(), member(dice, name));
        }
    }
    let is_held = all.contains_key("namespaces");
    let body = Value::Object(all).to_string().into_bytes();
    match dice.below(4) {
        // It may ask for all now.
        0 => (mutate::bytes(dice, &body, &corpus::queries()), false),
        _ => (body, is_held),
    }
}

/// A request without a body: what the archive takes, and what a collector says of itself.
fn path(dice: &mut Dice) -> String {
    let number = *dice.pick(&["0", "1", "18446744073709551615", "-1", "x"]);
    let file =
        *dice.pick(&["blocks", "words/meta.json", "words/..%2f..%2fMANIFEST", "..%2fMANIFEST", "", "%00"]);
    let lacks = *dice.pick(&["", "1-3,7", "9-1", "a", "-", "0-18446744073709551615"]);
    match dice.below(5) {
        0 => "/v1/namespaces".to_owned(),
        1 => "/metrics".to_owned(),
        // No list has such a version: one that has is waited for.
        2 => format!("/v1/splits?after={number}&lacks={lacks}"),
        _ => format!("/v1/splits/{number}/{file}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_35_any_request_to_a_collector_is_answered_or_refused() {
    let (node, mut answered) = (Node::new(BEGIN), 0);
    let (shop, ops) = (node.times("shop"), node.times("ops"));
    for (mut dice, name) in seeds(ROUNDS) {
        let (body, is_held) = question(&mut dice);
        let (method, path, body) = match dice.below(6) {
            0 => ("GET", path(&mut dice), Vec::new()),
            1 => ("POST", "/v1/tail".to_owned(), body),
            2 => ("POST", "/v1/delete".to_owned(), order(&mut dice)),
            _ => {
                let what = *dice.pick(&["search", "histogram", "facets", "stats"]);
                ("POST", format!("/v1/{what}"), body)
            }
        };
        let name = format!("{name}: {method} {path} {}", String::from_utf8_lossy(&body));
        let request = || {
            let request = Request::builder().method(method).uri(path.as_str());
            request.header(header::CONTENT_TYPE, "application/json")
        };
        let refused = node.send(request(), body.clone()).await.status();
        assert_eq!(refused, StatusCode::UNAUTHORIZED, "{name}");
        let authorized = request().header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        let response = node.send(authorized, body).await;
        let status = response.status();
        assert!(status.is_success() || status.is_client_error(), "{name}: {status}");
        answered += u64::from(status.is_success() && method == "POST");
        if path == "/v1/tail" && status.is_success() {
            // It goes on until its reader leaves.
            continue;
        }
        let text = response.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&text);
        let is_post = method == "POST";
        assert!(
            !(is_held && is_post && text.contains(SECRET)),
            "{name}: it has what it was not asked for: {text}"
        );
        let is_told = text.len() < 64 << 10 && !(is_post && text.is_empty());
        assert!(status.is_success() || is_told, "{name}: {status} {text}");
        assert!(!text.contains("tiphys-logs 1"), "{name}: the manifest is no file of a split");
    }
    assert!(answered > ROUNDS / 15, "hardly anything is answered: {answered}");
    assert_eq!((node.times("shop"), node.times("ops")), (shop, ops), "something was deleted");
    node.tasks.shutdown(Duration::from_secs(120)).await;
}

/// An order to delete what is not there.
fn order(dice: &mut Dice) -> Vec<u8> {
    let before = *dice.pick(&[0, BEGIN, i64::MIN, i64::MAX]);
    let body = json!({ "namespace": dice.pick(&["gone", "", "../shop"]), "before": before });
    let body = body.to_string().into_bytes();
    // No change of a few bytes makes one of these names another that is there.
    if dice.below(3) == 0 { body[..dice.below(body.len())].to_vec() } else { body }
}

/// The user of that name may do all in the namespace of that name.
struct ByName;

impl Authorizer for ByName {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        match attributes {
            Attributes::Resource { namespace, .. } if *namespace == user.name => Ok(()),
            _ => Err("no rule allows it".into()),
        }
    }
}

struct One(SocketAddr);

#[async_trait]
impl Collectors for One {
    async fn list(&self) -> Vec<Collector> {
        let access = Access::Token(TOKEN.into());
        vec![Collector { node: "n1".into(), address: Some(self.0), access }]
    }
}

/// Parameters of an order, and the namespace that it names first.
fn parameters(dice: &mut Dice, node: &Node) -> (String, &'static str) {
    let namespace = *dice.pick(&["shop", "shop", "shop", "ops", "Shop", "", "../shop", "gone"]);
    let mut all = Serializer::new(String::new());
    all.append_pair("namespace", namespace);
    for (name, one_of) in [("before", 2), ("namespace", 8), ("force", 8)] {
        if dice.below(one_of) == 0 {
            // Lines that come later must be seen, so nothing of all times goes.
            let is_late = |time: &str| time.starts_with("9999-") || time.starts_with("2262-");
            let mut times: Vec<String> =
                TIMES.iter().filter(|time| !is_late(time)).map(|time| (*time).to_owned()).collect();
            // One of the last lines is the first that stays.
            times.extend((1..12).map(|back| time::format(node.time(node.next.saturating_sub(back)))));
            all.append_pair(name, dice.pick::<String>(&times));
        }
    }
    (all.finish(), namespace)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_35_an_order_to_delete_takes_what_it_names_or_is_refused() {
    // Lines of a time that is still to come: an order without a time takes none of them.
    let mut node = Node::new(time::now() + 3600 * SECOND);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = node.router.clone();
    node.tasks.spawn("collector", OnError::Log, async move { axum::serve(listener, router).await });
    let root = LogRoot::new(Arc::new(One(address)), Arc::new(ByName)).with_deadline(Duration::from_secs(120));
    let api = root.router().layer(Extension(reader("shop")));
    let mut carried_out = 0;
    for (mut dice, name) in seeds(ROUNDS / 5) {
        node.write();
        let (parameters, namespace) = parameters(&mut dice, &node);
        let name = format!("{name}: {parameters}");
        let (shop, ops) = (node.times("shop"), node.times("ops"));
        let request = Request::delete(format!("{PREFIX}?{parameters}")).body(Body::empty()).expect(&name);
        let response = api.clone().oneshot(request).await.expect("an answer");
        let status = response.status();
        let text = response.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&text);
        let kept: Vec<i64> = match status.is_success() {
            true => {
                let answer: DeleteAnswer = serde_json::from_str(&text).expect(&name);
                assert!(answer.nodes == ["n1"] && answer.partial.is_empty(), "{name}: {text}");
                assert_eq!((answer.namespace.as_str(), namespace), ("shop", "shop"), "{name}");
                let before = time::parse(&answer.before).expect(&name);
                let kept: Vec<i64> = shop.iter().copied().filter(|time| *time >= before).collect();
                carried_out += usize::from(!kept.is_empty() && kept.len() < shop.len());
                kept
            }
            false => {
                assert!(
                    status.is_client_error() && text.contains("\"message\":\""),
                    "{name}: {status} {text}"
                );
                shop
            }
        };
        assert_eq!((node.times("shop"), node.times("ops")), (kept, ops), "{name}");
    }
    assert!(carried_out > 0, "no order took a part of the lines");
    node.tasks.shutdown(Duration::from_secs(120)).await;
}
