//! Pods and Nodes for the tests of this crate.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use tiphys_client::LeanPod;

use crate::{pod_info::PodInfo, snapshot::Snapshot};

/// A Node of 4 cores, 8 Gi and 110 Pods. `more`: labels, taints, unschedulable, images, cpu, memory, pods.
pub fn node(name: &str, more: Value) -> Arc<Node> {
    let or = |key: &str, value: Value| more.get(key).cloned().unwrap_or(value);
    let node = json!({
        "metadata": {"name": name, "labels": or("labels", json!({}))},
        "spec": {"taints": or("taints", json!([])), "unschedulable": or("unschedulable", json!(false))},
        "status": {
            "allocatable": {"cpu": or("cpu", json!("4")), "memory": or("memory", json!("8Gi")),
                "pods": or("pods", json!("110")), "ephemeral-storage": "100Gi"},
            "images": or("images", json!([])),
        },
    });
    Arc::new(serde_json::from_value(node).unwrap())
}

/// A Pod whose UID is its name. `more`: cpu, memory, labels, owner, spec (merged into the spec), image, ports.
pub fn pod(name: &str, more: Value) -> Arc<PodInfo> {
    Arc::new(PodInfo::new(Arc::new(serde_json::from_value(pod_json(name, more)).unwrap())))
}

/// The same as the API has it.
pub fn pod_json(name: &str, more: Value) -> Value {
    let mut requests = json!({});
    for resource in ["cpu", "memory", "ephemeral-storage", "example.com/gpu"] {
        if let Some(amount) = more.get(resource) {
            requests[resource] = amount.clone();
        }
    }
    let or = |key: &str, value: Value| more.get(key).cloned().unwrap_or(value);
    let mut spec = json!({"containers": [{"name": "c", "image": or("image", json!("app")),
        "ports": or("ports", json!([])), "resources": {"requests": requests}}]});
    for (key, value) in more.get("spec").and_then(Value::as_object).into_iter().flatten() {
        spec[key] = value.clone();
    }
    let mut metadata = json!({"name": name, "namespace": or("namespace", json!("default")), "uid": name,
        "labels": or("labels", json!({}))});
    if let Some(owner) = more.get("owner") {
        metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner,
            "uid": owner, "controller": true}]);
    }
    json!({"metadata": metadata, "spec": spec})
}

/// A Pod with this status.
pub fn pod_with(status: Value) -> LeanPod {
    let mut object = pod_json("p", json!({}));
    object["status"] = status;
    serde_json::from_value(object).unwrap()
}

/// Nodes with the Pods on them.
pub fn snapshot(nodes: Vec<(Arc<Node>, Vec<Arc<PodInfo>>)>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (node, pods) in nodes {
        let name = node.metadata.name.clone().unwrap();
        snapshot.set_node(node);
        pods.into_iter().for_each(|pod| snapshot.place(pod, &name));
    }
    snapshot
}
