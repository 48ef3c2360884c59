//! What webhooks change: one after the other, before defaults and pruning, of any kind and version.

use serde_json::{Value, json};

use super::{MUTATING, configure, map};
use crate::tests::{
    custom::{CRONTABS, DEFINITIONS, crontab, versions::two_versions, with_crontabs},
    harness::{Harness, PODS, pod},
    reviewer::{Reviewer, allow, patch},
};

/// Two webhooks: each adds its key at a place when it finds the one before.
async fn stages(api: &Harness, at: &'static str, rules: Option<Value>) -> Value {
    let stage = |found: &'static str, added: &'static str| {
        Reviewer::start(&api.tasks, move |request| {
            match request["object"].pointer(&format!("{at}/{found}")).is_some() {
                true => patch(json!([{ "op": "add", "path": format!("{at}/{added}"), "value": "yes" }])),
                false => allow(),
            }
        })
    };
    let (first, second) = (stage("start", "first").await, stage("first", "second").await);
    let hook = |reviewer: &Reviewer, name: &str| {
        let mut hook = reviewer.hook(json!({ "name": name }));
        if let Some(rules) = &rules {
            hook["rules"] = rules.clone();
        }
        hook
    };
    json!([hook(&first, "first.team.example"), hook(&second, "second.team.example")])
}

fn crontab_rules() -> Value {
    json!([{ "operations": ["CREATE", "UPDATE"], "apiGroups": ["stable.example.com"], "apiVersions": ["*"],
             "resources": ["crontabs"] }])
}

#[tokio::test]
async fn a_webhook_sees_what_the_one_before_has_made() {
    let api = Harness::start().await;
    configure(&api, MUTATING, "a", stages(&api, "/data", None).await).await;
    let made = api
        .post(
            crate::tests::harness::MAPS,
            &json!({ "metadata": { "name": "m" }, "data": { "start": "yes" } }),
        )
        .await
        .expect(201);
    assert_eq!(made["data"], json!({ "start": "yes", "first": "yes", "second": "yes" }));
    assert_eq!(map(&api, "n").await.expect(201)["data"], json!({ "a": "b" }));
}

#[tokio::test]
async fn all_but_one_name_are_changed() {
    let api = Harness::start().await;
    let reviewer = Reviewer::start(&api.tasks, |_| {
        patch(json!([{ "op": "add", "path": "/data/marked", "value": "yes" }]))
    })
    .await;
    let conditions = json!([{ "name": "not-this", "expression": "object.metadata.name != 'skip-me'" }]);
    configure(&api, MUTATING, "a", json!([reviewer.hook(json!({ "matchConditions": conditions }))])).await;
    assert_eq!(map(&api, "skip-me").await.expect(201)["data"], json!({ "a": "b" }));
    assert_eq!(map(&api, "m").await.expect(201)["data"], json!({ "a": "b", "marked": "yes" }));
}

#[tokio::test]
async fn what_a_webhook_adds_to_a_pod_is_defaulted() {
    let api = Harness::start().await;
    let reviewer = Reviewer::start(&api.tasks, |_| {
        let added = json!([{ "name": "added", "image": "web:1" }]);
        patch(json!([{ "op": "add", "path": "/spec/initContainers", "value": added }]))
    })
    .await;
    let rules = json!([{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"] }]);
    configure(&api, MUTATING, "a", json!([reviewer.hook(json!({ "rules": rules }))])).await;
    let made = api.post(PODS, &pod("p")).await.expect(201);
    let added = &made["spec"]["initContainers"];
    assert_eq!(added.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&added[0]["name"], &added[0]["terminationMessagePolicy"], &added[0]["imagePullPolicy"]),
        (&json!("added"), &json!("File"), &json!("IfNotPresent"))
    );
}

#[tokio::test]
async fn custom_objects_are_changed() {
    let api = with_crontabs().await;
    configure(&api, MUTATING, "a", stages(&api, "/spec/free", Some(crontab_rules())).await).await;
    let start = json!({ "cron": "1", "free": { "start": "yes" } });
    let made = api.post(CRONTABS, &crontab("a", start)).await.expect(201);
    assert_eq!(made["spec"]["free"], json!({ "start": "yes", "first": "yes", "second": "yes" }));
    assert_eq!(api.get(&format!("{CRONTABS}/a")).await.expect(200)["spec"], made["spec"]);
}

#[tokio::test]
async fn what_a_webhook_adds_beside_the_schema_is_pruned() {
    let api = with_crontabs().await;
    let reviewer = Reviewer::start(&api.tasks, |_| {
        patch(json!([
            { "op": "add", "path": "/spec/image", "value": "added" },
            { "op": "add", "path": "/spec/strange", "value": "added" },
        ]))
    })
    .await;
    configure(&api, MUTATING, "a", json!([reviewer.hook(json!({ "rules": crontab_rules() }))])).await;
    let made = api.post(CRONTABS, &crontab("a", json!({ "cron": "1" }))).await.expect(201);
    assert_eq!(made["spec"], json!({ "cron": "1", "image": "added", "replicas": 1 }));
    assert_eq!(api.get(&format!("{CRONTABS}/a")).await.expect(200)["spec"], made["spec"]);
}

#[tokio::test]
async fn custom_objects_are_changed_after_their_storage_version_has() {
    let api = with_crontabs().await;
    configure(&api, MUTATING, "a", stages(&api, "/spec/free", Some(crontab_rules())).await).await;
    api.post(CRONTABS, &crontab("a", json!({ "cron": "1", "free": {} }))).await.expect(201);
    let mut definition = two_versions();
    definition["spec"]["versions"][0]["deprecated"] = json!(false);
    let own = format!("{DEFINITIONS}/crontabs.stable.example.com");
    let changed = api.patch(&own, "merge", &json!({ "spec": definition["spec"] })).await.expect(200);
    assert_eq!(changed["status"]["storedVersions"], json!(["v1", "v2"]));
    let second = CRONTABS.replace("/v1/", "/v2/");
    api.eventually(|| async { api.get(&second).await.code == 200 }).await;
    for (path, replicas) in [(CRONTABS, 2), (second.as_str(), 3)] {
        let change = json!({ "spec": { "replicas": replicas, "free": { "start": "yes", "first": null, "second": null } } });
        let patched = api.patch(&format!("{path}/a"), "merge", &change).await.expect(200);
        assert_eq!(patched["spec"]["replicas"], replicas);
        assert_eq!(patched["spec"]["free"], json!({ "start": "yes", "first": "yes", "second": "yes" }));
    }
}
