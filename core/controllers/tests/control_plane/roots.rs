//! The cluster's certificate in every namespace: there by itself, back when it is
//! deleted, right again when somebody changes it.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tiphys_client::Cache;

use crate::harness::{Plane, cache, named, until};

const NAME: &str = "kube-root-ca.crt";

async fn right(maps: &Cache<ConfigMap>, why: &str, is_new: impl Fn(&ConfigMap) -> bool) {
    until(why, maps, |all| {
        all.iter().any(|map| {
            let data = map.data.clone().unwrap_or_default();
            let told = map
                .metadata
                .annotations
                .as_ref()
                .is_some_and(|all| !all["kubernetes.io/description"].is_empty());
            map.metadata.namespace.as_deref() == Some("team")
                && named(map, NAME)
                && is_new(map)
                && told
                && data.iter().collect::<Vec<_>>() == [(&"ca.crt".to_owned(), &"the cluster's CA".to_owned())]
        })
    })
    .await;
}

fn version(map: &ConfigMap) -> u64 {
    map.metadata.resource_version.as_ref().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_namespace_has_the_clusters_certificate_whatever_is_done_to_it() {
    let plane = Plane::without_kubelets().await;
    let namespaces: Api<Namespace> = Api::all(plane.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let all = cache::<ConfigMap>(&plane.client, &plane.tasks);
    right(&all, "it is there by itself", |_| true).await;

    let maps: Api<ConfigMap> = Api::namespaced(plane.client.clone(), "team");
    let first = maps.get(NAME).await.unwrap().metadata.uid;
    maps.delete(NAME, &DeleteParams::default()).await.unwrap();
    right(&all, "it comes back", |map| map.metadata.uid != first).await;

    for wrong in [
        json!({"data": {"ca.crt": ""}}),
        json!({"data": {"more": "mine"}}),
        json!({"metadata": {"annotations": {"kubernetes.io/description": ""}}}),
    ] {
        let written = maps.patch(NAME, &PatchParams::default(), &Patch::Merge(&wrong)).await.unwrap();
        let version = version(&written);
        let later = |map: &ConfigMap| self::version(map) > version;
        right(&all, &format!("it is made right after {wrong}"), later).await;
    }
    plane.stop().await;
}
