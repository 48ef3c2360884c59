//! Endpoints of Services follow their Pods.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Endpoints, Service},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::api::DeleteParams;
use serde_json::json;

use crate::harness::{Plane, cache, named, until};

fn ready(slices: &[Arc<EndpointSlice>], service: &str) -> usize {
    let own = slices.iter().filter(|slice| {
        slice
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("kubernetes.io/service-name"))
            .map(String::as_str)
            == Some(service)
    });
    let endpoints = own.flat_map(|slice| slice.endpoints.iter().flatten());
    endpoints.filter(|endpoint| endpoint.conditions.as_ref().and_then(|c| c.ready) == Some(true)).count()
}

/// Since when what is written there was waited for.
fn trigger(metadata: &ObjectMeta) -> Option<String> {
    metadata.annotations.as_ref()?.get("endpoints.kubernetes.io/last-change-trigger-time").cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_and_endpoints_follow_the_pods_of_a_service() {
    let plane = Plane::start(2).await;
    let slices = cache::<EndpointSlice>(&plane.client, &plane.tasks);
    let endpoints = cache::<Endpoints>(&plane.client, &plane.tasks);
    let service = json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    let made = plane.create::<Service>(service).await;
    let created = made.metadata.creation_timestamp.map(|time| time.0.to_string());
    until("an empty slice, which waited since the Service was made", &slices, |all| {
        all.len() == 1 && ready(all, "web") == 0 && trigger(&all[0].metadata) == created
    })
    .await;
    until("likewise an object of Endpoints", &endpoints, |all| {
        all.iter().any(|one| named(one, "web") && trigger(&one.metadata) == created)
    })
    .await;
    plane.deploy("web", 3).await;
    until("three ready", &slices, |all| ready(all, "web") == 3).await;
    until("three addresses", &endpoints, |all| {
        let own = all.iter().find(|one| named(one, "web"));
        let subset = own.and_then(|one| one.subsets.as_ref()?.first().cloned()).unwrap_or_default();
        subset.addresses.unwrap_or_default().len() == 3 && subset.ports.unwrap_or_default()[0].port == 8080
    })
    .await;
    plane.patch::<Deployment>("web", json!({"spec": {"replicas": 1}})).await;
    until("one ready", &slices, |all| ready(all, "web") == 1).await;
    plane.api::<Service>().delete("web", &DeleteParams::default()).await.unwrap();
    until("slices gone", &slices, |all| all.is_empty()).await;
    until("endpoints gone", &endpoints, |all| !all.iter().any(|one| named(one, "web"))).await;
    plane.stop().await;
}
