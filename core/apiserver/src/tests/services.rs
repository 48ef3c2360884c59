//! Services: addresses and ports, and what every cluster has.

use serde_json::{Value, json};

use tiphys_store::Txn;

use super::harness::{Harness, LIMIT, event};

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

#[tokio::test]
async fn what_another_server_gave_away_is_taken() {
    let api = Harness::start().await;
    // As another server writes it: into the store, not through this one.
    let theirs = service(
        "theirs",
        &json!({"type": "NodePort", "clusterIP": "10.96.0.77",
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30777}]}),
    );
    let mut theirs = theirs;
    theirs["metadata"] = json!({"name": "theirs", "namespace": "default", "uid": "u-1"});
    let mut watch = api.watch(&format!("{SERVICES}?watch=1&fieldSelector=metadata.name%3Dtheirs")).await;
    let key = "/registry/services/default/theirs";
    api.store.transact(Txn::create(key, theirs.to_string(), None)).await.expect("written");
    assert_eq!(watch.event().await, event("ADDED", "theirs"));
    let wish = json!({"type": "NodePort", "clusterIP": "10.96.0.77"});
    refused_soon(&api, "address", &wish).await;
    let wish = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30777}]});
    refused_soon(&api, "port", &wish).await;
    api.store.transact(Txn::delete(key)).await.expect("deleted");
    assert_eq!(watch.event().await, event("DELETED", "theirs"));
    let again = json!({"clusterIP": "10.96.0.77"});
    within(async {
        while api.post(SERVICES, &service("again", &again)).await.code != 201 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The pools follow the watch that was seen above, in their own time.
async fn refused_soon(api: &Harness, name: &str, wish: &Value) {
    within(async {
        loop {
            let answer = api.post(SERVICES, &service(name, wish)).await;
            if answer.code == 422 {
                assert!(answer.text.contains("is already allocated"), "{}", answer.text);
                return;
            }
            answer.expect(201);
            api.delete(&format!("{SERVICES}/{name}")).await.expect(200);
        }
    })
    .await;
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("done in time")
}
