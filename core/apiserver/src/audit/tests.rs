//! The log of a whole API server: what a policy lets through, and what never.

use std::{fs, io, path::Path, sync::Arc};

use http::{Method, Request};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tiphys_api::{auth::UserInfo, serve::full};

use super::{Config, Policy, Rotation};
use crate::tests::harness::{Answer, Harness, MAPS, read};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

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
    let left = tasks.shutdown(crate::tests::harness::LIMIT).await;
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
    send(&api, UserInfo::named("jane", &["dev"]), Method::GET, MAPS, "kubectl/v1", &Value::Null).await;
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
    let refused =
        records.iter().find(|it| it["user"]["username"] == "jane" && it["stage"] == "ResponseComplete");
    let refused = refused.expect("one");
    assert_eq!(refused["responseStatus"]["code"], 403);
    assert_eq!(refused["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(
        stages(&records, &format!("{MAPS}?watch=1")),
        ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    );
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
        let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}});
        api.post(SECRETS, &secret).await.expect(201);
        api.patch(&format!("{SECRETS}/s"), "merge", &json!({"stringData": {"password": "hunter22"}}))
            .await
            .expect(200);
        api.get(&format!("{SECRETS}/s")).await.expect(200);
        api.get(SECRETS).await.expect(200);
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
