//! Which targets the autoscaler finds: kinds with a plural of their own, without a scale, served
//! later or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::conditions::is_crd_established,
};

use super::*;

const NOT_READ: &str = "the HPA controller was unable to get the target's current scale: ";
const NO_GOOSE: &str = "no matches for kind \"Goose\" in group \"farm.example.com\"";

/// What geese can have below them, where they can be scaled.
fn scale() -> Value {
    json!({"scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector"}})
}

impl Plane {
    /// Defines the kind Goose, whose plural is geese, and makes one called `grey` of size 1.
    async fn keep_geese(&self, subresources: Value) {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({"metadata": {"name": "geese.farm.example.com"}, "spec": {
            "group": "farm.example.com", "scope": "Namespaced",
            "names": {"plural": "geese", "singular": "goose", "kind": "Goose", "listKind": "GooseList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}, "subresources": subresources}],
        }});
        let definition = serde_json::from_value(definition).expect("a definition");
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        definitions.create(&PostParams::default(), &definition).await.expect("created");
        let name = "geese.farm.example.com";
        let served = kube::runtime::wait::await_condition(definitions, name, is_crd_established());
        tokio::time::timeout(LIMIT, served).await.expect("served in time").expect("watched");
        let grey = json!({"apiVersion": "farm.example.com/v1", "kind": "Goose", "metadata": {"name": "grey"},
            "spec": {"size": 1}, "status": {"size": 1, "selector": "app=goose"}});
        let grey: DynamicObject = serde_json::from_value(grey).expect("a Goose");
        self.geese().create(&PostParams::default(), &grey).await.expect("created");
    }

    fn geese(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("farm.example.com", "v1", "Goose");
        let geese = ApiResource::from_gvk_with_plural(&kind, "geese");
        Api::namespaced_with(self.client.clone(), "default", &geese)
    }

    /// An autoscaler `worker` of the Goose `grey`; the version that it names does not count.
    async fn autoscale_geese(&self) {
        let target = json!({"apiVersion": "farm.example.com/v2", "kind": "Goose", "name": "grey"});
        self.autoscale_target(target, "desk", 1, json!({})).await;
    }

    async fn size(&self) -> Value {
        self.geese().get("grey").await.expect("a Goose").data["spec"]["size"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_with_a_plural_of_its_own_is_scaled_and_discovery_asked_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let gate: Gate = Arc::new(move |_, _, path| {
        counted.fetch_add(usize::from(path == "/apis/farm.example.com/v1"), Ordering::SeqCst);
        Box::pin(std::future::ready(None))
    });
    let plane = Plane::behind(Some(gate), None).await;
    plane.keep_geese(scale()).await;
    plane.desk.tell(2000);
    plane.autoscale_geese().await;
    for (milli, expected) in [(2000, 2), (3000, 3), (4000, 4)] {
        plane.desk.tell(milli);
        let row = plane.row(|row| row.scaled && row.desired_replicas == expected).await;
        assert_eq!(row.target, "Goose/grey", "{}", row.reason);
        assert_eq!(plane.size().await, expected);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_without_a_scale_is_said() {
    let plane = Plane::start(None).await;
    plane.keep_geese(json!({})).await;
    plane.autoscale_geese().await;
    let why = "geese.farm.example.com \"grey\" not found";
    assert_eq!(plane.says("AbleToScale", "FailedGetScale").await, format!("{NOT_READ}{why}"));
    assert_eq!(plane.event("FailedGetScale").await, why);
    assert_eq!(plane.size().await, 1);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_served_later_is_found() {
    let plane = Plane::start(None).await;
    plane.desk.tell(3000);
    plane.autoscale_geese().await;
    assert_eq!(plane.says("AbleToScale", "FailedGetScale").await, format!("{NOT_READ}{NO_GOOSE}"));
    assert_eq!(plane.event("FailedGetScale").await, NO_GOOSE);
    let row = plane.row(|row| !row.failure.is_empty()).await;
    assert_eq!((row.failure.as_str(), row.scaled), (NO_GOOSE, false));
    plane.keep_geese(scale()).await;
    let row = plane.row(|row| row.scaled).await;
    assert_eq!((row.current_replicas, row.desired_replicas), (1, 3), "{}", row.reason);
    assert_eq!(plane.size().await, 3);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_not_there_is_named_with_its_resource() {
    let plane = Plane::start(None).await;
    plane.desk.tell(3000);
    plane.autoscale("desk", 1, json!({})).await;
    let why = "deployments.apps \"worker\" not found";
    assert_eq!(plane.says("AbleToScale", "FailedGetScale").await, format!("{NOT_READ}{why}"));
    assert_eq!(plane.event("FailedGetScale").await, why);
    plane.deploy(1).await;
    plane.desk.tell(3000);
    let row = plane.row(|row| row.scaled).await;
    assert_eq!((row.current_replicas, row.desired_replicas), (1, 3), "{}", row.reason);
    plane.stop().await;
}
