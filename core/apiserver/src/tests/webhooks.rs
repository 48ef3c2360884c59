//! Webhooks, through the whole server and over HTTPS.

mod changed;
mod configured;
mod denied;

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    custom::{CRONTABS, DEFINITIONS, condition, crontab, crontabs, until},
    harness::{Answer, Harness, MAPS, PODS, pod},
    reviewer::{Reply, Reviewer, allow, hook, patch},
};

const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// Sets the webhooks up, and waits until they are known.
async fn configure(api: &Harness, path: &str, name: &str, hooks: Value) {
    api.post(path, &json!({ "metadata": { "name": name }, "webhooks": hooks })).await.expect(201);
    api.get(path).await.expect(200);
}

async fn map(api: &Harness, name: &str) -> Answer {
    api.post(MAPS, &json!({ "metadata": { "name": name }, "data": { "a": "b" } })).await
}

fn warnings(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("warning").iter().map(|warning| warning.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_webhook_sees_writes_and_refuses_them() {
    let api = Harness::start().await;
    let reviewer = Reviewer::start(&api.tasks, |request| {
        let allowed = request["name"] != "bad" && request["operation"] != "DELETE";
        Reply::Response(json!({ "allowed": allowed, "warnings": ["mind the gap"],
            "status": { "code": 403, "reason": "Forbidden", "message": "not this one" } }))
    })
    .await;
    configure(&api, VALIDATING, "a", json!([reviewer.hook(json!({}))])).await;
    let good = map(&api, "good").await;
    assert_eq!(warnings(&good), ["299 - \"mind the gap\""]);
    good.expect(201);
    let why = map(&api, "bad").await.refused(403, "Forbidden");
    assert_eq!(why, "admission webhook \"hook.team.example\" denied the request: not this one");
    api.patch(&format!("{MAPS}/good"), "merge", &json!({ "data": { "a": "c" } })).await.expect(200);
    api.delete(&format!("{MAPS}/good")).await.refused(403, "Forbidden");
    api.get(&format!("{MAPS}/good")).await.expect(200);
    api.post("/api/v1/namespaces/default/secrets", &json!({ "metadata": { "name": "s" } })).await.expect(201);

    let asked = reviewer.asked();
    let told = |review: &Value| {
        let request = &review["request"];
        let data = |object: &Value| object["data"]["a"].clone();
        json!([
            request["operation"],
            request["name"],
            data(&request["object"]),
            data(&request["oldObject"]),
            request["options"]["kind"]
        ])
    };
    assert_eq!(
        asked.iter().map(told).collect::<Vec<_>>(),
        [
            json!(["CREATE", "good", "b", null, "CreateOptions"]),
            json!(["CREATE", "bad", "b", null, "CreateOptions"]),
            json!(["UPDATE", "good", "c", "b", "PatchOptions"]),
            json!(["DELETE", "good", null, "c", "DeleteOptions"]),
        ]
    );
    let first = &asked[0]["request"];
    assert_eq!(asked[0]["path"], "/review?timeout=10s");
    assert_eq!(first["kind"], json!({ "group": "", "version": "v1", "kind": "ConfigMap" }));
    assert_eq!(first["resource"], json!({ "group": "", "version": "v1", "resource": "configmaps" }));
    assert_eq!((&first["namespace"], &first["dryRun"]), (&json!("default"), &json!(false)));
    assert_eq!(first["userInfo"]["username"], "tester");
    assert_eq!(first["object"]["kind"], "ConfigMap");
}

#[tokio::test]
async fn a_webhook_changes_objects_and_is_asked_again() {
    let api = Harness::start().await;
    // The first writes down what it sees of the second's work.
    let first = Reviewer::start(&api.tasks, |request| {
        let seen = request["object"]["metadata"]["labels"]["second"].is_string();
        patch(json!([{ "op": "add", "path": "/data/seen", "value": seen.to_string() }]))
    })
    .await;
    let second = Reviewer::start(&api.tasks, |request| {
        let labels = &request["object"]["metadata"]["labels"];
        match labels.is_object() {
            true => allow(),
            false => {
                patch(json!([{ "op": "add", "path": "/metadata/labels", "value": { "second": "yes" } }]))
            }
        }
    })
    .await;
    let hooks = json!([
        first.hook(json!({ "name": "first.team.example", "reinvocationPolicy": "IfNeeded" })),
        second.hook(json!({ "name": "second.team.example" })),
    ]);
    configure(&api, MUTATING, "a", hooks).await;
    let made = map(&api, "m").await.expect(201);
    assert_eq!(made["metadata"]["labels"], json!({ "second": "yes" }));
    assert_eq!(made["data"], json!({ "a": "b", "seen": "true" }));
    assert_eq!((first.asked().len(), second.asked().len()), (2, 1));
    assert_eq!(api.get(&format!("{MAPS}/m")).await.expect(200)["data"]["seen"], "true");
    let what_is_no_map = patch_of_a_pod();
    let third = Reviewer::start(&api.tasks, move |_| patch(what_is_no_map.clone())).await;
    configure(&api, MUTATING, "b", json!([third.hook(json!({ "name": "third.team.example" }))])).await;
    map(&api, "n").await.refused(422, "Invalid");
}

/// A name that no object may have.
fn patch_of_a_pod() -> Value {
    json!([{ "op": "replace", "path": "/metadata/name", "value": "No!" }])
}

#[tokio::test]
async fn a_failing_webhook_stops_writes_or_not() {
    let api = Harness::start().await;
    let silent = Reviewer::start(&api.tasks, |_| Reply::Never).await;
    let odd = Reviewer::start(&api.tasks, |_| Reply::Http(200, "/".into(), "{}".into())).await;
    let only =
        |name: &str| json!([{ "name": "only", "expression": format!("object.metadata.name == '{name}'") }]);
    let nobody = json!({ "url": "https://127.0.0.1:1/", "caBundle": silent.ca });
    let hooks = json!([
        silent.hook(
            json!({ "name": "silent.team.example", "timeoutSeconds": 1, "matchConditions": only("silent") })
        ),
        odd.hook(json!({ "name": "odd.team.example", "matchConditions": only("odd") })),
        hook(nobody.clone(), json!({ "name": "closed.team.example", "matchConditions": only("closed") })),
        hook(nobody, json!({ "name": "open.team.example", "failurePolicy": "Ignore" })),
    ]);
    configure(&api, VALIDATING, "a", hooks).await;
    let table = [
        ("silent", "context deadline exceeded"),
        ("odd", "received invalid webhook response: webhook response was absent"),
        ("closed", "Connection refused"),
    ];
    for (name, why) in table {
        let told = map(&api, name).await.refused(500, "InternalError");
        let begin = format!("Internal error occurred: failed calling webhook \"{name}.team.example\": ");
        assert!(told.starts_with(&begin) && told.contains(why), "{told}");
    }
    map(&api, "other").await.expect(201);
}

#[tokio::test]
async fn conditions_selectors_and_dry_runs_are_heeded() {
    let api = Harness::start().await;
    let reviewer = Reviewer::start(&api.tasks, |_| Reply::Response(json!({ "allowed": false }))).await;
    let hooks = json!([reviewer.hook(json!({
        "objectSelector": { "matchLabels": { "watched": "yes" } },
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "default" } },
        "matchConditions": [
            { "name": "not-me", "expression": "request.userInfo.username != 'nobody'" },
            { "name": "may", "expression": "authorizer.group('').resource('pods').check('list').allowed()" },
            { "name": "big", "expression": "has(object.data) && size(object.data) > 1" },
        ],
    }))]);
    configure(&api, VALIDATING, "a", hooks).await;
    let write = |query: &str, watched: &str, data: Value| {
        let path = format!("{MAPS}{query}");
        let object =
            json!({ "metadata": { "generateName": "m-", "labels": { "watched": watched } }, "data": data });
        let api = &api;
        async move { api.post(&path, &object).await }
    };
    let (small, big) = (json!({ "a": "b" }), json!({ "a": "b", "c": "d" }));
    write("", "no", big.clone()).await.expect(201);
    write("", "yes", small).await.expect(201);
    assert!(reviewer.asked().is_empty());
    write("?dryRun=All", "yes", big).await.refused(400, "");
    assert_eq!(reviewer.asked().len(), 1);
    assert_eq!(reviewer.asked()[0]["request"]["dryRun"], true);
    assert_eq!(reviewer.asked()[0]["request"]["options"]["dryRun"], json!(["All"]));
}

#[tokio::test]
async fn a_webhook_gets_the_version_that_it_asks_for() {
    let api = Harness::start().await;
    let reviewer = Reviewer::start(&api.tasks, |request| {
        // What is changed in one version is stored in another.
        let note = request["object"]["note"].as_str().unwrap_or_default().to_owned();
        patch(json!([{ "op": "replace", "path": "/note", "value": format!("{note}!") }]))
    })
    .await;
    let rules = json!([{ "operations": ["CREATE"], "apiGroups": ["events.k8s.io"], "apiVersions": ["v1"], "resources": ["events"] }]);
    let exact =
        reviewer.hook(json!({ "name": "exact.team.example", "rules": rules, "matchPolicy": "Exact" }));
    let both = reviewer.hook(json!({ "rules": rules, "admissionReviewVersions": ["v2", "v1beta1", "v1"] }));
    configure(&api, MUTATING, "a", json!([exact, both])).await;
    let event = json!({ "metadata": { "name": "e" }, "message": "hello", "reason": "Greeting", "type": "Normal",
        "involvedObject": { "kind": "Pod", "namespace": "default", "name": "p" } });
    let made = api.post("/api/v1/namespaces/default/events", &event).await.expect(201);
    assert_eq!(made["message"], "hello!");
    let asked = reviewer.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["apiVersion"], "admission.k8s.io/v1beta1");
    let request = &asked[0]["request"];
    assert_eq!(request["object"]["apiVersion"], "events.k8s.io/v1");
    assert_eq!(request["resource"]["group"], "events.k8s.io");
    assert_eq!(request["requestResource"]["group"], "");
}

#[tokio::test]
async fn a_webhook_may_stand_behind_a_service() {
    let api = Harness::start().await;
    let reviewer = Reviewer::start(&api.tasks, |_| Reply::Response(json!({ "allowed": false }))).await;
    let service = json!({ "metadata": { "name": "hook" }, "spec": { "type": "ExternalName", "externalName": "localhost" } });
    api.post("/api/v1/namespaces/default/services", &service).await.expect(201);
    let client = json!({ "caBundle": reviewer.ca,
        "service": { "namespace": "default", "name": "hook", "port": reviewer.port, "path": "/here" } });
    configure(&api, VALIDATING, "a", json!([hook(client, json!({}))])).await;
    let why = map(&api, "m").await.refused(400, "");
    assert_eq!(why, "admission webhook \"hook.team.example\" denied the request without explanation");
    assert_eq!(reviewer.asked()[0]["path"], "/here?timeout=10s");
}

#[tokio::test]
async fn subresources_and_connections_are_shown_as_what_they_are() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    let reviewer = Reviewer::start(&api.tasks, |_| Reply::Response(json!({ "allowed": false }))).await;
    let rules = json!([
        { "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/*"] },
    ]);
    configure(&api, VALIDATING, "a", json!([reviewer.hook(json!({ "rules": rules }))])).await;
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "p" } });
    api.post(&format!("{PODS}/p/eviction"), &eviction).await.refused(400, "");
    api.post(&format!("{PODS}/p/exec?command=ls&container=c"), &json!({})).await.refused(400, "");
    let told: Vec<Value> = reviewer
        .asked()
        .iter()
        .map(|review| {
            let request = &review["request"];
            json!([request["operation"], request["subResource"], request["kind"]["kind"]])
        })
        .collect();
    assert_eq!(
        told,
        [json!(["CREATE", "eviction", "Eviction"]), json!(["CONNECT", "exec", "PodExecOptions"])]
    );
    assert_eq!(reviewer.asked()[1]["request"]["object"]["command"], json!(["ls"]));
}

#[tokio::test]
async fn webhooks_have_no_say_in_what_sets_them_up() {
    let api = Harness::start().await;
    let nobody = json!({ "url": "https://127.0.0.1:1/" });
    let rules =
        json!([{ "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"] }]);
    let hooks = json!([hook(nobody, json!({ "rules": rules }))]);
    configure(&api, VALIDATING, "a", hooks.clone()).await;
    configure(&api, MUTATING, "a", hooks).await;
    map(&api, "m").await.refused(500, "InternalError");
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let policy = json!({ "metadata": { "name": "p" }, "spec": {
        "matchConstraints": { "resourceRules": [{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"] }] },
        "validations": [{ "expression": "true" }] } });
    api.post(policies, &policy).await.expect(201);
    api.delete(&format!("{policies}/p")).await.expect(200);
    for path in [VALIDATING, MUTATING] {
        let label = json!({ "metadata": { "labels": { "a": "b" } } });
        api.patch(&format!("{path}/a"), "merge", &label).await.expect(200);
        api.delete(&format!("{path}/a")).await.expect(200);
    }
    api.get(VALIDATING).await.expect(200);
    api.get(MUTATING).await.expect(200);
    map(&api, "m").await.expect(201);
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn abuse_11_redirects_of_webhooks_are_not_followed() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = Harness::start().await;
    let inner = Reviewer::start(&api.tasks, |_| allow()).await;
    for (name, status) in
        [("moved", 301), ("found", 302), ("see", 303), ("temporary", 307), ("permanent", 308)]
    {
        let target = inner.url();
        let body = format!("stolen-{name}");
        let outer =
            Reviewer::start(&api.tasks, move |_| Reply::Http(status, target.clone(), body.clone())).await;
        for (path, kind) in [(VALIDATING, "validating"), (MUTATING, "mutating")] {
            let config = format!("{name}-{kind}");
            configure(&api, path, &config, json!([outer.hook(json!({}))])).await;
            let answer = map(&api, "m").await;
            assert!(!answer.text.contains("stolen"), "{}", answer.text);
            let why = answer.refused(500, "InternalError");
            assert!(why.contains(&format!("status {status}, which is not followed")), "{why}");
            api.delete(&format!("{path}/{config}")).await.expect(200);
            api.get(path).await.expect(200);
        }
        assert_eq!(outer.asked().len(), 2);
    }
    assert!(inner.asked().is_empty(), "a redirect was followed");
    let logged = String::from_utf8_lossy(&log.0.lock()).into_owned();
    assert!(logged.contains("webhook failed"), "the failure is logged");
    assert!(!logged.contains("stolen"), "a body was logged");
}

#[tokio::test]
async fn a_kind_is_not_there_before_its_definition_is_established() {
    let api = Harness::start().await;
    let reviewer = Reviewer::start(&api.tasks, |_| Reply::Response(json!({ "allowed": false }))).await;
    let rules = json!([{ "operations": ["UPDATE"], "apiGroups": ["apiextensions.k8s.io"], "apiVersions": ["v1"],
        "resources": ["customresourcedefinitions/status"] }]);
    configure(&api, VALIDATING, "a", json!([reviewer.hook(json!({ "rules": rules }))])).await;
    api.post(DEFINITIONS, &crontabs()).await.expect(201);
    // Its names have been accepted, and that can't be written down.
    api.eventually(|| async { !reviewer.asked().is_empty() }).await;
    api.get(CRONTABS).await.refused(404, "NotFound");
    api.post(CRONTABS, &crontab("a", json!({ "cron": "* * * * *" }))).await.refused(404, "NotFound");
    api.get("/apis/stable.example.com/v1").await.refused(404, "NotFound");
    assert!(!api.get("/openapi/v3").await.text.contains("stable.example.com"));
    api.delete(&format!("{VALIDATING}/a")).await.expect(200);
    until(&api, "crontabs.stable.example.com", |one| condition(one, "Established") == "True").await;
    api.get(CRONTABS).await.expect(200);
    api.get("/apis/stable.example.com/v1").await.expect(200);
    assert!(api.get("/openapi/v3").await.text.contains("stable.example.com"));
}
