//! Server-side apply through the API.

use http::Method;
use serde_json::{Value, json};

use super::harness::{Answer, DEPLOYMENTS, Harness, MAPS, deployment};

async fn apply(api: &Harness, path: &str, manager: &str, more: &str, config: &Value) -> Answer {
    let path = format!("{path}?fieldManager={manager}{more}");
    api.call(Method::PATCH, &path, "application/apply-patch+yaml", "", config.to_string()).await
}

fn config(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

#[tokio::test]
async fn apply_creates_changes_and_takes_away() {
    let api = Harness::start().await;
    let path = format!("{MAPS}/a");
    let made = apply(&api, &path, "one", "", &config(&json!({"k": "1", "l": "1"}))).await.expect(201);
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Apply");
    let same = apply(&api, &path, "one", "", &config(&json!({"k": "1", "l": "1"}))).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let less = apply(&api, &path, "one", "", &config(&json!({"k": "2"}))).await.expect(200);
    assert_eq!(less["data"], json!({"k": "2"}));
}

#[tokio::test]
async fn a_field_of_another_manager_is_a_conflict() {
    let api = Harness::start().await;
    let path = format!("{MAPS}/a");
    apply(&api, &path, "one", "", &config(&json!({"k": "1"}))).await.expect(201);
    let refused = apply(&api, &path, "two", "", &config(&json!({"k": "2"}))).await;
    assert_eq!(refused.json()["details"]["causes"][0]["field"], ".data.k");
    refused.refused(409, "Conflict");
    let forced = apply(&api, &path, "two", "&force=true", &config(&json!({"k": "2"}))).await.expect(200);
    assert_eq!(forced["data"]["k"], "2");
    let nameless = api.call(Method::PATCH, &path, "application/apply-patch+yaml", "", "{}").await;
    nameless.refused(422, "Invalid");
}

#[tokio::test]
async fn an_applied_deployment_is_defaulted_and_stays() {
    let api = Harness::start().await;
    let path = format!("{DEPLOYMENTS}/web");
    let made =
        apply(&api, &path, "kubectl", "&fieldValidation=Strict", &deployment("web", 2)).await.expect(201);
    assert_eq!(made["spec"]["strategy"]["type"], "RollingUpdate");
    let same = apply(&api, &path, "kubectl", "", &deployment("web", 2)).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let more = apply(&api, &path, "kubectl", "", &deployment("web", 3)).await.expect(200);
    assert_eq!(more["metadata"]["generation"], 2);
}
