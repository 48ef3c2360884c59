//! Definitions that change, end and come back.

use serde_json::json;

use super::{CRONTABS, DEFINITIONS, condition, crontab, crontabs, define, until, with_crontabs};
use crate::tests::harness::event;

const OWN: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crontabs.stable.example.com";

#[tokio::test]
async fn a_definition_takes_its_instances_with_it() {
    let api = with_crontabs().await;
    api.post("/api/v1/namespaces", &json!({"metadata": {"name": "team"}})).await.expect(201);
    api.post(CRONTABS, &crontab("a", json!({"cron": "1"}))).await.expect(201);
    let other = CRONTABS.replace("default", "team");
    let mut held = crontab("b", json!({"cron": "1"}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(&other, &held).await.expect(201);
    let mut events = api.watch(&format!("{CRONTABS}?watch=1")).await;
    assert_eq!(events.event().await, event("ADDED", "a"));

    let marked = api.delete(OWN).await.expect(200);
    assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    assert_eq!(condition(&marked, "Terminating"), "True");
    while events.event().await != event("DELETED", "a") {}
    // What has a finalizer of its own is waited for; nothing new comes meanwhile.
    api.eventually(|| async {
        let left = api.get(&format!("{other}/b")).await;
        left.code == 200 && left.json()["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    assert_eq!(api.get(OWN).await.code, 200);
    api.post(CRONTABS, &crontab("c", json!({"cron": "1"}))).await.refused(405, "MethodNotAllowed");
    api.patch(&format!("{other}/b"), "merge", &json!({"metadata": {"finalizers": []}})).await.expect(200);
    api.gone(OWN).await;
    api.gone(CRONTABS).await;
    define(&api, &crontabs()).await;
    assert_eq!(api.get(CRONTABS).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn watches_end_when_their_kind_goes() {
    let api = with_crontabs().await;
    let mut events = api.watch(&format!("{CRONTABS}?watch=1")).await;
    api.delete(OWN).await.expect(200);
    while let Some(next) = events.next().await {
        assert_ne!(next["type"], "ERROR");
    }
    api.gone(OWN).await;
}

#[tokio::test]
async fn a_changed_schema_holds_at_once_and_old_objects_show_new_defaults() {
    let api = with_crontabs().await;
    api.post(CRONTABS, &crontab("a", json!({"cron": "1", "free": {"x": 1}}))).await.expect(201);
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let patch = json!([
        {"op": "add", "path": format!("{spec}/added"), "value": {"type": "string", "default": "new"}},
        {"op": "remove", "path": format!("{spec}/free")},
    ]);
    api.patch(OWN, "json", &patch).await.expect(200);
    api.eventually(|| async { api.get(&format!("{CRONTABS}/a")).await.json()["spec"]["added"] == "new" })
        .await;
    let read = api.get(&format!("{CRONTABS}/a")).await.expect(200);
    assert!(read["spec"].get("free").is_none());
    let list = api.get(CRONTABS).await.expect(200);
    assert_eq!(
        list["items"][0],
        json!({
        "apiVersion": read["apiVersion"], "kind": read["kind"], "metadata": read["metadata"], "spec": read["spec"]})
    );
}

#[tokio::test]
async fn what_is_defined_is_served_after_a_restart() {
    let api = with_crontabs().await;
    api.post(CRONTABS, &crontab("a", json!({"cron": "1"}))).await.expect(201);
    let api = api.restart().await;
    assert_eq!(api.get(&format!("{CRONTABS}/a")).await.expect(200)["spec"]["cron"], "1");
    assert_eq!(condition(&api.get(OWN).await.expect(200), "Established"), "True");
}

#[tokio::test]
async fn an_interrupted_end_goes_on_after_a_restart() {
    let api = with_crontabs().await;
    let mut held = crontab("a", json!({"cron": "1"}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(CRONTABS, &held).await.expect(201);
    api.delete(OWN).await.expect(200);
    until(&api, "crontabs.stable.example.com", |d| condition(d, "Terminating") == "True").await;
    let api = api.restart().await;
    api.patch(&format!("{CRONTABS}/a"), "merge", &json!({"metadata": {"finalizers": null}}))
        .await
        .expect(200);
    api.gone(OWN).await;
    assert_eq!(api.get(DEFINITIONS).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn instances_go_even_if_no_version_is_served() {
    let api = with_crontabs().await;
    api.post(CRONTABS, &crontab("a", json!({"cron": "1"}))).await.expect(201);
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/served", "value": false}]);
    api.patch(OWN, "json", &patch).await.expect(200);
    api.gone(CRONTABS).await;
    api.delete(OWN).await.expect(200);
    api.gone(OWN).await;
    define(&api, &crontabs()).await;
    assert_eq!(api.get(CRONTABS).await.expect(200)["items"], json!([]));
}
