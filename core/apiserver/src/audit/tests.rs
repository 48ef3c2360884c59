//! The log of a whole API server: what a policy lets through, and what never.

use std::{fs, io, path::Path, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, stream};
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, BoxError, boxed, empty, full},
};
use tiphys_lifecycle::Tasks;

use super::{Audit, Config, Policy, Rotation, around};
use crate::{
    request::info,
    tests::harness::{Answer, Harness, LIMIT, MAPS, read},
};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

const EVERYTHING: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  users: [system:apiserver]\n- level: RequestResponse\n";

async fn start(policy: Policy) -> Harness {
    Harness::start_with(|config, folder| {
        let path = folder.join("audit.log");
        config.audit = Some(Config { path, policy, rotation: Rotation::default() });
    })
    .await
}

/// The records, after the server has ended.
async fn records(api: Harness) -> Vec<Value> {
    let Harness { server, tasks, folder, .. } = api;
    drop(server);
    let left = tasks.shutdown(LIMIT).await;
    assert!(left.is_empty(), "{left:?}");
    lines(&folder.path().join("audit.log"))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("a record is a line")).collect()
}

async fn send(
    api: &Harness,
    user: UserInfo,
    method: Method,
    path: &str,
    agent: &str,
    body: &Value,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("user-agent", agent)
        .header("content-type", "application/json")
        .body(full(if body.is_null() { String::new() } else { body.to_string() }))
        .expect("a request");
    read(api.send_as(user, request).await).await
}

fn stages<'a>(records: &'a [Value], uri: &str) -> Vec<&'a str> {
    let fits = |record: &&Value| record["requestURI"].as_str().is_some_and(|it| it.starts_with(uri));
    records.iter().filter(fits).filter_map(|record| record["stage"].as_str()).collect()
}

#[tokio::test]
async fn a_request_is_recorded_with_what_it_asked_and_got() {
    let api = start(Policy::parse(EVERYTHING).expect("a policy")).await;
    let map = api.config_map("a", json!({}), json!({"k": "v"})).await;
    api.get(&format!("{MAPS}/none")).await.refused(404, "NotFound");
    for query in ["", "?watch=1"] {
        let jane = UserInfo::named("jane", &["dev"]);
        send(&api, jane, Method::GET, &format!("{MAPS}{query}"), "kubectl/v1", &Value::Null).await;
    }
    let mut watch =
        api.watch(&format!("{MAPS}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da")).await;
    while watch.next().await.is_some() {}
    drop(watch);
    let records = records(api).await;

    let created =
        records.iter().find(|it| it["verb"] == "create" && it["stage"] == "ResponseComplete").expect("one");
    assert_eq!(created["level"], "RequestResponse");
    assert_eq!(created["user"]["username"], "tester");
    assert_eq!(created["userAgent"], "tester/1.0");
    assert_eq!(created["objectRef"]["name"], "a");
    assert_eq!(created["objectRef"]["resource"], "configmaps");
    assert_eq!(created["requestObject"]["data"]["k"], "v");
    assert_eq!(created["responseObject"]["metadata"]["uid"], map["metadata"]["uid"]);
    assert_eq!(created["responseStatus"], json!({"metadata": {}, "code": 201}));
    assert_eq!(created["annotations"]["authorization.k8s.io/decision"], "allow");
    let missing = records.iter().find(|it| it["responseStatus"]["code"] == 404).expect("one");
    assert_eq!(missing["responseStatus"]["reason"], "NotFound");
    let refused = |it: &&Value| it["user"]["username"] == "jane" && it["stage"] == "ResponseComplete";
    let refused: Vec<&Value> = records.iter().filter(refused).collect();
    assert_eq!(refused.len(), 2, "a list and a watch");
    for refused in refused {
        assert_eq!(refused["responseStatus"]["code"], 403);
        assert_eq!(refused["responseStatus"]["reason"], "Forbidden");
        assert_eq!(refused["annotations"]["authorization.k8s.io/decision"], "forbid");
    }
    assert_eq!(
        stages(&records, &format!("{MAPS}?watch=1&")),
        ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    );
}

#[tokio::test]
async fn a_request_whose_client_goes_is_recorded() {
    let api = start(Policy::default()).await;
    let never = boxed(StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>()));
    let request = Request::post(MAPS).body(never).expect("a request");
    assert!(api.send(request).now_or_never().is_none(), "it waits for its body");
    let records = records(api).await;
    assert_eq!(stages(&records, MAPS), ["ResponseComplete"]);
    let record = records.iter().find(|it| it["requestURI"] == MAPS).expect("one");
    assert_eq!(record["responseStatus"], json!({"metadata": {}, "message": "Connection closed early"}));
}

#[tokio::test]
async fn without_its_log_nothing_is_answered() {
    let api = start(Policy::default()).await;
    api.get("/version").await.expect(200);
    assert_eq!(api.tasks.shutdown(LIMIT).await, [""; 0]);
    api.get("/version").await.refused(503, "ServiceUnavailable");
}

/// What comes of an answer in JSON to a GET of `path`, and the last record about it.
async fn answered(path: &str, code: u16, body: Body) -> (Response<Body>, Value) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (tasks, file) = (Tasks::new(), folder.path().join("audit.log"));
    let policy = Policy::parse(EVERYTHING).expect("a policy");
    let audit = Audit::start(Config { path: file.clone(), policy, rotation: Rotation::default() }, &tasks);
    let audit = audit.expect("a log");
    let target = info::parse(&Method::GET, path, false).expect("a target");
    let request = Request::get(path).body(empty()).expect("a request");
    let work = |_| async move {
        let response = Response::builder().status(code).header("content-type", "application/json");
        response.body(body).expect("a response")
    };
    let response = around(Some(&audit), Some(&target), request, work);
    let response = tokio::time::timeout(LIMIT, response).await.expect("an answer");
    assert_eq!(tasks.shutdown(LIMIT).await, [""; 0]);
    (response, lines(&file).pop().expect("a record"))
}

#[tokio::test]
async fn an_error_from_behind_a_proxy_is_passed_on_unread() {
    let endless = boxed(StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>()));
    let (response, record) = answered("/api/v1/namespaces/a/pods/p/proxy", 500, endless).await;
    assert_eq!(response.status(), 500);
    assert_eq!(record["stage"], "ResponseComplete");
    assert_eq!(record["responseStatus"], json!({"metadata": {}, "code": 500}));
}

#[tokio::test]
async fn a_large_answer_is_passed_on_and_leaves_its_code() {
    let (quote, megabyte) = (Bytes::from_static(b"\""), Bytes::from(vec![b'a'; 1 << 20]));
    let pieces = [&quote, &megabyte, &megabyte, &megabyte, &megabyte, &quote].map(Bytes::clone);
    let pieces = stream::iter(pieces.map(|piece| Ok::<_, BoxError>(Frame::data(piece))));
    let (response, record) = answered(MAPS, 200, boxed(StreamBody::new(pieces))).await;
    let answer = read(response).await;
    assert_eq!(answer.bytes.len(), (4 << 20) + 2);
    assert!(answer.json().is_string(), "all of it in its order");
    assert_eq!(record["responseStatus"]["code"], 200);
    assert_eq!(record["responseObject"], Value::Null);
}

#[tokio::test]
async fn rules_and_stages_choose_what_is_written() {
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n  users: [jane]\n  verbs: [list]\n";
    let api = start(Policy::parse(policy).expect("a policy")).await;
    for user in ["jane", "joe"] {
        send(&api, UserInfo::named(user, &[]), Method::GET, MAPS, "a", &Value::Null).await;
        send(&api, UserInfo::named(user, &[]), Method::GET, "/version", "a", &Value::Null).await;
    }
    let records = records(api).await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(
        (&records[0]["stage"], &records[0]["user"]["username"]),
        (&json!("ResponseComplete"), &json!("jane"))
    );
}

#[tokio::test]
async fn abuse_27_whatever_a_client_calls_itself_is_one_record() {
    let api = start(Policy::default()).await;
    let forged = "x\"}\n{\"kind\":\"Event\",\"user\":{\"username\":\"root\"}}\r\n";
    let user = UserInfo { name: forged.into(), ..UserInfo::default() };
    send(&api, user, Method::GET, MAPS, "a\",\"verb\":\"none\u{e9}\\", &Value::Null).await;
    let records = records(api).await;
    let mine: Vec<&Value> = records.iter().filter(|it| it["user"]["username"] == forged).collect();
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0]["verb"], "list");
    assert!(!records.iter().any(|it| it["user"]["username"] == "root"));
}

/// Everything that is logged, spans' fields included.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn abuse_28_no_secret_and_no_token_is_logged_at_any_level() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    // With one subscriber alone, what other tests' threads log first would be off for this one, too.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
    let _guard = tracing::subscriber::set_default(subscriber);
    for policy in [Policy::default(), Policy::parse(EVERYTHING).expect("a policy")] {
        let api = start(policy).await;
        let account = json!({"metadata": {"name": "robot"}});
        api.post("/api/v1/namespaces/default/serviceaccounts", &account).await.expect(201);
        let applied = json!({LAST_APPLIED: "{\"data\":{\"password\":\"aHVudGVyMg==\"}}"});
        let metadata = json!({"name": "s", "annotations": applied});
        let secret = json!({"metadata": metadata, "stringData": {"password": "hunter2"}});
        api.post(SECRETS, &secret).await.expect(201);
        api.patch(&format!("{SECRETS}/s"), "merge", &json!({"stringData": {"password": "hunter22"}}))
            .await
            .expect(200);
        api.get(&format!("{SECRETS}/s")).await.expect(200);
        api.get(SECRETS).await.expect(200);
        for include in ["None", "Metadata", "Object"] {
            let table = api.get_as(&format!("{SECRETS}?includeObject={include}"), TABLE).await.expect(200);
            assert_eq!(table["kind"], "Table");
        }
        api.get(&format!("{SECRETS}?access_token=hunter2&limit=1&%74oken=hunter2")).await.expect(200);
        let path = "/api/v1/namespaces/default/serviceaccounts/robot/token";
        let token = api.post(path, &json!({"spec": {}})).await.expect(201)["status"]["token"].clone();
        let token = token.as_str().expect("a token").to_owned();
        let review = json!({"spec": {"token": token}});
        let review = api.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await.expect(201);
        assert_eq!(review["status"]["authenticated"], true);
        let mut wrong = review;
        wrong["spec"]["token"] = format!("{token}x").into();
        api.post("/apis/authentication.k8s.io/v1/tokenreviews", &wrong).await.expect(201);
        let records = records(api).await;
        assert!(records.iter().any(|it| it["objectRef"]["resource"] == "secrets"));
        let uri = format!("{SECRETS}?access_token=redacted&limit=1&%74oken=redacted");
        assert!(records.iter().any(|it| it["requestURI"] == *uri));
        let log = serde_json::to_string(&records).expect("text");
        let traces = String::from_utf8_lossy(&written.0.lock()).into_owned();
        assert!(traces.contains("request answered"), "nothing was traced");
        let signature = token.rsplit('.').next().expect("a signature").to_owned();
        for needle in ["hunter2", "aHVudGVyMg", &signature] {
            assert!(!log.contains(needle), "{needle} in the audit log");
            assert!(!traces.contains(needle), "{needle} in the logs");
        }
    }
}
