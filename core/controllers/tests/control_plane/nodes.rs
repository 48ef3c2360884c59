//! Nodes: their address ranges, their taints, and what becomes of their Pods.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

use crate::harness::{Plane, cache, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_node_gets_a_range_of_its_own() {
    let plane = Plane::start(8).await;
    let nodes = cache::<Node>(&plane.client, &plane.tasks);
    let range = |node: &std::sync::Arc<Node>| node.spec.as_ref()?.pod_cidr.clone();
    until("ranges", &nodes, |all| all.len() == 8 && all.iter().all(|node| range(node).is_some())).await;
    let ranges: BTreeSet<_> = nodes.list().iter().filter_map(range).collect();
    assert_eq!(ranges.len(), 8, "{ranges:?}");
    assert!(ranges.iter().all(|range| range.starts_with("10.244.") && range.ends_with("/24")));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_ready_is_tainted_and_its_pods_move() {
    let plane = Plane::start(2).await;
    plane.deploy("web", 4).await;
    plane.rolled_out("web").await;
    let taint = json!({"spec": {"taints": [{"key": "broken", "effect": "NoExecute"}]}});
    let nodes: Api<Node> = Api::all(plane.client.clone());
    nodes.patch("node-0", &PatchParams::default(), &Patch::Merge(taint)).await.unwrap();
    until("all on the other node", &plane.pods, |pods| {
        pods.len() == 4
            && pods.iter().all(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some("node-1"))
    })
    .await;

    let all = cache::<Node>(&plane.client, &plane.tasks);
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    nodes.patch_status("node-1", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    until("taints of its condition", &all, |nodes| {
        let node = nodes.iter().find(|node| node.metadata.name.as_deref() == Some("node-1"));
        let taints = node.and_then(|node| node.spec.as_ref()?.taints.clone()).unwrap_or_default();
        let of = |effect: &str| {
            taints.iter().any(|taint| taint.key == "node.kubernetes.io/not-ready" && taint.effect == effect)
        };
        of("NoSchedule") && of("NoExecute")
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cordoning_keeps_new_pods_away_and_draining_moves_them() {
    let plane = Plane::start(2).await;
    let nodes: Api<Node> = Api::all(plane.client.clone());
    let cordon = json!({"spec": {"unschedulable": true}});
    nodes.patch("node-0", &PatchParams::default(), &Patch::Merge(cordon)).await.unwrap();
    let all = cache::<Node>(&plane.client, &plane.tasks);
    until("cordoned", &all, |nodes| {
        nodes.iter().any(|node| {
            node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_some_and(|taints| {
                taints.iter().any(|taint| taint.key == "node.kubernetes.io/unschedulable")
            })
        })
    })
    .await;
    plane.scheduler_says("unschedulable").await;
    plane.deploy("web", 3).await;
    plane.rolled_out("web").await;
    let pods = plane.api::<Pod>().list(&Default::default()).await.unwrap().items;
    let on_other = |pod: &Pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some("node-1");
    assert!(pods.len() == 3 && pods.iter().all(on_other), "{pods:?}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unbound_pod_that_is_deleted_goes_at_once() {
    let plane = Plane::start(0).await;
    let pod = json!({"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    plane.create::<Pod>(pod).await;
    until("there", &plane.pods, |pods| pods.len() == 1).await;
    plane.api::<Pod>().delete("p", &DeleteParams::default()).await.unwrap();
    until("gone", &plane.pods, |pods| pods.is_empty()).await;
    plane.stop().await;
}
