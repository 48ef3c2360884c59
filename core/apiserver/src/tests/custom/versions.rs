//! A kind in several versions.

use serde_json::{Value, json};

use super::{CRONTABS, DEFINITIONS, crontab, crontabs, define};
use crate::tests::harness::{Harness, event};

const SECOND: &str = "/apis/stable.example.com/v2/namespaces/default/crontabs";

/// CronTabs in v1, deprecated, and v2, which is stored and has a field more.
pub fn two_versions() -> Value {
    let mut definition = crontabs();
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["zone"] =
        json!({"type": "string", "default": "UTC"});
    second["additionalPrinterColumns"] = json!([]);
    definition["spec"]["versions"][0]["storage"] = json!(false);
    definition["spec"]["versions"][0]["deprecated"] = json!(true);
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    definition
}

#[tokio::test]
async fn versions_share_objects_and_have_their_own_schemas() {
    let api = Harness::start().await;
    define(&api, &two_versions()).await;
    let made = api.post(CRONTABS, &crontab("a", json!({"cron": "1"}))).await;
    assert_eq!(made.headers["warning"], r#"299 - "stable.example.com/v1 CronTab is deprecated""#);
    let made = made.expect(201);
    assert_eq!((&made["apiVersion"], made["spec"].get("zone")), (&json!("stable.example.com/v1"), None));
    let second = api.get(&format!("{SECOND}/a")).await.expect(200);
    assert_eq!(
        (&second["apiVersion"], &second["spec"]["zone"]),
        (&json!("stable.example.com/v2"), &json!("UTC"))
    );
    assert_eq!(second["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let list = api.get(CRONTABS).await.expect(200);
    assert_eq!(
        (&list["apiVersion"], &list["items"][0]["apiVersion"]),
        (&json!("stable.example.com/v1"), &json!("stable.example.com/v1"))
    );
    let group = api.get("/apis/stable.example.com").await.expect(200);
    assert_eq!(group["preferredVersion"]["version"], "v2");
    let mut events = api.watch(&format!("{CRONTABS}?watch=1")).await;
    let first = events.next().await.expect("an event");
    assert_eq!(
        (&first["object"]["apiVersion"], first["object"]["spec"].get("zone")),
        (&json!("stable.example.com/v1"), None)
    );
    // A patch to the old version loses what only the new one knows: as its schema says.
    api.patch(&format!("{SECOND}/a"), "merge", &json!({"spec": {"zone": "CET"}})).await.expect(200);
    assert_eq!(events.event().await, event("MODIFIED", "a"));
    api.patch(&format!("{CRONTABS}/a"), "merge", &json!({"spec": {"replicas": 2}})).await.expect(200);
    assert_eq!(api.get(&format!("{SECOND}/a")).await.expect(200)["spec"]["replicas"], 2);
}

#[tokio::test]
async fn a_write_without_a_change_migrates_to_the_storage_version() {
    let api = Harness::start().await;
    define(&api, &crontabs()).await;
    api.post(CRONTABS, &crontab("a", json!({"cron": "1"}))).await.expect(201);
    let mut definition = two_versions();
    definition["spec"]["versions"][0]["deprecated"] = json!(false);
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    api.patch(&path, "merge", &json!({"spec": definition["spec"]})).await.expect(200);
    api.eventually(|| async { api.get(SECOND).await.code == 200 }).await;
    let before = api.get(&format!("{SECOND}/a")).await.expect(200);
    assert_eq!(
        (&before["apiVersion"], &before["spec"]["zone"]),
        (&json!("stable.example.com/v2"), &json!("UTC"))
    );
    let after = api.put(&format!("{SECOND}/a"), &before).await.expect(200);
    assert_ne!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    let again = api.put(&format!("{SECOND}/a"), &after).await.expect(200);
    assert_eq!(again["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_version_that_is_not_served_is_not_found() {
    let api = Harness::start().await;
    let mut definition = two_versions();
    definition["spec"]["versions"][0]["served"] = json!(false);
    define(&api, &definition).await;
    api.get(CRONTABS).await.refused(404, "NotFound");
    api.post(SECOND, &json!({"metadata": {"name": "a"}, "spec": {"cron": "1"}})).await.expect(201);
    let table = api.get_as(SECOND, "application/json;as=Table;v=v1;g=meta.k8s.io").await.expect(200);
    assert_eq!(table["columnDefinitions"].as_array().unwrap().len(), 2);
}
