//! ReplicationControllers: scaled, adopting and releasing, failing in the open,
//! and what stays of them when they are deleted.

use k8s_openapi::api::core::v1::{Pod, ReplicationController, ResourceQuota};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tiphys_client::Cache;

use crate::harness::{Plane, cache, named, until};

fn controller(name: &str, replicas: i32) -> Value {
    let spec = json!({"containers": [{"name": "c", "image": "app:1"}]});
    // The selector is the template's labels where none is given.
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": name}}, "spec": spec}},
    })
}

async fn ready(controllers: &Cache<ReplicationController>, name: &str, count: i32) {
    until(&format!("{count} of {name} ready"), controllers, |all| {
        all.iter().any(|one| {
            let status = one.status.clone().unwrap_or_default();
            named(one, name)
                && (status.replicas, status.ready_replicas.unwrap_or(0)) == (count, count)
                && status.available_replicas.unwrap_or(0) == count
                && status.fully_labeled_replicas.unwrap_or(0) == count
                && status.observed_generation == one.metadata.generation
        })
    })
    .await;
}

fn owner(pod: &Pod) -> Option<(&str, &str)> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| (&*owner.kind, &*owner.name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replication_controller_scales_adopts_and_releases_pods() {
    let plane = Plane::start(1).await;
    let controllers = cache::<ReplicationController>(&plane.client, &plane.tasks);
    let stray = json!({
        "metadata": {"name": "stray", "namespace": "default", "labels": {"app": "old"}},
        "spec": {"containers": [{"name": "c", "image": "app:1"}]},
    });
    plane.create::<Pod>(stray).await;
    plane.create::<ReplicationController>(controller("old", 2)).await;
    ready(&controllers, "old", 2).await;
    until("adopted", &plane.pods, |pods| {
        pods.len() == 2 && pods.iter().all(|pod| owner(pod) == Some(("ReplicationController", "old")))
    })
    .await;

    let api = plane.api::<ReplicationController>();
    let scale = api.get_scale("old").await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(2));
    assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=old"));
    for count in [4, 1, 2] {
        let patch = Patch::Merge(json!({"spec": {"replicas": count}}));
        api.patch_scale("old", &PatchParams::default(), &patch).await.unwrap();
        ready(&controllers, "old", count).await;
        until("as many pods", &plane.pods, |pods| pods.len() == count as usize).await;
    }

    let released = plane.pods.list()[0].metadata.name.clone().unwrap();
    plane.patch::<Pod>(&released, json!({"metadata": {"labels": {"app": "mine"}}})).await;
    until("released and replaced", &plane.pods, |pods| {
        let free = pods.iter().any(|pod| named(pod, &released) && owner(pod).is_none());
        free && pods.len() == 3
    })
    .await;
    plane.events("SuccessfulCreate", |all| all.len() >= 4).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_a_replication_controller_exceeds_is_a_condition_until_it_fits() {
    let plane = Plane::start(1).await;
    let controllers = cache::<ReplicationController>(&plane.client, &plane.tasks);
    let quotas = cache::<ResourceQuota>(&plane.client, &plane.tasks);
    let quota = json!({"metadata": {"name": "two", "namespace": "default"}, "spec": {"hard": {"pods": "2"}}});
    plane.create::<ResourceQuota>(quota).await;
    until("the quota counts", &quotas, |all| {
        all.iter().any(|quota| quota.status.as_ref().is_some_and(|status| status.used.is_some()))
    })
    .await;
    plane.create::<ReplicationController>(controller("many", 3)).await;
    let failure = |one: &ReplicationController| {
        let conditions = one.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        conditions.into_iter().find(|condition| condition.type_ == "ReplicaFailure")
    };
    until("the failure shows", &controllers, |all| {
        all.iter().filter_map(|one| failure(one)).any(|condition| {
            condition.status == "True"
                && condition.reason.as_deref() == Some("FailedCreate")
                && condition.message.is_some_and(|message| message.contains("exceeded quota: two"))
        })
    })
    .await;
    plane.patch::<ReplicationController>("many", json!({"spec": {"replicas": 2}})).await;
    ready(&controllers, "many", 2).await;
    until("the failure is over", &controllers, |all| all.iter().all(|one| failure(one).is_none())).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_of_a_replication_controller_is_as_asked() {
    let plane = Plane::start(1).await;
    let controllers = cache::<ReplicationController>(&plane.client, &plane.tasks);
    let api = plane.api::<ReplicationController>();
    // Who says nothing keeps the Pods, as since before the garbage collector.
    let ways = [
        ("silent", DeleteParams::default(), 2),
        ("orphan", DeleteParams::orphan(), 2),
        ("background", DeleteParams::background(), 0),
        ("foreground", DeleteParams::foreground(), 0),
    ];
    for (name, ..) in &ways {
        plane.create::<ReplicationController>(controller(name, 2)).await;
    }
    for (name, ..) in &ways {
        ready(&controllers, name, 2).await;
    }
    for (name, how, _) in &ways {
        api.delete(name, how).await.unwrap();
    }
    until("all have gone", &controllers, |all| all.is_empty()).await;
    let waited = plane.api::<Pod>().list(&Default::default()).await.unwrap();
    let of = |pod: &Pod, name: &str| pod.metadata.labels.as_ref().is_some_and(|labels| labels["app"] == name);
    assert!(!waited.items.iter().any(|pod| of(pod, "foreground")), "the owner waited for its Pods");
    until("only the orphans stay, free", &plane.pods, |pods| {
        ways.iter().all(|(name, _, left)| pods.iter().filter(|pod| of(pod, name)).count() == *left)
            && pods.iter().all(|pod| owner(pod).is_none())
    })
    .await;
    plane.stop().await;
}
