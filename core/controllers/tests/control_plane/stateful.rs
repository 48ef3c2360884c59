//! StatefulSets: up in order and down in reverse, rolled to a partition and undone, with
//! claims that go or stay, left and taken over again.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus},
    core::v1::{PersistentVolumeClaim, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tiphys_client::Cache;

use crate::harness::{Plane, cache, named, until};

/// With the claim `data`.
fn stateful(name: &str, replicas: i32, more: &Value) -> Value {
    let mut set = json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "serviceName": "peers",
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "app:1"}]},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        },
    });
    set["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    set
}

fn status(set: &StatefulSet) -> StatefulSetStatus {
    set.status.clone().unwrap_or_default()
}

/// All so many Pods are ready and of the newest revision, and the status says so.
async fn settled(sets: &Cache<StatefulSet>, name: &str, replicas: i32) -> StatefulSetStatus {
    let is_settled = |set: &Arc<StatefulSet>| {
        let now = status(set);
        let figures =
            [now.ready_replicas, now.available_replicas, now.current_replicas, now.updated_replicas];
        named(set, name)
            && now.observed_generation == set.metadata.generation
            && now.replicas == replicas
            && figures.iter().all(|figure| figure.unwrap_or(0) == replicas)
            && now.current_revision == now.update_revision
    };
    until(&format!("{name} has {replicas}"), sets, |all| all.iter().any(is_settled)).await;
    status(&sets.get("default", name).unwrap())
}

fn names(pods: &[Arc<Pod>]) -> Vec<String> {
    let mut names: Vec<_> = pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect();
    names.sort_unstable();
    names
}

fn image(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.containers[0].image.as_deref()).unwrap_or_default()
}

/// Image by Pod.
fn images(pods: &[Arc<Pod>]) -> BTreeMap<String, String> {
    pods.iter().map(|pod| (pod.metadata.name.clone().unwrap(), image(pod).to_owned())).collect()
}

fn of(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|(name, image)| ((*name).to_owned(), (*image).to_owned())).collect()
}

fn with_image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_comes_up_in_order_and_goes_down_in_reverse() {
    let plane = Plane::start(2).await;
    let sets = cache::<StatefulSet>(&plane.client, &plane.tasks);
    let claims = cache::<PersistentVolumeClaim>(&plane.client, &plane.tasks);
    // Its Pods get ready only when the test says so.
    let mut web = stateful("web", 3, &json!({}));
    web["spec"]["template"]["metadata"]["labels"]["stuck"] = json!("yes");
    plane.create::<StatefulSet>(web).await;
    for number in 0..3 {
        until("one more runs", &sets, |all| {
            all.iter().any(|set| {
                status(set).replicas == number + 1 && status(set).ready_replicas.unwrap_or(0) == number
            })
        })
        .await;
        let name = format!("web-{number}");
        until("it runs", &plane.pods, |pods| {
            let runs = |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
            pods.iter().any(|pod| named(pod, &name) && runs(pod))
        })
        .await;
        assert_eq!(plane.pods.list().len() as i32, number + 1, "the next waits for {name}");
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let pods = plane.api::<Pod>();
        pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(ready)).await.unwrap();
    }
    let settled_once = settled(&sets, "web", 3).await;
    for pod in plane.pods.list() {
        let (name, labels) = (pod.metadata.name.clone().unwrap(), pod.metadata.labels.clone().unwrap());
        assert_eq!(labels["statefulset.kubernetes.io/pod-name"], name);
        assert_eq!(format!("web-{}", labels["apps.kubernetes.io/pod-index"]), name);
        assert_eq!(Some(&labels["controller-revision-hash"]), settled_once.current_revision.as_ref());
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!((spec.hostname.as_ref(), spec.subdomain.as_deref()), (Some(&name), Some("peers")));
    }
    let api = plane.api::<StatefulSet>();
    let scale = api.get_scale("web").await.unwrap().status.unwrap();
    assert_eq!((scale.replicas, scale.selector.as_deref()), (3, Some("app=web")));
    let to_one = Patch::Merge(json!({"spec": {"replicas": 1}}));
    api.patch_scale("web", &PatchParams::default(), &to_one).await.unwrap();
    settled(&sets, "web", 1).await;
    until("one Pod", &plane.pods, |pods| names(pods) == ["web-0"]).await;
    until("claims that outlive their Pods", &claims, |all| all.len() == 3).await;
    let expected = [2, 1].map(|number| format!("delete Pod web-{number} in StatefulSet web successful"));
    plane.events("SuccessfulDelete", |all| *all == expected).await;
    for said in [
        "create Claim data-web-0 Pod web-0 in StatefulSet web success",
        "create Pod web-0 in StatefulSet web successful",
    ] {
        plane.events("SuccessfulCreate", |all| all.iter().any(|message| message == said)).await;
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_stops_at_the_partition_and_can_be_undone() {
    let plane = Plane::start(2).await;
    let sets = cache::<StatefulSet>(&plane.client, &plane.tasks);
    let revisions = cache::<ControllerRevision>(&plane.client, &plane.tasks);
    plane.create::<StatefulSet>(stateful("web", 3, &json!({}))).await;
    let first = settled(&sets, "web", 3).await;
    let partition = |number: i32| json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": number}}}});
    plane.patch::<StatefulSet>("web", partition(2)).await;
    plane.patch::<StatefulSet>("web", with_image("app:2")).await;
    let split = of(&[("web-0", "app:1"), ("web-1", "app:1"), ("web-2", "app:2")]);
    until("the highest is new", &plane.pods, |pods| images(pods) == split).await;
    until("the status tells", &sets, |all| {
        let now = status(&all[0]);
        now.updated_replicas == Some(1)
            && now.current_replicas == Some(2)
            && now.ready_replicas == Some(3)
            && now.current_revision == first.current_revision
            && now.update_revision != first.update_revision
    })
    .await;
    // Below the partition a Pod comes back as it was.
    let uid = plane.pods.get("default", "web-0").unwrap().metadata.uid.clone();
    plane.api::<Pod>().delete("web-0", &DeleteParams::default()).await.unwrap();
    until("it is another one", &plane.pods, |pods| {
        images(pods) == split && pods.iter().all(|pod| pod.metadata.uid != uid)
    })
    .await;
    plane.patch::<StatefulSet>("web", partition(0)).await;
    let second = settled(&sets, "web", 3).await;
    assert_eq!(second.current_revision, second.update_revision);
    let all_new = of(&[("web-0", "app:2"), ("web-1", "app:2"), ("web-2", "app:2")]);
    until("all are new", &plane.pods, |pods| images(pods) == all_new).await;

    // What `kubectl rollout undo` sends.
    let of_first = |revision: &Arc<ControllerRevision>| revision.metadata.name == first.current_revision;
    until("the first revision", &revisions, |all| all.iter().any(of_first)).await;
    let patch = revisions.list().iter().find(|revision| of_first(revision)).unwrap().data.0.clone();
    let api = plane.api::<StatefulSet>();
    api.patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    let all_old = of(&[("web-0", "app:1"), ("web-1", "app:1"), ("web-2", "app:1")]);
    until("back again", &plane.pods, |pods| images(pods) == all_old).await;
    until("the status tells of it", &sets, |all| status(&all[0]).current_revision == first.current_revision)
        .await;
    assert_eq!(settled(&sets, "web", 3).await.current_revision, first.current_revision);
    until("the first is the newest", &revisions, |all| {
        all.len() == 2 && all.iter().any(|revision| of_first(revision) && revision.revision == Some(3))
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_go_with_the_ordinal_and_the_set_where_it_says_so() {
    let plane = Plane::start(1).await;
    let sets = cache::<StatefulSet>(&plane.client, &plane.tasks);
    let claims = cache::<PersistentVolumeClaim>(&plane.client, &plane.tasks);
    let policy = json!({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"},
        "podManagementPolicy": "Parallel"});
    plane.create::<StatefulSet>(stateful("web", 3, &policy)).await;
    plane.create::<StatefulSet>(stateful("kept", 1, &json!({}))).await;
    settled(&sets, "web", 3).await;
    settled(&sets, "kept", 1).await;
    let there = |all: &[Arc<PersistentVolumeClaim>], expected: &[&str]| {
        let mut names: Vec<_> = all.iter().filter_map(|claim| claim.metadata.name.as_deref()).collect();
        names.sort_unstable();
        names == expected
    };
    until("all claims", &claims, |all| {
        there(all, &["data-kept-0", "data-web-0", "data-web-1", "data-web-2"])
    })
    .await;
    plane.patch::<StatefulSet>("web", json!({"spec": {"replicas": 1}})).await;
    until("only one of web's", &claims, |all| there(all, &["data-kept-0", "data-web-0"])).await;
    plane.patch::<StatefulSet>("web", json!({"spec": {"replicas": 2}})).await;
    settled(&sets, "web", 2).await;
    for name in ["web", "kept"] {
        plane.api::<StatefulSet>().delete(name, &DeleteParams::background()).await.unwrap();
    }
    until("the kept one", &claims, |all| there(all, &["data-kept-0"])).await;
    until("no Pods", &plane.pods, |pods| pods.is_empty()).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_set_leaves_another_takes_over() {
    let plane = Plane::start(1).await;
    let sets = cache::<StatefulSet>(&plane.client, &plane.tasks);
    let budgets = cache::<PodDisruptionBudget>(&plane.client, &plane.tasks);
    plane.create::<StatefulSet>(stateful("web", 2, &json!({}))).await;
    settled(&sets, "web", 2).await;
    let budget = json!({"metadata": {"name": "web", "namespace": "default"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    plane.create::<PodDisruptionBudget>(budget).await;
    until("one of two may go", &budgets, |all| {
        let status = all.first().and_then(|budget| budget.status.clone()).unwrap_or_default();
        (status.expected_pods, status.disruptions_allowed) == (Some(2), Some(1))
    })
    .await;
    plane.api::<StatefulSet>().delete("web", &DeleteParams::orphan()).await.unwrap();
    until("the set is gone", &sets, |all| all.is_empty()).await;
    let free = |pod: &Arc<Pod>| pod.metadata.owner_references.as_ref().is_none_or(Vec::is_empty);
    until("its Pods are free", &plane.pods, |pods| pods.len() == 2 && pods.iter().all(free)).await;
    let uids = |pods: &[Arc<Pod>]| pods.iter().map(|pod| pod.metadata.uid.clone()).collect::<Vec<_>>();
    let before = uids(&plane.pods.list());
    // One has lost the label by which it says which one it is.
    let lost = json!({"metadata": {"labels": {"statefulset.kubernetes.io/pod-name": null}}});
    plane.patch::<Pod>("web-1", lost).await;
    plane.create::<StatefulSet>(stateful("web", 3, &json!({}))).await;
    settled(&sets, "web", 3).await;
    until("taken over", &plane.pods, |pods| {
        pods.iter().all(|pod| {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            !free(pod) && labels.get("statefulset.kubernetes.io/pod-name") == pod.metadata.name.as_ref()
        })
    })
    .await;
    let after = uids(&plane.pods.list());
    assert!(before.iter().all(|uid| after.contains(uid)), "the same Pods: {before:?} {after:?}");
    plane.stop().await;
}
