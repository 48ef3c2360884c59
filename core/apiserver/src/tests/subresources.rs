//! Subresources and reviews.

use serde_json::{Value, json};

use super::harness::{DEPLOYMENTS, Harness, PODS, deployment, pod};

#[tokio::test]
async fn a_scale_reads_and_writes_replicas() {
    let api = Harness::start().await;
    api.post(DEPLOYMENTS, &deployment("web", 2)).await.expect(201);
    let path = format!("{DEPLOYMENTS}/web/scale");
    let mut scale = api.get(&path).await.expect(200);
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(2)));
    assert_eq!(scale["status"]["selector"], "app=web");
    scale["spec"]["replicas"] = 5.into();
    assert_eq!(api.put(&path, &scale).await.expect(200)["spec"]["replicas"], 5);
    api.put(&path, &scale).await.refused(409, "Conflict");
    let patched = api.patch(&path, "merge", &json!({"spec": {"replicas": 3}})).await.expect(200);
    assert_eq!(patched["spec"]["replicas"], 3);
    let object = api.get(&format!("{DEPLOYMENTS}/web")).await.expect(200);
    assert_eq!((&object["spec"]["replicas"], &object["metadata"]["generation"]), (&json!(3), &json!(3)));
    api.patch(&path, "merge", &json!({"spec": {"replicas": -1}})).await.refused(422, "Invalid");
}

#[tokio::test]
async fn a_node_comes_with_its_status_and_a_deployment_without() {
    let api = Harness::start().await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"capacity": {"cpu": "2"}}});
    let node = api.post("/api/v1/nodes", &node).await.expect(201);
    assert_eq!(node["status"]["allocatable"]["cpu"], "2");
    let mut web = deployment("web", 2);
    web["status"] = json!({"replicas": 2});
    let web = api.post(DEPLOYMENTS, &web).await.expect(201);
    assert_eq!(web["status"], json!({}));
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    let binding = |node: &str| {
        json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": "p"}, "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        })
    };
    let path = format!("{PODS}/p/binding");
    assert_eq!(api.post(&path, &binding("n1")).await.expect(201)["status"], "Success");
    let bound = api.get(&format!("{PODS}/p")).await.expect(200);
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let twice = api.post(&path, &binding("n2")).await.refused(409, "Conflict");
    assert!(twice.contains("already assigned to node \"n1\""), "{twice}");
}

#[tokio::test]
async fn an_eviction_honours_a_budget() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    api.patch(&format!("{PODS}/p/status"), "strategic-merge", &ready).await.expect(200);
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"run": "p"}}},
    });
    api.post(budgets, &budget).await.expect(201);
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    let path = format!("{PODS}/p/eviction");
    let refused = api.post(&path, &eviction).await;
    assert_eq!(refused.json()["details"]["causes"][0]["reason"], "DisruptionBudget");
    refused.refused(429, "TooManyRequests");
    // What is allowed was decided for another spec, then for this one.
    for (generation, code) in [(0, 429), (1, 201)] {
        let status = json!({"status": {"disruptionsAllowed": 1, "observedGeneration": generation}});
        api.patch(&format!("{budgets}/b/status"), "merge", &status).await.expect(200);
        assert_eq!(api.post(&path, &eviction).await.code, code);
    }
    api.get(&format!("{PODS}/p")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn an_ephemeral_container_is_added() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    let added = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "tools:1"}]}});
    let path = format!("{PODS}/p/ephemeralcontainers");
    let stored = api.patch(&path, "strategic-merge", &added).await.expect(200);
    assert_eq!(stored["spec"]["ephemeralContainers"][0]["name"], "debug");
    api.patch(&path, "merge", &json!({"spec": {"ephemeralContainers": []}})).await.refused(422, "Invalid");
}

#[tokio::test]
async fn a_pod_is_resized_through_its_subresource_alone() {
    let api = Harness::start().await;
    let mut small = pod("p");
    small["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}});
    let name = small["spec"]["containers"][0]["name"].clone();
    api.post(PODS, &small).await.expect(201);
    let sized = |cpu: &str| json!({"spec": {"containers": [{"name": name, "resources": {"requests": {"cpu": cpu}}}]}});
    let path = format!("{PODS}/p/resize");
    api.patch(&format!("{PODS}/p"), "strategic-merge", &sized("2")).await.refused(422, "Invalid");
    let resized = api.patch(&path, "strategic-merge", &sized("2")).await.expect(200);
    assert_eq!(resized["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2");
    assert_eq!(resized["metadata"]["generation"], 2);
    api.patch(&path, "strategic-merge", &sized("-2")).await.refused(422, "Invalid");
    assert_eq!(api.get(&path).await.expect(200)["kind"], "Pod");
}

#[tokio::test]
async fn a_service_account_token_is_reviewed() {
    let api = Harness::start().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    api.post(accounts, &json!({"metadata": {"name": "robot"}})).await.expect(201);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = api.post(&format!("{accounts}/robot/token"), &request).await.expect(201);
    let token = answer["status"]["token"].as_str().expect("a token").to_owned();
    let review = json!({"spec": {"token": token}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let reviewed = api.post(reviews, &review).await.expect(201);
    assert_eq!(reviewed["status"]["authenticated"], true);
    assert_eq!(reviewed["status"]["user"]["username"], "system:serviceaccount:default:robot");
}

#[tokio::test]
async fn access_is_reviewed_and_granted_by_a_binding() {
    let api = Harness::start().await;
    let ask = json!({"spec": {"user": "jane", "resourceAttributes": {
        "verb": "get", "resource": "pods", "namespace": "default"}}});
    let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    assert_eq!(api.post(reviews, &ask).await.expect(201)["status"]["allowed"], false);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
    });
    api.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", &binding)
        .await
        .expect(201);
    let granted = async {
        while api.post(reviews, &ask).await.expect(201)["status"]["allowed"] != true {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::harness::LIMIT, granted).await.expect("the binding takes effect");
}

#[tokio::test]
async fn both_versions_of_an_autoscaler_show_one_object() {
    let api = Harness::start().await;
    let old = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1, "maxReplicas": 5, "targetCPUUtilizationPercentage": 50},
    });
    let v1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    let v2 = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let made: Value = api.post(v1, &old).await.expect(201);
    assert_eq!(made["apiVersion"], "autoscaling/v1");
    let new = api.get(&format!("{v2}/h")).await.expect(200);
    assert_eq!(new["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
    let list = api.get(v1).await.expect(200);
    assert_eq!(list["items"][0]["spec"]["targetCPUUtilizationPercentage"], 50);
    let patched =
        api.patch(&format!("{v1}/h"), "merge", &json!({"spec": {"maxReplicas": 7}})).await.expect(200);
    assert_eq!(patched["spec"]["maxReplicas"], 7);
}
