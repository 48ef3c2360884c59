//! delete and deletecollection: grace, finalizers, preconditions.

use http::Method;
use serde_json::json;

use super::harness::{DEPLOYMENTS, Harness, MAPS, PODS, deployment, event, pod};

#[tokio::test]
async fn an_object_goes_at_once_and_says_so() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({}), json!({})).await;
    let status = api.delete(&format!("{MAPS}/a")).await.expect(200);
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(status["details"]["uid"], made["metadata"]["uid"]);
    api.delete(&format!("{MAPS}/a")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn preconditions_protect_another_object_of_the_same_name() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({})).await;
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}});
    let path = format!("{MAPS}/a");
    let answer = api.call(Method::DELETE, &path, "application/json", "", options.to_string()).await;
    assert!(answer.refused(409, "Conflict").contains("Precondition failed: UID"));
    api.get(&path).await.expect(200);
}

#[tokio::test]
async fn a_bound_pod_waits_for_its_kubelet() {
    let api = Harness::start().await;
    let mut bound = pod("p");
    bound["spec"]["nodeName"] = "n1".into();
    let made = api.post(PODS, &bound).await.expect(201);
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.watch(&format!("{PODS}?watch=1&resourceVersion={version}")).await;
    let marked = api.delete(&format!("{PODS}/p")).await.expect(200);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    api.get(&format!("{PODS}/p")).await.expect(200);
    assert_eq!(watch.event().await, event("MODIFIED", "p"));
    api.delete(&format!("{PODS}/p?gracePeriodSeconds=0")).await.expect(200);
    assert_eq!(watch.event().await, event("DELETED", "p"));
    api.get(&format!("{PODS}/p")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_pod_without_a_node_goes_at_once() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    assert_eq!(api.delete(&format!("{PODS}/p")).await.expect(200)["kind"], "Pod");
    api.get(&format!("{PODS}/p")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let api = Harness::start().await;
    let held = json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}});
    api.post(MAPS, &held).await.expect(201);
    let path = format!("{MAPS}/a");
    let marked = api.delete(&path).await.expect(200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    api.patch(&path, "merge", &more).await.refused(422, "Invalid");
    api.patch(&path, "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    api.get(&path).await.refused(404, "NotFound");
}

#[tokio::test]
async fn propagation_is_left_to_the_garbage_collector() {
    let api = Harness::start().await;
    for (name, policy, finalizer) in [("f", "Foreground", "foregroundDeletion"), ("o", "Orphan", "orphan")] {
        api.post(DEPLOYMENTS, &deployment(name, 1)).await.expect(201);
        let marked =
            api.delete(&format!("{DEPLOYMENTS}/{name}?propagationPolicy={policy}")).await.expect(200);
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
    }
    api.delete(&format!("{DEPLOYMENTS}/f?propagationPolicy=Sometimes")).await.refused(422, "Invalid");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let api = Harness::start().await;
    api.config_map("a", json!({"x": "1"}), json!({})).await;
    api.config_map("b", json!({"x": "1"}), json!({})).await;
    api.config_map("c", json!({}), json!({})).await;
    api.delete(&format!("{MAPS}?labelSelector=x%3D1")).await.expect(200);
    api.get(&format!("{MAPS}/a")).await.refused(404, "NotFound");
    api.get(&format!("{MAPS}/c")).await.expect(200);
    api.delete("/api/v1/configmaps").await.refused(405, "MethodNotAllowed");
}

#[tokio::test]
async fn a_namespace_goes_through_finalize() {
    let api = Harness::start().await;
    api.post("/api/v1/namespaces", &json!({"metadata": {"name": "n"}})).await.expect(201);
    let marked = api.delete("/api/v1/namespaces/n").await.expect(200);
    assert_eq!(marked["status"]["phase"], "Terminating");
    let refused = api.post("/api/v1/namespaces/n/configmaps", &json!({"metadata": {"name": "a"}})).await;
    assert_eq!(refused.code, 403, "{}", refused.text);
    let mut done = marked.clone();
    done["spec"]["finalizers"] = json!([]);
    api.put("/api/v1/namespaces/n/finalize", &done).await.expect(200);
    api.get("/api/v1/namespaces/n").await.refused(404, "NotFound");
}
