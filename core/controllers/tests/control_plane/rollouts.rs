//! Deployments from creation over updates and rollbacks to their deletion.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::api::DeleteParams;
use serde_json::json;

use crate::harness::{Plane, deployment, named, until};

const REVISION: &str = "deployment.kubernetes.io/revision";

fn image(image: &str) -> serde_json::Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

fn revision(annotations: Option<&BTreeMap<String, String>>) -> String {
    annotations.and_then(|all| all.get(REVISION)).cloned().unwrap_or_default()
}

fn progressing(deployment: &Deployment) -> String {
    let conditions =
        deployment.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition.type_.as_deref() == Some("Progressing"));
    found.and_then(|condition| condition.reason).unwrap_or_default()
}

/// As the API has them: a watched copy may be behind.
async fn sets(plane: &Plane) -> Vec<ReplicaSet> {
    plane.api::<ReplicaSet>().list(&Default::default()).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_runs_on_all_nodes_and_rolls_over_and_back() {
    let plane = Plane::start(3).await;
    plane.scheduler_says("0/3 nodes are available: 3 Insufficient cpu.").await;
    plane.deploy("web", 6).await;
    let first = plane.rolled_out("web").await;
    assert_eq!(revision(first.metadata.annotations.as_ref()), "1");
    let pods = plane.api::<Pod>().list(&Default::default()).await.unwrap().items;
    let nodes: BTreeSet<_> = pods.into_iter().filter_map(|pod| pod.spec?.node_name).collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");

    plane.patch::<Deployment>("web", image("app:2")).await;
    let second = plane.rolled_out("web").await;
    assert_eq!(revision(second.metadata.annotations.as_ref()), "2");
    until("progress", &plane.deployments, |all| {
        all.iter().all(|one| progressing(one) == "NewReplicaSetAvailable")
    })
    .await;
    until("old pods gone", &plane.pods, |pods| {
        pods.len() == 6
            && pods
                .iter()
                .all(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("app:2"))
    })
    .await;

    plane.patch::<Deployment>("web", image("app:1")).await;
    let back = plane.rolled_out("web").await;
    assert_eq!(revision(back.metadata.annotations.as_ref()), "3");
    assert_eq!(sets(&plane).await.len(), 2, "the old ReplicaSet serves again");
    plane.events("ScalingReplicaSet", |all| all.iter().any(|text| text.contains("from 0 to"))).await;
    plane.events("SuccessfulCreate", |all| all.len() >= 12).await;
    plane.events("Scheduled", |all| all.len() >= 12).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_pausing_and_history() {
    let plane = Plane::start(2).await;
    plane.deploy("web", 1).await;
    plane.rolled_out("web").await;
    plane.patch::<Deployment>("web", json!({"spec": {"replicas": 5, "revisionHistoryLimit": 1}})).await;
    plane.rolled_out("web").await;
    plane.patch::<Deployment>("web", json!({"spec": {"replicas": 2}})).await;
    plane.rolled_out("web").await;
    until("scaled down", &plane.pods, |pods| pods.len() == 2).await;

    plane.patch::<Deployment>("web", json!({"spec": {"paused": true}})).await;
    let changed = plane.patch::<Deployment>("web", image("app:2")).await.metadata.generation;
    until("paused", &plane.deployments, |all| {
        all.iter().all(|one| {
            progressing(one) == "DeploymentPaused"
                && one.metadata.generation >= changed
                && one.status.as_ref().and_then(|status| status.observed_generation)
                    == one.metadata.generation
        })
    })
    .await;
    assert_eq!(sets(&plane).await.len(), 1, "no rollout while paused");
    plane.patch::<Deployment>("web", json!({"spec": {"paused": false}})).await;
    plane.rolled_out("web").await;
    for version in 3..6 {
        plane.patch::<Deployment>("web", image(&format!("app:{version}"))).await;
        plane.rolled_out("web").await;
    }
    until("history", &plane.sets, |sets| sets.len() == 2).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_does_not_get_ready_keeps_the_old_pods() {
    let plane = Plane::start(1).await;
    plane.deploy("web", 4).await;
    plane.rolled_out("web").await;
    let stuck = json!({"spec": {"progressDeadlineSeconds": 2, "template": {"metadata": {"labels": {"stuck": "yes"}}}}});
    plane.patch::<Deployment>("web", stuck).await;
    // 25 % of 4 may be missing; one surges, one replaces. A machine that stood still may see the
    // deadline pass before it has come to that.
    until("deadline", &plane.deployments, |all| {
        all.iter().all(|one| {
            let status = one.status.clone().unwrap_or_default();
            progressing(one) == "ProgressDeadlineExceeded"
                && (status.available_replicas, status.updated_replicas) == (Some(3), Some(2))
        })
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recreate_never_runs_both_versions() {
    let plane = Plane::start(1).await;
    let mut object = deployment("web", 3);
    object["spec"]["strategy"] = json!({"type": "Recreate"});
    plane.create::<Deployment>(object).await;
    plane.rolled_out("web").await;
    plane.patch::<Deployment>("web", image("app:2")).await;
    plane.rolled_out("web").await;
    let sets = sets(&plane).await;
    let of = |image: &str| {
        let set = sets.iter().find(|set| {
            let template = set.spec.template.as_ref().and_then(|template| template.spec.as_ref());
            template.and_then(|spec| spec.containers[0].image.as_deref()) == Some(image)
        });
        set.unwrap().spec.replicas
    };
    assert_eq!((of("app:1"), of("app:2")), (Some(0), Some(3)));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_set_replaces_adopts_and_releases_pods() {
    let plane = Plane::start(1).await;
    let labels = json!({"app": "solo"});
    let spec = json!({"containers": [{"name": "c", "image": "app:1"}]});
    let pod = json!({"metadata": {"name": "stray", "namespace": "default", "labels": labels}, "spec": spec});
    plane.create::<Pod>(pod).await;
    // Known everywhere: a set that has not heard of it makes both of its Pods itself at first.
    until("the stray runs", &plane.pods, |pods| {
        let phase = |pod: &Pod| pod.status.as_ref()?.phase.clone();
        pods.iter().any(|pod| named(pod, "stray") && phase(pod).as_deref() == Some("Running"))
    })
    .await;
    let set = json!({
        "metadata": {"name": "solo", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    });
    plane.create::<ReplicaSet>(set).await;
    let ready = |sets: &[std::sync::Arc<ReplicaSet>]| {
        sets.iter().any(|set| {
            named(set, "solo") && set.status.as_ref().and_then(|status| status.ready_replicas) == Some(2)
        })
    };
    until("ready", &plane.sets, ready).await;
    let pods = plane.api::<Pod>();
    let all = pods.list(&Default::default()).await.unwrap().items;
    assert_eq!(all.len(), 2, "the stray Pod was adopted");
    let stray = pods.get("stray").await.unwrap();
    assert_eq!(stray.metadata.owner_references.unwrap()[0].name, "solo");

    plane.patch::<Pod>("stray", json!({"metadata": {"labels": {"app": "other"}}})).await;
    until("released and replaced", &plane.pods, |pods| {
        let free = pods.iter().any(|pod| {
            named(pod, "stray") && pod.metadata.owner_references.as_ref().is_none_or(Vec::is_empty)
        });
        free && pods.len() == 3
    })
    .await;

    let victim =
        plane.pods.list().iter().find(|pod| !named(pod, "stray")).unwrap().metadata.name.clone().unwrap();
    plane.api::<Pod>().delete(&victim, &DeleteParams::default()).await.unwrap();
    until("deleted and replaced", &plane.pods, |pods| {
        pods.len() == 3 && !pods.iter().any(|pod| named(pod, &victim))
    })
    .await;
    plane.stop().await;
}
