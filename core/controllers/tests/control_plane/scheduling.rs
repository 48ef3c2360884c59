//! Pods that don't fit say why, and are placed when they do.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::harness::{Plane, named, until};

fn pod(name: &str, cpu: &str, more: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "c", "image": "app:1",
        "resources": {"requests": {"cpu": cpu}}}]});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_does_not_fit_says_why_and_waits_for_room() {
    let plane = Plane::start(3).await;
    plane.create::<Pod>(pod("large", "8", json!({}))).await;
    let message = |name: &'static str| {
        move |pods: &[std::sync::Arc<Pod>]| {
            let pod = pods.iter().find(|pod| named(pod, name));
            let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.clone()).unwrap_or_default();
            let scheduled = conditions.into_iter().find(|condition| condition.type_ == "PodScheduled");
            scheduled.is_some_and(|condition| {
                condition.reason.as_deref() == Some("Unschedulable")
                    && condition.message.as_deref() == Some("0/3 nodes are available: 3 Insufficient cpu.")
            })
        }
    };
    until("reason", &plane.pods, message("large")).await;
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(plane.client.clone());
    let grown = json!({"status": {"allocatable": {"cpu": "16", "memory": "8Gi", "pods": "110"}}});
    nodes.patch_status("node-1", &Default::default(), &kube::api::Patch::Merge(grown)).await.unwrap();
    until("placed", &plane.pods, |pods| {
        pods.iter().any(|pod| {
            named(pod, "large") && pod.spec.as_ref().unwrap().node_name.as_deref() == Some("node-1")
        })
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_pods_fill_ten_nodes_evenly() {
    let plane = Plane::start(10).await;
    plane.scheduler_says("0/10 nodes are available: 10 Insufficient cpu.").await;
    plane.deploy("many", 200).await;
    plane.rolled_out("many").await;
    let mut counts = std::collections::BTreeMap::new();
    for pod in plane.api::<Pod>().list(&Default::default()).await.unwrap().items {
        *counts.entry(pod.spec.unwrap().node_name).or_insert(0) += 1;
    }
    assert!(counts.len() == 10 && counts.values().all(|count| *count == 20), "{counts:?}");
    plane.stop().await;
}
