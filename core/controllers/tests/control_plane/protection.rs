//! Claims that Pods use and volumes that claims are bound to are held.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::harness::{Plane, cache, named, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_claim_stays_until_its_pod_is_gone() {
    let plane = Plane::start(1).await;
    let claims = cache::<PersistentVolumeClaim>(&plane.client, &plane.tasks);
    let claim = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
    };
    plane.create::<PersistentVolumeClaim>(claim("used")).await;
    plane.create::<PersistentVolumeClaim>(claim("free")).await;
    plane
        .create::<Pod>(json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {
            "nodeName": "node-0",
            "containers": [{"name": "c", "image": "app:1"}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "used"}}]}}))
        .await;
    for name in ["used", "free"] {
        plane.api::<PersistentVolumeClaim>().delete(name, &DeleteParams::default()).await.unwrap();
    }
    until("the free claim gone", &claims, |all| !all.iter().any(|claim| named(claim, "free"))).await;
    let held = plane.api::<PersistentVolumeClaim>().get("used").await.unwrap();
    assert!(held.metadata.deletion_timestamp.is_some());
    assert_eq!(held.metadata.finalizers, Some(vec!["kubernetes.io/pvc-protection".to_owned()]));
    plane.api::<Pod>().delete("web", &DeleteParams::default()).await.unwrap();
    until("the used claim gone", &claims, |all| all.is_empty()).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_volume_stays_until_it_is_bound_no_more() {
    let plane = Plane::start(0).await;
    let volumes = cache::<PersistentVolume>(&plane.client, &plane.tasks);
    let api: Api<PersistentVolume> = Api::all(plane.client.clone());
    let volume = json!({"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}}});
    api.create(&PostParams::default(), &serde_json::from_value(volume).unwrap()).await.unwrap();
    let phase = |phase: &str| Patch::Merge(json!({"status": {"phase": phase}}));
    api.patch_status("v", &PatchParams::default(), &phase("Bound")).await.unwrap();
    api.delete("v", &DeleteParams::default()).await.unwrap();
    until("the volume marked", &volumes, |all| all.iter().any(|v| v.metadata.deletion_timestamp.is_some()))
        .await;
    assert!(api.get("v").await.is_ok());
    api.patch_status("v", &PatchParams::default(), &phase("Released")).await.unwrap();
    until("the volume gone", &volumes, |all| all.is_empty()).await;
    plane.stop().await;
}
