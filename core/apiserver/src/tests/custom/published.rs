//! What the documents of OpenAPI tell of defined kinds as their definitions change.

use serde_json::{Value, json};

use super::{DEFINITIONS, crontabs, define, schema, versions::two_versions};
use crate::tests::harness::Harness;

const OWN: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crontabs.stable.example.com";

/// The schema of a kind in both forms of the document, if it is in both; what is in one alone is not
/// settled yet.
async fn published(api: &Harness, group: &str, version: &str, kind: &str) -> Option<Value> {
    let reversed: Vec<&str> = group.rsplit('.').collect();
    let name = format!("{}.{version}.{kind}", reversed.join("."));
    let second = api.get("/openapi/v2").await.expect(200)["definitions"][&name].take();
    let index = api.get("/openapi/v3").await.expect(200);
    let url = index["paths"][format!("apis/{group}/{version}")]["serverRelativeURL"].as_str()?.to_owned();
    let third = api.get(&url).await.expect(200)["components"]["schemas"][&name].take();
    let kinds = [&second, &third].map(|schema| &schema["x-kubernetes-group-version-kind"][0]["kind"]);
    (kinds == [kind, kind]).then_some(third)
}

/// No document has it.
async fn gone(api: &Harness, group: &str, version: &str, kind: &str) -> bool {
    let name = format!("{}.{version}.{kind}", group.rsplit('.').collect::<Vec<_>>().join("."));
    let mentioned = async |path: &str| api.get(path).await.text.contains(&format!("\"{name}\""));
    let index = api.get("/openapi/v3").await.expect(200);
    let third = match index["paths"][format!("apis/{group}/{version}")]["serverRelativeURL"].as_str() {
        Some(url) => mentioned(url).await,
        None => false,
    };
    !third && !mentioned("/openapi/v2").await
}

async fn appears(api: &Harness, group: &str, version: &str, kind: &str) {
    api.eventually(|| async { published(api, group, version, kind).await.is_some() }).await;
}

/// A definition of another group, kind and set of versions.
fn definition(group: &str, kind: &str, versions: &[&str]) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    let version = |(number, name): (usize, &&str)| json!({ "name": name, "served": true, "storage": number == 0, "schema": { "openAPIV3Schema": schema() } });
    let versions: Vec<Value> = versions.iter().enumerate().map(version).collect();
    json!({
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": { "group": group, "scope": "Namespaced", "names": { "plural": plural, "kind": kind },
                  "versions": versions },
    })
}

#[tokio::test]
async fn a_version_that_is_served_no_more_is_not_published() {
    let api = Harness::start().await;
    define(&api, &two_versions()).await;
    appears(&api, "stable.example.com", "v1", "CronTab").await;
    appears(&api, "stable.example.com", "v2", "CronTab").await;
    let before = published(&api, "stable.example.com", "v2", "CronTab").await;
    let patch = json!([{ "op": "replace", "path": "/spec/versions/0/served", "value": false }]);
    api.patch(OWN, "json", &patch).await.expect(200);
    api.eventually(|| async { gone(&api, "stable.example.com", "v1", "CronTab").await }).await;
    assert_eq!(published(&api, "stable.example.com", "v2", "CronTab").await, before);
}

#[tokio::test]
async fn a_renamed_version_is_published_by_its_new_name() {
    let api = Harness::start().await;
    define(&api, &two_versions()).await;
    appears(&api, "stable.example.com", "v1", "CronTab").await;
    appears(&api, "stable.example.com", "v2", "CronTab").await;
    let before = published(&api, "stable.example.com", "v2", "CronTab").await;
    let patch = json!([{ "op": "replace", "path": "/spec/versions/0/name", "value": "v4" }]);
    api.patch(OWN, "json", &patch).await.expect(200);
    appears(&api, "stable.example.com", "v4", "CronTab").await;
    api.eventually(|| async { gone(&api, "stable.example.com", "v1", "CronTab").await }).await;
    assert_eq!(published(&api, "stable.example.com", "v2", "CronTab").await, before);
}

/// Defines all, and waits until each version of each is published and gone with its definition.
async fn come_and_go(definitions: &[Value]) {
    let api = Harness::start().await;
    let mut all = Vec::new();
    for definition in definitions {
        define(&api, definition).await;
        let text = |pointer: &str| definition.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        for version in definition["spec"]["versions"].as_array().unwrap() {
            let version = version["name"].as_str().unwrap().to_owned();
            all.push((text("/spec/group"), version, text("/spec/names/kind")));
        }
    }
    for (group, version, kind) in &all {
        appears(&api, group, version, kind).await;
        let schema = published(&api, group, version, kind).await.expect("still published");
        assert_eq!(schema["properties"]["spec"]["properties"]["replicas"]["maximum"].as_f64(), Some(9.0));
    }
    for definition in definitions {
        let name = definition["metadata"]["name"].as_str().unwrap();
        api.delete(&format!("{DEFINITIONS}/{name}")).await.expect(200);
    }
    for (group, version, kind) in &all {
        api.eventually(|| async { gone(&api, group, version, kind).await }).await;
    }
}

#[tokio::test]
async fn definitions_of_several_groups_are_published() {
    come_and_go(&[crontabs(), definition("other.example.com", "Boat", &["v1"])]).await;
}

#[tokio::test]
async fn kinds_of_one_version_are_published() {
    come_and_go(&[crontabs(), definition("stable.example.com", "Boat", &["v1"])]).await;
}

#[tokio::test]
async fn versions_of_one_group_are_published() {
    let several = definition("stable.example.com", "Boat", &["v2", "v3"]);
    come_and_go(&[several, definition("stable.example.com", "Raft", &["v4"]), crontabs()]).await;
}
