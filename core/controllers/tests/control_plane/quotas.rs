//! ResourceQuotas: charged by the API server, kept true by the controller.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ResourceQuota};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tiphys_client::Cache;

use crate::harness::{Plane, cache, named, until};

fn used(quota: &ResourceQuota) -> Value {
    json!(quota.status.as_ref().and_then(|status| status.used.clone()).unwrap_or_default())
}

pub async fn until_used(quotas: &Cache<ResourceQuota>, name: &str, expected: Value) {
    until(&format!("quota {name} at {expected}"), quotas, |all| {
        all.iter().any(|quota| named(quota, name) && used(quota) == expected)
    })
    .await;
}

fn map(name: String) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_creates_and_deletes_never_exceed_a_quota() {
    let plane = Plane::start(0).await;
    let namespaces: Api<Namespace> = Api::all(plane.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "bounded"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let quotas = cache::<ResourceQuota>(&plane.client, &plane.tasks);
    plane
        .create::<ResourceQuota>(json!({"metadata": {"name": "q", "namespace": "bounded"},
            "spec": {"hard": {"count/configmaps": "10"}}}))
        .await;
    // The cluster's certificate is in every namespace.
    until_used(&quotas, "q", json!({"count/configmaps": "1"})).await;
    let maps: Api<ConfigMap> = Api::namespaced(plane.client.clone(), "bounded");
    let of_api: Api<ResourceQuota> = Api::namespaced(plane.client.clone(), "bounded");
    let version =
        |quota: &ResourceQuota| -> u64 { quota.metadata.resource_version.as_ref().unwrap().parse().unwrap() };
    for round in 0..3 {
        let writes = (0..64).map(|n| {
            let maps = maps.clone();
            async move { maps.create(&PostParams::default(), &map(format!("m-{round}-{n}"))).await }
        });
        let done = futures::future::join_all(writes).await;
        let refused = done.iter().filter_map(|result| result.as_ref().err());
        refused.for_each(|error| assert!(error.to_string().contains("exceeded quota: q"), "{error}"));
        assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 9);
        assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 10);
        for map in done.into_iter().flatten() {
            maps.delete(map.metadata.name.as_deref().unwrap(), &DeleteParams::default()).await.unwrap();
        }
        // As of now: the watched copy may be from before this round.
        let now = version(&of_api.get("q").await.unwrap());
        until("the quota as before", &quotas, |all| {
            let is_before = |quota: &ResourceQuota| used(quota) == json!({"count/configmaps": "1"});
            all.iter().any(|quota| named(quota, "q") && version(quota) >= now && is_before(quota))
        })
        .await;
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_follows_pods_that_come_and_go() {
    let plane = Plane::start(1).await;
    let quotas = cache::<ResourceQuota>(&plane.client, &plane.tasks);
    plane
        .create::<ResourceQuota>(json!({"metadata": {"name": "q", "namespace": "default"},
            "spec": {"hard": {"pods": "3", "requests.cpu": "1"}}}))
        .await;
    until_used(&quotas, "q", json!({"pods": "0", "requests.cpu": "0"})).await;
    let pod = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [
            {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "400m"}}}]}})
    };
    plane.create::<Pod>(pod("a")).await;
    plane.create::<Pod>(pod("b")).await;
    let third = serde_json::from_value(pod("c")).unwrap();
    let refused = plane.api::<Pod>().create(&PostParams::default(), &third).await.unwrap_err();
    assert!(
        refused.to_string().contains(
            "exceeded quota: q, requested: requests.cpu=400m, used: requests.cpu=800m, limited: requests.cpu=1"
        ),
        "{refused}"
    );
    plane.api::<Pod>().delete("a", &DeleteParams::default()).await.unwrap();
    until_used(&quotas, "q", json!({"pods": "1", "requests.cpu": "400m"})).await;
    plane
        .patch::<ResourceQuota>("q", json!({"spec": {"hard": {"requests.cpu": null, "services": "1"}}}))
        .await;
    // The API's own Service is there already.
    until_used(&quotas, "q", json!({"pods": "1", "services": "1"})).await;
    plane.stop().await;
}
