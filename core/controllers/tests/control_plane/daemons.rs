//! DaemonSets over Nodes that come, get tainted and are updated.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet},
    core::v1::{Node, Pod},
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tiphys_client::Cache;

use crate::harness::{Plane, cache, until};

fn daemon() -> serde_json::Value {
    json!({
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "c", "image": "agent:1"}]},
            },
        },
    })
}

async fn available(sets: &Cache<DaemonSet>, desired: i32) {
    until("daemons available", sets, |all| {
        let [set] = all else { return false };
        let status = set.status.clone().unwrap_or_default();
        status.desired_number_scheduled == desired
            && status.number_available.unwrap_or(0) == desired
            && status.updated_number_scheduled.unwrap_or(0) == desired
            && status.observed_generation == set.metadata.generation
    })
    .await;
}

fn images(pods: &[Arc<Pod>]) -> Vec<String> {
    pods.iter().filter_map(|pod| pod.spec.as_ref()?.containers[0].image.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_runs_on_every_node_and_is_updated() {
    let plane = Plane::start(3).await;
    let sets = cache::<DaemonSet>(&plane.client, &plane.tasks);
    plane.create::<DaemonSet>(daemon()).await;
    available(&sets, 3).await;
    // Watched copies do without what only the API server needs.
    let stored =
        Api::<Pod>::default_namespaced(plane.client.clone()).list(&Default::default()).await.unwrap();
    assert!(stored.items.iter().all(|pod| pod.metadata.managed_fields.is_some()));
    assert!(plane.pods.list().iter().all(|pod| pod.metadata.managed_fields.is_none()));
    plane.add_node("node-3").await;
    available(&sets, 4).await;

    let nodes: Api<Node> = Api::all(plane.client.clone());
    let taint = json!({"spec": {"taints": [{"key": "maintenance", "effect": "NoExecute"}]}});
    nodes.patch("node-3", &PatchParams::default(), &Patch::Merge(taint)).await.unwrap();
    available(&sets, 3).await;
    until("driven out", &plane.pods, |pods| pods.len() == 3).await;

    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "agent:2"}]}}}});
    plane.patch::<DaemonSet>("agent", image).await;
    available(&sets, 3).await;
    until("updated", &plane.pods, |pods| images(pods) == ["agent:2"; 3]).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_takes_the_template_of_an_earlier_revision() {
    let plane = Plane::start(1).await;
    let sets = cache::<DaemonSet>(&plane.client, &plane.tasks);
    let revisions = cache::<ControllerRevision>(&plane.client, &plane.tasks);
    let numbers = |all: &[Arc<ControllerRevision>]| {
        let mut numbers: Vec<_> = all.iter().filter_map(|revision| revision.revision).collect();
        numbers.sort_unstable();
        numbers
    };
    plane.create::<DaemonSet>(daemon()).await;
    available(&sets, 1).await;
    until("the first revision", &revisions, |all| numbers(all) == [1]).await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "agent:2"}]}}}});
    plane.patch::<DaemonSet>("agent", image).await;
    until("the second revision", &revisions, |all| numbers(all) == [1, 2]).await;
    until("updated", &plane.pods, |pods| images(pods) == ["agent:2"]).await;

    // What `kubectl rollout undo` sends.
    let first =
        revisions.list().into_iter().find(|revision| revision.revision == Some(1)).expect("the first");
    let patch = first.data.0.clone();
    let api: Api<DaemonSet> = Api::namespaced(plane.client.clone(), "default");
    api.patch("agent", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    until("the first is the newest", &revisions, |all| numbers(all) == [2, 3]).await;
    until("back again", &plane.pods, |pods| images(pods) == ["agent:1"]).await;
    available(&sets, 1).await;
    plane.stop().await;
}
