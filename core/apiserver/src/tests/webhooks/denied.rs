//! What webhooks deny, and how long they are waited for.

use std::time::Duration;

use serde_json::{Value, json};

use super::{VALIDATING, configure, map};
use crate::tests::{
    custom::{CRONTABS, DEFINITIONS, crontab, crontabs, with_crontabs},
    harness::{Harness, MAPS, PODS, pod},
    reviewer::{Reply, Reviewer, allow, hook},
};

fn rules(operations: &[&str], group: &str, resources: &[&str]) -> Value {
    json!([{ "operations": operations, "apiGroups": [group], "apiVersions": ["*"], "resources": resources }])
}

/// Denies with this message what holds.
async fn denying(
    api: &Harness,
    message: &'static str,
    bad: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Reviewer {
    Reviewer::start(&api.tasks, move |request| match bad(request) {
        true => Reply::Response(json!({ "allowed": false,
            "status": { "code": 403, "reason": "Forbidden", "message": message } })),
        false => allow(),
    })
    .await
}

#[tokio::test]
async fn pods_and_maps_are_denied_however_they_are_written() {
    let api = Harness::start().await;
    let unwanted = |request: &Value| {
        let object = &request["object"];
        object["data"]["bad"].is_string() || object["metadata"]["labels"]["bad"].is_string()
    };
    let reviewer = denying(&api, "unwanted", unwanted).await;
    let silent = Reviewer::start(&api.tasks, |_| Reply::Never).await;
    let some = json!({ "matchExpressions": [{ "key": "exempt", "operator": "NotIn", "values": ["yes"] }] });
    let hang = json!([{ "name": "hang", "expression": "object.metadata.name == 'hang'" }]);
    let hooks = json!([
        reviewer.hook(json!({ "name": "unwanted.team.example", "namespaceSelector": some,
            "rules": rules(&["CREATE", "UPDATE"], "", &["pods", "configmaps"]) })),
        silent.hook(json!({ "name": "silent.team.example", "rules": rules(&["CREATE"], "", &["pods"]),
            "timeoutSeconds": 1, "matchConditions": hang })),
    ]);
    configure(&api, VALIDATING, "a", hooks).await;

    let mut bad = pod("bad");
    bad["metadata"]["labels"]["bad"] = json!("yes");
    assert!(api.post(PODS, &bad).await.refused(403, "Forbidden").contains("unwanted"));
    let why = api.post(PODS, &pod("hang")).await.refused(500, "InternalError");
    assert!(why.contains("context deadline exceeded"), "{why}");
    for name in ["bad", "hang"] {
        api.get(&format!("{PODS}/{name}")).await.refused(404, "NotFound");
    }
    let bad = json!({ "metadata": { "name": "bad" }, "data": { "bad": "yes" } });
    api.post(MAPS, &bad).await.refused(403, "Forbidden");
    let mut good = map(&api, "good").await.expect(201);
    good["data"]["bad"] = json!("yes");
    api.put(&format!("{MAPS}/good"), &good).await.refused(403, "Forbidden");
    let patch = json!({ "data": { "bad": "yes" } });
    for kind in ["merge", "strategic-merge"] {
        api.patch(&format!("{MAPS}/good"), kind, &patch).await.refused(403, "Forbidden");
    }
    assert_eq!(api.get(&format!("{MAPS}/good")).await.expect(200)["data"], json!({ "a": "b" }));
    let exempt = json!({ "metadata": { "name": "exempt", "labels": { "exempt": "yes" } } });
    api.post("/api/v1/namespaces", &exempt).await.expect(201);
    api.post("/api/v1/namespaces/exempt/configmaps", &bad).await.expect(201);
}

#[tokio::test]
async fn custom_objects_are_denied_to_come_change_and_go() {
    let api = with_crontabs().await;
    let unwanted = |request: &Value| match request["operation"].as_str() {
        Some("DELETE") => request["oldObject"]["spec"]["image"] == "keep",
        _ => request["object"]["spec"]["image"] == "bad",
    };
    let reviewer = denying(&api, "unwanted", unwanted).await;
    let rules = rules(&["CREATE", "UPDATE", "DELETE"], "stable.example.com", &["crontabs"]);
    configure(&api, VALIDATING, "a", json!([reviewer.hook(json!({ "rules": rules }))])).await;
    let tab = |image: &str| crontab("a", json!({ "cron": "1", "image": image }));
    api.post(CRONTABS, &tab("bad")).await.refused(403, "Forbidden");
    let mut made = api.post(CRONTABS, &tab("keep")).await.expect(201);
    let path = format!("{CRONTABS}/a");
    made["spec"]["image"] = json!("bad");
    api.put(&path, &made).await.refused(403, "Forbidden");
    api.patch(&path, "merge", &json!({ "spec": { "image": "bad" } })).await.refused(403, "Forbidden");
    api.delete(&path).await.refused(403, "Forbidden");
    api.delete(CRONTABS).await.refused(403, "Forbidden");
    assert_eq!(api.get(&path).await.expect(200)["spec"]["image"], "keep");
    api.patch(&path, "merge", &json!({ "spec": { "image": "go" } })).await.expect(200);
    api.delete(&path).await.expect(200);
    api.get(&path).await.refused(404, "NotFound");
}

#[tokio::test]
async fn definitions_are_denied() {
    let api = Harness::start().await;
    let labelled = |request: &Value| request["object"]["metadata"]["labels"]["bad"].is_string();
    let reviewer = denying(&api, "no such kind here", labelled).await;
    let rules = rules(&["CREATE"], "apiextensions.k8s.io", &["customresourcedefinitions"]);
    configure(&api, VALIDATING, "a", json!([reviewer.hook(json!({ "rules": rules }))])).await;
    let mut bad = crontabs();
    bad["metadata"]["labels"] = json!({ "bad": "yes" });
    let why = api.post(DEFINITIONS, &bad).await.refused(403, "Forbidden");
    assert!(why.contains("no such kind here"), "{why}");
    api.get(&format!("{DEFINITIONS}/crontabs.stable.example.com")).await.refused(404, "NotFound");
    api.post(DEFINITIONS, &crontabs()).await.expect(201);
}

#[tokio::test]
async fn attaching_is_denied() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    let reviewer = denying(&api, "no attaching", |_| true).await;
    let rules = rules(&["CONNECT"], "", &["pods/attach"]);
    configure(&api, VALIDATING, "a", json!([reviewer.hook(json!({ "rules": rules }))])).await;
    let path = format!("{PODS}/p/attach?container=main&stdin=true&stdout=true");
    for answer in [api.get(&path).await, api.post(&path, &json!({})).await] {
        assert!(answer.refused(403, "Forbidden").contains("no attaching"));
    }
    let request = &reviewer.asked()[0]["request"];
    assert_eq!((&request["operation"], &request["subResource"]), (&json!("CONNECT"), &json!("attach")));
    assert_eq!(request["object"]["container"], "main");
}

#[tokio::test]
async fn a_slow_webhook_is_waited_for_as_long_as_it_is_given() {
    let api = Harness::start().await;
    // Of two it is sure that they are not waited for: no answer comes, however late the machine looks.
    let late = |request: &Value| match request["object"]["metadata"]["name"].as_str() {
        Some("short" | "ignored") => Reply::Never,
        _ => Reply::After(Duration::from_millis(1500), Box::new(allow())),
    };
    let slow = Reviewer::start(&api.tasks, late).await;
    let one = |name: &str, more: Value| {
        let only = json!([{ "name": "only", "expression": format!("object.metadata.name == '{name}'") }]);
        let mut hook = slow.hook(json!({ "name": format!("{name}.team.example"), "matchConditions": only }));
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        hook
    };
    let hooks = json!([
        one("short", json!({ "timeoutSeconds": 1 })),
        one("ignored", json!({ "timeoutSeconds": 1, "failurePolicy": "Ignore" })),
        one("long", json!({ "timeoutSeconds": 30 })),
        one("unset", json!({})),
    ]);
    configure(&api, VALIDATING, "a", hooks).await;
    let (short, ignored, long, unset) =
        tokio::join!(map(&api, "short"), map(&api, "ignored"), map(&api, "long"), map(&api, "unset"));
    let why = short.refused(500, "InternalError");
    assert!(why.contains("context deadline exceeded"), "{why}");
    for answer in [ignored, long, unset] {
        answer.expect(201);
    }
    api.get(&format!("{MAPS}/short")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_webhook_that_is_not_trusted_fails_closed() {
    let api = Harness::start().await;
    let reviewer = Reviewer::start(&api.tasks, |_| allow()).await;
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": "default" } });
    let closed = json!({ "failurePolicy": "Fail", "namespaceSelector": selector });
    // Without its authority.
    configure(&api, VALIDATING, "a", json!([hook(json!({ "url": reviewer.url() }), closed)])).await;
    for name in ["a", "b"] {
        map(&api, name).await.refused(500, "InternalError");
    }
    assert!(reviewer.asked().is_empty());
    let elsewhere = "/api/v1/namespaces/kube-system/configmaps";
    api.post(elsewhere, &json!({ "metadata": { "name": "a" } })).await.expect(201);
}
