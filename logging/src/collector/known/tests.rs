//! Collectors beside an API server that is away, that is late, or that doesn't have
//! the Pod: nothing is shown that a Pod or its namespace wants hidden.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path as UrlPath, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use k8s_openapi::api::core::v1::Namespace;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tiphys_api::{auth::UserInfo, serve::Handler};
use tiphys_lifecycle::Tasks;
use tower::ServiceExt;

use super::Rules;
use crate::{
    collector::{CollectorError, Config, Running, run_with},
    doors::tests::{ByToken, Sockets, find, otlp, protobuf},
    index::IndexError,
};

/// What the API server has. Its lists are those of the start, and its watches never tell
/// anything: what is known later comes from questions.
#[derive(Default)]
struct Api {
    is_away: bool,
    /// It takes questions and answers none.
    hangs: bool,
    pods: Vec<Value>,
    namespaces: Vec<Value>,
}

type Shared = Arc<Mutex<Api>>;

fn object(name: &str, uid: &str, redact: Option<&str>) -> Value {
    let annotations = redact.map_or(json!({}), |rule| json!({"logs.tiphys.io/redact": rule}));
    json!({"metadata": {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": "7", "annotations": annotations}})
}

fn namespace(name: &str, redact: Option<&str>) -> Value {
    let mut namespace = object(name, "n", redact);
    namespace["metadata"].as_object_mut().expect("an object").remove("namespace");
    namespace
}

fn one(objects: &[Value], name: &str) -> Response {
    match objects.iter().find(|object| object["metadata"]["name"] == name) {
        Some(object) => Json(object.clone()).into_response(),
        None => {
            let status = json!({"kind": "Status", "status": "Failure", "message": "no", "reason": "NotFound", "code": 404});
            (StatusCode::NOT_FOUND, Json(status)).into_response()
        }
    }
}

async fn list(State(api): State<Shared>, Query(query): Query<Vec<(String, String)>>) -> Response {
    if query.contains(&("watch".to_owned(), "true".to_owned())) {
        return Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>())
            .into_response();
    }
    drop(api);
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": []}))
        .into_response()
}

fn client(api: &Shared) -> kube::Client {
    let named = |pick: fn(&Api) -> &Vec<Value>| {
        get(move |State(api): State<Shared>, UrlPath(path): UrlPath<Vec<String>>| async move {
            one(pick(&api.lock()), path.last().expect("a name"))
        })
    };
    let router = Router::new()
        .route("/api/v1/pods", get(list))
        .route("/api/v1/namespaces", get(list))
        .route("/api/v1/namespaces/{name}", named(|api| &api.namespaces))
        .route("/api/v1/namespaces/{namespace}/pods/{name}", named(|api| &api.pods))
        .with_state(api.clone());
    let api = api.clone();
    let service = tower::service_fn(move |request: http::Request<tiphys_api::serve::Body>| {
        let (is_away, hangs) = {
            let api = api.lock();
            (api.is_away, api.hangs)
        };
        let router = router.clone();
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            if is_away {
                return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response().map(tiphys_api::serve::boxed));
            }
            let response = router.oneshot(request.map(Body::new)).await?;
            Ok(response.map(tiphys_api::serve::boxed))
        }
    });
    tiphys_client::in_memory(Handler::new(service), UserInfo::master("collector"))
}

fn log_file(folder: &Path, pod: &str) -> PathBuf {
    let directory = folder.join("pods").join(format!("shop_{pod}_uid-{pod}")).join("app");
    fs::create_dir_all(&directory).expect("a folder");
    directory.join("0.log")
}

fn write(path: &Path, body: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    writeln!(file, "2026-01-31T12:00:00.000000001Z stdout F {body}").expect("written");
}

/// Starts once a collector of before has let go of the index: connections may keep it for a moment.
async fn start(folder: &Path, api: &Shared, tasks: &Tasks) -> Running {
    let mut config: Config = crate::doors::tests::config(folder);
    config.commit_after = Duration::from_secs(3600);
    let started = async {
        loop {
            let gate = Arc::new(ByToken);
            match run_with(config.clone(), Some(client(api)), Some(gate), tasks).await {
                Err(CollectorError::Index(IndexError::InUse(_))) => tokio::task::yield_now().await,
                other => return other.expect("started"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), started).await.expect("started in time")
}

/// Sends a record, as senders do on a machine that is busy with something else: again, where what is
/// asked for it isn't known in time.
async fn sent(running: &Running, body: &[u8]) -> StatusCode {
    let sockets = Sockets::of(running.doors.http[0]);
    let mut last = StatusCode::SERVICE_UNAVAILABLE;
    for _ in 0..20 {
        if last == StatusCode::SERVICE_UNAVAILABLE {
            last = sockets.send(protobuf("shop"), "/v1/logs", body.to_vec()).await.1;
        }
    }
    last
}

fn bodies(running: &Running, query: &str) -> Vec<String> {
    let mut bodies: Vec<String> = find(&running.store, query).into_iter().map(|record| record.body).collect();
    bodies.sort();
    bodies
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let holds = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(120), holds).await.is_ok(), "{what}");
}

fn has_metric(running: &Running, line: &str) -> bool {
    running.metrics.component.render().lines().any(|found| found == line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_api_server_is_away_lines_wait_in_their_files_and_none_is_lost() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let api = Shared::new(Mutex::new(Api { is_away: true, ..Api::default() }));
    let path = log_file(folder.path(), "web");
    write(&path, "pin=1");
    let running = start(folder.path(), &api, &tasks).await;
    until("it waits", || has_metric(&running, "tiphys_logs_waiting_pods 1")).await;
    // Rotated, and deleted before anybody could read it.
    let rotated = path.with_file_name("0.log.20260131-120000");
    fs::rename(&path, &rotated).expect("renamed");
    write(&path, "pin=2");
    let waiting = |bytes: usize| format!("tiphys_logs_waiting_bytes {bytes}");
    until("both wait", || {
        has_metric(&running, &waiting(2 * "2026-01-31T12:00:00.000000001Z stdout F pin=1\n".len()))
    })
    .await;
    fs::remove_file(&rotated).expect("deleted");
    write(&path, "pin=3");
    // One question is that of the node's own logs.
    until("it asked", || has_metric(&running, "tiphys_logs_waiting_questions 2")).await;
    assert!(bodies(&running, "*").is_empty());
    let acked = xattr::get(&path, crate::tail::ACKED).expect("read");
    assert!(acked.is_none_or(|acked| acked == b"0"), "the kubelet may delete what wasn't read");
    *api.lock() = Api {
        is_away: false,
        hangs: false,
        pods: vec![object("web", "uid-web", Some("/pin=./"))],
        namespaces: vec![namespace("shop", None)],
    };
    until("they are read", || bodies(&running, "*").len() == 3).await;
    assert_eq!(bodies(&running, "*"), ["[redacted]"; 3]);
    until("nothing waits", || has_metric(&running, "tiphys_logs_waiting_pods 0")).await;
    assert!(has_metric(&running, "tiphys_logs_waiting_lost_bytes_total 0"));
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_own_logs_wait_for_the_word_of_their_namespace_too() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let api = Shared::new(Mutex::new(Api { is_away: true, ..Api::default() }));
    let machine = folder.path().join("journal/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(&machine).expect("a folder");
    let entry = crate::journal::tests::entry(1, "sshd", b"pin=1 of a unit");
    crate::journal::tests::write(&machine.join("system.journal"), "1", [entry]);
    let log = folder.path().join("part.log");
    fs::write(&log, "2026-01-31T12:00:00Z INFO pin=2 of a part\n").expect("written");
    let mut config = crate::doors::tests::config(folder.path());
    config.journal = vec![folder.path().join("journal")];
    config.system_logs = vec![crate::tail::SystemLog { name: "part".into(), path: log }];
    let running =
        run_with(config, Some(client(&api)), Some(Arc::new(ByToken)), &tasks).await.expect("started");
    until("both ask", || has_metric(&running, "tiphys_logs_waiting_questions 2")).await;
    assert!(bodies(&running, "*").is_empty());
    *api.lock() = Api {
        is_away: false,
        hangs: false,
        pods: Vec::new(),
        namespaces: vec![namespace("kube-system", Some("/pin=./"))],
    };
    until("they are read", || bodies(&running, "*").len() == 2).await;
    let expected = ["2026-01-31T12:00:00Z INFO [redacted] of a part", "[redacted] of a unit"];
    assert_eq!(bodies(&running, "*"), expected);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_no_watch_has_told_of_is_asked_for_and_so_is_its_namespace() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let api = Shared::default();
    let running = start(folder.path(), &api, &tasks).await;
    *api.lock() = Api {
        is_away: false,
        hangs: false,
        // Of the last one the name was given again: its own word is gone with it.
        pods: vec![object("web", "uid-web", Some("/pin=./")), object("again", "another", Some("/./"))],
        namespaces: vec![namespace("shop", Some("/tan=./"))],
    };
    for pod in ["web", "gone", "again"] {
        write(&log_file(folder.path(), pod), &format!("{pod} pin=1 tan=2"));
    }
    until("they are read", || bodies(&running, "*").len() == 3).await;
    let expected = ["again pin=1 [redacted]", "gone pin=1 [redacted]", "web [redacted] [redacted]"];
    assert_eq!(bodies(&running, "*"), expected);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_gone_left_its_word_in_its_folder() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let api = Shared::default();
    let path = log_file(folder.path(), "short");
    let says = br#"{"logs.tiphys.io/redact": "/pin=./", "other": "x"}"#;
    let pod = path.parent().and_then(Path::parent).expect("a Pod's folder");
    xattr::set(pod, crate::tail::SAYS, says).expect("set");
    write(&path, "pin=1 of a short life");
    let running = start(folder.path(), &api, &tasks).await;
    until("it is read", || bodies(&running, "*").len() == 1).await;
    assert_eq!(bodies(&running, "*"), ["[redacted] of a short life"]);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_by_a_door_is_redacted_before_it_is_on_disk() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let api = Shared::default();
    api.lock().namespaces = vec![namespace("shop", Some("/pin=[0-9]+/"))];
    let running = start(folder.path(), &api, &tasks).await;
    let body = prost::Message::encode_to_vec(&otlp(None, &["my pin=4711", "no"]));
    assert_eq!(sent(&running, &body).await, StatusCode::OK);
    assert_eq!(bodies(&running, "*"), ["my [redacted]", "no"]);
    let written: Vec<u8> = fs::read_dir(folder.path().join("data/wal"))
        .expect("listed")
        .flat_map(|entry| fs::read(entry.expect("an entry").path()).expect("read"))
        .collect();
    let has = |text: &[u8]| written.windows(text.len()).any(|window| window == text);
    assert!(has(b"my [redacted]") && !has(b"4711"), "{}", String::from_utf8_lossy(&written));
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_comes_again_while_its_namespaces_word_is_not_known() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let api = Shared::new(Mutex::new(Api { is_away: true, ..Api::default() }));
    let running = start(folder.path(), &api, &tasks).await;
    let sockets = Sockets::of(running.doors.http[0]);
    let body = prost::Message::encode_to_vec(&otlp(None, &["pin=1"]));
    let (headers, status, answer) = sockets.send(protobuf("shop"), "/v1/logs", body.clone()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(headers.contains_key("Retry-After"));
    assert!(bodies(&running, "*").is_empty());
    *api.lock() = Api {
        is_away: false,
        hangs: false,
        pods: Vec::new(),
        namespaces: vec![namespace("shop", Some("/pin=./"))],
    };
    assert_eq!(sent(&running, &body).await, StatusCode::OK);
    assert_eq!(bodies(&running, "*"), ["[redacted]"]);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_is_served_by_the_last_word_while_the_api_server_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = Shared::default();
    api.lock().namespaces = vec![namespace("shop", Some("/pin=./"))];
    let body = prost::Message::encode_to_vec(&otlp(None, &["pin=1"]));
    for hangs in [false, true] {
        api.lock().hangs = hangs;
        let tasks = Tasks::new();
        // Its question waits much longer, and senders don't wait for it.
        write(&log_file(folder.path(), "web"), "line");
        let running = start(folder.path(), &api, &tasks).await;
        until("files wait", || !hangs || has_metric(&running, "tiphys_logs_waiting_pods 1")).await;
        assert_eq!(sent(&running, &body).await, StatusCode::OK, "hangs: {hangs}");
        let expected = 1 + usize::from(hangs);
        assert_eq!(bodies(&running, "ns:shop redacted").len(), expected, "hangs: {hangs}");
        tasks.shutdown(Duration::from_secs(120)).await;
    }
}

#[test]
fn a_list_takes_no_newer_word_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store =
        crate::index::Store::open(folder.path(), crate::index::Retention::default()).expect("a store").0;
    let rules = Rules { store: Arc::new(store), versions: Mutex::default(), asked: Mutex::default() };
    let of = |version: &str, rule: Option<&str>| -> Namespace {
        let mut value = namespace("shop", rule);
        value["metadata"]["resourceVersion"] = version.into();
        serde_json::from_value(value).expect("a namespace")
    };
    let redacts = |rules: &Rules| {
        rules.store.namespace_table().get("shop").is_some_and(|known| !known.annotations.is_empty())
    };
    assert!(rules.saw(&of("10", Some("/pin=./")), false));
    assert_eq!(rules.saw_all(&[Arc::new(of("7", None))]), ["shop"]);
    assert!(redacts(&rules), "the list is older");
    // The answer was under way when the watch told more.
    rules.answered(Some(7), &of("8", None));
    assert!(redacts(&rules));
    assert_eq!(rules.saw_all(&[Arc::new(of("12", None))]), [""; 0]);
    assert!(!redacts(&rules));
    // The versions began anew: what was asked for after the last word was known is newer.
    rules.answered(Some(12), &of("3", Some("/pin=./")));
    assert!(redacts(&rules));
}
