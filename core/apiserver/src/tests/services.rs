//! Services: addresses and ports, and what every cluster has.

use serde_json::{Value, json};

use super::harness::Harness;

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

#[tokio::test]
async fn a_cluster_begins_with_its_namespaces_and_its_service() {
    let api = Harness::start().await;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease", "tiphys-system"] {
        let namespace = api.get(&format!("/api/v1/namespaces/{name}")).await.expect(200);
        assert_eq!(namespace["status"]["phase"], "Active");
    }
    let kubernetes = api.get(&format!("{SERVICES}/kubernetes")).await.expect(200);
    assert_eq!(kubernetes["spec"]["clusterIP"], "10.96.0.1");
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    let slice = api.get(slices).await.expect(200);
    assert_eq!(slice["endpoints"][0]["addresses"][0], "172.30.0.1");
    assert_eq!(slice["ports"][0]["port"], 6443);
    let version = kubernetes["metadata"]["resourceVersion"].clone();
    let api = api.restart().await;
    let again = api.get(&format!("{SERVICES}/kubernetes")).await.expect(200);
    assert_eq!(again["metadata"]["resourceVersion"], version, "a restart changes nothing");
}

#[tokio::test]
async fn addresses_are_given_kept_and_given_back() {
    let api = Harness::start().await;
    let one = api.post(SERVICES, &service("one", &json!({}))).await.expect(201);
    let address = one["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    assert!(address.starts_with("10.96."));
    let taken =
        api.post(SERVICES, &service("two", &json!({"clusterIP": address}))).await.refused(422, "Invalid");
    assert!(taken.contains("provided IP is already allocated"), "{taken}");
    let replaced = api.put(&format!("{SERVICES}/one"), &service("one", &json!({}))).await.expect(200);
    assert_eq!(replaced["spec"]["clusterIP"].as_str(), Some(address.as_str()));
    let api = api.restart().await;
    let taken = api.post(SERVICES, &service("two", &json!({"clusterIP": address}))).await;
    taken.refused(422, "Invalid");
    api.delete(&format!("{SERVICES}/one")).await.expect(200);
    api.post(SERVICES, &service("two", &json!({"clusterIP": address}))).await.expect(201);
    let headless = api.post(SERVICES, &service("three", &json!({"clusterIP": "None"}))).await.expect(201);
    assert_eq!(headless["spec"]["clusterIP"], "None");
}

#[tokio::test]
async fn node_ports_come_with_the_type_and_go_with_it() {
    let api = Harness::start().await;
    let made = api.post(SERVICES, &service("n", &json!({"type": "NodePort"}))).await.expect(201);
    let port = made["spec"]["ports"][0]["nodePort"].as_i64().expect("a port");
    assert!((30000..=32767).contains(&port));
    let wish = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    api.post(SERVICES, &service("m", &wish)).await.refused(422, "Invalid");
    let path = format!("{SERVICES}/n");
    let plain = api.patch(&path, "merge", &json!({"spec": {"type": "ClusterIP"}})).await.expect(200);
    assert_eq!(plain["spec"]["ports"][0].get("nodePort"), None);
    api.post(SERVICES, &service("m", &wish)).await.expect(201);
}

#[tokio::test]
async fn a_dry_run_takes_nothing() {
    let api = Harness::start().await;
    let wish = json!({"clusterIP": "10.96.0.77"});
    api.post(&format!("{SERVICES}?dryRun=All"), &service("one", &wish)).await.expect(201);
    api.post(SERVICES, &service("one", &wish)).await.expect(201);
}

#[tokio::test]
async fn the_service_kubernetes_comes_back() {
    let api = Harness::start().await;
    let path = format!("{SERVICES}/kubernetes");
    let before = api.get(&path).await.expect(200);
    api.delete(&path).await.expect(200);
    let back = async {
        loop {
            let answer = api.get(&path).await;
            if answer.code == 200 {
                break answer.json();
            }
            tokio::task::yield_now().await;
        }
    };
    let after = tokio::time::timeout(super::harness::LIMIT, back).await.expect("it comes back");
    assert_eq!(after["spec"]["clusterIP"], before["spec"]["clusterIP"]);
    assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
}
