//! What becomes of a ReplicationController's Pods when it is deleted, in each of the ways.

use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tiphys_client::Cache;

use crate::harness::{Plane, cache, named, until};

fn controller(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"app": name}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}},
    })
}

/// A control plane with a controller whose Pods all run.
async fn running(replicas: i32) -> (Plane, Cache<ReplicationController>) {
    let plane = Plane::start(1).await;
    let controllers = cache::<ReplicationController>(&plane.client, &plane.tasks);
    plane.create::<ReplicationController>(controller("goes", replicas)).await;
    until("its Pods run", &controllers, |all| {
        let ready =
            |one: &ReplicationController| one.status.as_ref().and_then(|status| status.ready_replicas);
        all.iter().any(|one| ready(one) == Some(replicas))
    })
    .await;
    (plane, controllers)
}

async fn delete(plane: &Plane, controllers: &Cache<ReplicationController>, params: &DeleteParams) {
    plane.api::<ReplicationController>().delete("goes", params).await.unwrap();
    until("the controller is gone", controllers, |all| !all.iter().any(|one| named(one, "goes"))).await;
}

async fn pods(plane: &Plane) -> Vec<Pod> {
    plane.api::<Pod>().list(&ListParams::default()).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_background_they_follow() {
    let (plane, controllers) = running(2).await;
    delete(&plane, &controllers, &DeleteParams::background()).await;
    until("the Pods are gone", &plane.pods, |all| all.is_empty()).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_foreground_they_go_first() {
    let (plane, controllers) = running(10).await;
    delete(&plane, &controllers, &DeleteParams::foreground()).await;
    let left = pods(&plane).await;
    assert!(left.is_empty(), "it went before {} Pods", left.len());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_stay_and_forget_it() {
    let (plane, controllers) = running(10).await;
    delete(&plane, &controllers, &DeleteParams::orphan()).await;
    let left = pods(&plane).await;
    assert_eq!(left.len(), 10);
    for pod in left {
        assert!(pod.metadata.owner_references.is_none_or(|owners| owners.is_empty()));
        assert!(pod.metadata.deletion_timestamp.is_none());
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_with_another_owner_stay() {
    let (plane, controllers) = running(10).await;
    let other = plane.create::<ReplicationController>(controller("stays", 0)).await;
    let other = json!({"apiVersion": "v1", "kind": "ReplicationController", "name": "stays", "uid": other.metadata.uid});
    let mut shared: Vec<String> = Vec::new();
    for pod in pods(&plane).await.into_iter().take(5) {
        let mut owners = json!(pod.metadata.owner_references);
        owners.as_array_mut().unwrap().push(other.clone());
        let name = pod.metadata.name.unwrap();
        plane.patch::<Pod>(&name, json!({"metadata": {"ownerReferences": owners}})).await;
        shared.push(name);
    }
    delete(&plane, &controllers, &DeleteParams::foreground()).await;
    let mut left = Vec::new();
    for pod in pods(&plane).await {
        assert!(pod.metadata.deletion_timestamp.is_none());
        let owners = pod.metadata.owner_references.unwrap();
        assert_eq!(owners.iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>(), ["stays"]);
        left.push(pod.metadata.name.unwrap());
    }
    shared.sort();
    left.sort();
    assert_eq!(left, shared);
    plane.stop().await;
}
