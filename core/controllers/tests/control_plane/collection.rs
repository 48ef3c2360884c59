//! The garbage collector and the end of namespaces.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{ConfigMap, Namespace, Pod, Service, ServiceAccount},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams, Preconditions},
};
use serde_json::json;

use crate::harness::{Plane, cache, deployment, named, until};

#[tokio::test(flavor = "multi_thread")]
async fn dependents_follow_their_owner() {
    let plane = Plane::start(1).await;
    plane.deploy("web", 3).await;
    plane.rolled_out("web").await;
    plane.api::<Deployment>().delete("web", &DeleteParams::background()).await.unwrap();
    until("replica sets gone", &plane.sets, |all| all.is_empty()).await;
    until("pods gone", &plane.pods, |all| all.is_empty()).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreground_deletion_takes_the_dependents_first() {
    let plane = Plane::start(1).await;
    plane.deploy("web", 2).await;
    plane.rolled_out("web").await;
    plane.api::<Deployment>().delete("web", &DeleteParams::foreground()).await.unwrap();
    until("deployment gone", &plane.deployments, |all| all.is_empty()).await;
    let left = plane.api::<Pod>().list(&Default::default()).await.unwrap();
    assert!(left.items.is_empty(), "the owner waited for {} Pods", left.items.len());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_stay_and_forget_their_owner() {
    let plane = Plane::start(1).await;
    plane.deploy("web", 1).await;
    plane.rolled_out("web").await;
    plane.api::<Deployment>().delete("web", &DeleteParams::orphan()).await.unwrap();
    until("deployment gone", &plane.deployments, |all| all.is_empty()).await;
    until("forgotten", &plane.sets, |all| {
        all.len() == 1 && all[0].metadata.owner_references.as_ref().is_none_or(Vec::is_empty)
    })
    .await;
    let sets = plane.api::<ReplicaSet>().list(&Default::default()).await.unwrap().items;
    let pods = plane.api::<Pod>().list(&Default::default()).await.unwrap().items;
    assert!(sets.len() == 1 && pods.len() == 1, "{} sets, {} Pods", sets.len(), pods.len());
    let owners = pods[0].metadata.owner_references.as_ref().unwrap();
    assert_eq!(Some(&owners[0].uid), sets[0].metadata.uid.as_ref());
    assert!(sets[0].metadata.deletion_timestamp.is_none() && pods[0].metadata.deletion_timestamp.is_none());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_owner_never_was_is_deleted_and_one_with_a_living_owner_kept() {
    let plane = Plane::start(0).await;
    let maps = cache::<ConfigMap>(&plane.client, &plane.tasks);
    let owner =
        plane.create::<ConfigMap>(json!({"metadata": {"name": "owner", "namespace": "default"}})).await;
    let owned = |name: &str, uids: &[&str]| {
        let owners: Vec<_> = uids
            .iter()
            .map(|uid| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}))
            .collect();
        json!({"metadata": {"name": name, "namespace": "default", "ownerReferences": owners}})
    };
    let uid = owner.metadata.uid.unwrap();
    plane.create::<ConfigMap>(owned("kept", &[&uid, "no-such-uid"])).await;
    plane.create::<ConfigMap>(owned("lost", &["no-such-uid"])).await;
    until("settled", &maps, |all| {
        let kept = all.iter().find(|map| named(map, "kept"));
        let owners = kept.and_then(|map| map.metadata.owner_references.as_ref()).map(Vec::len);
        !all.iter().any(|map| named(map, "lost")) && owners == Some(1)
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_takes_everything_with_it() {
    let plane = Plane::start(1).await;
    let namespaces: Api<Namespace> = Api::all(plane.client.clone());
    let all = cache::<Namespace>(&plane.client, &plane.tasks);
    let maps = cache::<ConfigMap>(&plane.client, &plane.tasks);
    let namespace = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    until("the CA is there", &maps, |all| {
        let mut found = all.iter().filter(|map| map.metadata.namespace.as_deref() == Some("team"));
        found.any(|map| map.data.as_ref().is_some_and(|data| data["ca.crt"] == "the cluster's CA"))
    })
    .await;
    let accounts = cache::<ServiceAccount>(&plane.client, &plane.tasks);
    until("the account is there", &accounts, |all| {
        all.iter().any(|account| account.metadata.namespace.as_deref() == Some("team"))
    })
    .await;
    let mut web = deployment("web", 2);
    web["metadata"]["namespace"] = json!("team");
    plane.create::<Deployment>(web).await;
    until("pods run", &plane.pods, |pods| {
        pods.iter()
            .filter(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"))
            .count()
            == 2
    })
    .await;
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    until("namespace gone", &all, |all| !all.iter().any(|namespace| named(namespace, "team"))).await;
    let sets: Api<ReplicaSet> = Api::all(plane.client.clone());
    assert!(sets.list(&Default::default()).await.unwrap().items.is_empty());
    let pods: Api<Pod> = Api::all(plane.client.clone());
    assert!(pods.list(&Default::default()).await.unwrap().items.is_empty());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_are_collected_and_go_with_their_namespace() {
    let plane = Plane::start(0).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(plane.client.clone());
    let known = cache::<CustomResourceDefinition>(&plane.client, &plane.tasks);
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await.unwrap();
    until("established", &known, |all| {
        let conditions = all
            .iter()
            .filter_map(|one| one.status.as_ref())
            .flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|one| one.type_ == "Established" && one.status == "True")
    })
    .await;

    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Boat"));
    let boat = |name: &str| DynamicObject::new(name, &kind);
    let boats: Api<DynamicObject> = Api::default_namespaced_with(plane.client.clone(), &kind);
    let argo = boats.create(&PostParams::default(), &boat("argo")).await.unwrap();
    let owner =
        json!([{"apiVersion": "example.com/v1", "kind": "Boat", "name": "argo", "uid": argo.metadata.uid}]);
    let maps = cache::<ConfigMap>(&plane.client, &plane.tasks);
    plane
        .create::<ConfigMap>(
            json!({"metadata": {"name": "crew", "namespace": "default", "ownerReferences": owner}}),
        )
        .await;
    until("the crew is there", &maps, |all| all.iter().any(|map| named(map, "crew"))).await;
    boats.delete("argo", &DeleteParams::background()).await.unwrap();
    until("the crew has gone", &maps, |all| !all.iter().any(|map| named(map, "crew"))).await;

    let namespaces: Api<Namespace> = Api::all(plane.client.clone());
    let all = cache::<Namespace>(&plane.client, &plane.tasks);
    let namespace = serde_json::from_value(json!({"metadata": {"name": "port"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let there: Api<DynamicObject> = Api::namespaced_with(plane.client.clone(), "port", &kind);
    there.create(&PostParams::default(), &boat("ferry")).await.unwrap();
    namespaces.delete("port", &DeleteParams::default()).await.unwrap();
    until("namespace gone", &all, |all| !all.iter().any(|namespace| named(namespace, "port"))).await;
    let everywhere: Api<DynamicObject> = Api::all_with(plane.client.clone(), &kind);
    assert!(everywhere.list(&Default::default()).await.unwrap().items.is_empty());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_owners_is_taken_away() {
    let plane = Plane::start(0).await;
    let pod = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "app:1"}]}})
    };
    let mut uids = Vec::new();
    for name in ["a", "b", "c"] {
        uids.push(plane.create::<Pod>(pod(name)).await.metadata.uid.unwrap());
    }
    // Each waits for the next, if one only looks at one's own dependents.
    for (name, owner, uid) in [("a", "c", &uids[2]), ("b", "a", &uids[0]), ("c", "b", &uids[1])] {
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": uid,
            "controller": true, "blockOwnerDeletion": true});
        plane.patch::<Pod>(name, json!({"metadata": {"ownerReferences": [owner]}})).await;
    }
    let preconditions = Preconditions { uid: Some(uids[0].clone()), ..Preconditions::default() };
    let options = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::foreground() };
    plane.api::<Pod>().delete("a", &options).await.unwrap();
    until("the circle is gone", &plane.pods, |all| all.is_empty()).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_comes_back_empty() {
    let plane = Plane::start(1).await;
    let namespaces: Api<Namespace> = Api::all(plane.client.clone());
    let all = cache::<Namespace>(&plane.client, &plane.tasks);
    let accounts = cache::<ServiceAccount>(&plane.client, &plane.tasks);
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    until("the account is there", &accounts, |all| {
        all.iter().any(|account| account.metadata.namespace.as_deref() == Some("team"))
    })
    .await;
    let meta = json!({"name": "one", "namespace": "team"});
    plane
        .create::<Pod>(json!({"metadata": meta, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}))
        .await;
    plane
        .create::<Service>(
            json!({"metadata": meta, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}),
        )
        .await;
    until("the Pod runs", &plane.pods, |pods| {
        let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
        pods.iter().any(|pod| phase(pod).as_deref() == Some("Running"))
    })
    .await;
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    until("namespace gone", &all, |all| !all.iter().any(|namespace| named(namespace, "team"))).await;
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(plane.client.clone(), "team");
    assert!(pods.get_opt("one").await.unwrap().is_none());
    let services: Api<Service> = Api::namespaced(plane.client.clone(), "team");
    assert!(services.get_opt("one").await.unwrap().is_none());
    plane.stop().await;
}
