//! Configurations that are listed, changed and deleted: they count as they are at the moment.

use serde_json::{Value, json};

use super::{MUTATING, VALIDATING, configure, map};
use crate::tests::{
    harness::Harness,
    reviewer::{Reply, Reviewer, patch},
};

/// Marks what is created.
async fn marking(api: &Harness) -> Reviewer {
    Reviewer::start(&api.tasks, |_| patch(json!([{ "op": "add", "path": "/data/marked", "value": "yes" }])))
        .await
}

async fn denying(api: &Harness) -> Reviewer {
    let no =
        || json!({ "allowed": false, "status": { "code": 403, "reason": "Forbidden", "message": "no" } });
    Reviewer::start(&api.tasks, move |_| Reply::Response(no())).await
}

/// Ten configurations, and one more that has not their label.
async fn ten(api: &Harness, path: &str, reviewer: &Reviewer) {
    let config = |name: &str, hook: Value| json!({ "metadata": { "name": name }, "webhooks": [hook] });
    let elsewhere = json!({ "matchLabels": { "kubernetes.io/metadata.name": "nowhere" } });
    let other = config("other", reviewer.hook(json!({ "namespaceSelector": elsewhere })));
    api.post(path, &other).await.expect(201);
    for number in 0..10 {
        let mut one = config(&format!("one-{number}"), reviewer.hook(json!({})));
        one["metadata"]["labels"] = json!({ "of": "ten" });
        api.post(path, &one).await.expect(201);
    }
    assert_eq!(labelled(api, path).await, 10);
}

async fn labelled(api: &Harness, path: &str) -> usize {
    let list = api.get(&format!("{path}?labelSelector=of%3Dten")).await.expect(200);
    list["items"].as_array().expect("items").len()
}

/// Deletes the ten, and waits until that is known.
async fn without_the_ten(api: &Harness, path: &str) {
    api.delete(&format!("{path}?labelSelector=of%3Dten")).await.expect(200);
    assert_eq!(labelled(api, path).await, 0);
    let left = api.get(path).await.expect(200);
    assert_eq!(left["items"].as_array().expect("items").len(), 1);
}

#[tokio::test]
async fn mutating_configurations_are_listed_and_deleted_together() {
    let api = Harness::start().await;
    let reviewer = marking(&api).await;
    ten(&api, MUTATING, &reviewer).await;
    assert_eq!(map(&api, "m").await.expect(201)["data"]["marked"], "yes");
    assert_eq!(reviewer.asked().len(), 10);
    without_the_ten(&api, MUTATING).await;
    assert_eq!(map(&api, "n").await.expect(201)["data"], json!({ "a": "b" }));
}

#[tokio::test]
async fn validating_configurations_are_listed_and_deleted_together() {
    let api = Harness::start().await;
    let reviewer = denying(&api).await;
    ten(&api, VALIDATING, &reviewer).await;
    map(&api, "m").await.refused(403, "Forbidden");
    without_the_ten(&api, VALIDATING).await;
    map(&api, "m").await.expect(201);
}

/// Takes CREATE out of the rules of `a` by an update; then back in by a patch.
async fn only_updates(api: &Harness, path: &str) {
    let mut config = api.get(&format!("{path}/a")).await.expect(200);
    config["webhooks"][0]["rules"][0]["operations"] = json!(["UPDATE"]);
    api.put(&format!("{path}/a"), &config).await.expect(200);
    api.get(path).await.expect(200);
}

async fn creates_again(api: &Harness, path: &str) {
    let operations =
        json!([{ "op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"] }]);
    api.patch(&format!("{path}/a"), "json", &operations).await.expect(200);
    api.get(path).await.expect(200);
}

#[tokio::test]
async fn a_mutating_configuration_is_updated_and_patched() {
    let api = Harness::start().await;
    configure(&api, MUTATING, "a", json!([marking(&api).await.hook(json!({}))])).await;
    assert_eq!(map(&api, "first").await.expect(201)["data"]["marked"], "yes");
    only_updates(&api, MUTATING).await;
    assert_eq!(map(&api, "second").await.expect(201)["data"], json!({ "a": "b" }));
    creates_again(&api, MUTATING).await;
    assert_eq!(map(&api, "third").await.expect(201)["data"]["marked"], "yes");
}

#[tokio::test]
async fn a_validating_configuration_is_updated_and_patched() {
    let api = Harness::start().await;
    configure(&api, VALIDATING, "a", json!([denying(&api).await.hook(json!({}))])).await;
    map(&api, "first").await.refused(403, "Forbidden");
    only_updates(&api, VALIDATING).await;
    map(&api, "second").await.expect(201);
    creates_again(&api, VALIDATING).await;
    map(&api, "third").await.refused(403, "Forbidden");
}
