//! NodeRestriction: a kubelet writes its own Node, its own Lease and the Pods bound
//! to it, and of those only what is a kubelet's to write.
//!
//! The Node authorizer has looked at names already; here the objects are looked at.

use async_trait::async_trait;
use serde_json::Value;

use super::{MIRROR, Operation, Plugin, Request, is_mirror_pod, items, node_labels};
use crate::authz::{Objects, Refusal, find, node_of};

const LEASE_NAMESPACE: &str = "kube-node-lease";

pub struct NodeRestriction;

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    async fn validate(&self, objects: &dyn Objects, request: &Request<'_>) -> Result<(), Refusal> {
        if !request.user.groups.iter().any(|group| group == "system:nodes") {
            return Ok(());
        }
        let Some(node) = node_of(request.user) else {
            return Err(
                request.forbid(&format!("could not determine node from user {:?}", request.user.name))
            );
        };
        let refused = match (request.group, request.resource, request.subresource) {
            ("", "pods", "") => pod(objects, node, request).await,
            ("", "pods", "status") => pod_status(node, request),
            ("", "pods", "eviction") => eviction(objects, node, request).await,
            ("", "nodes", _) => own_node(node, request),
            ("", "serviceaccounts", "token") => token(objects, node, request).await,
            ("coordination.k8s.io", "leases", _) => lease(node, request),
            ("storage.k8s.io", "csinodes", _) => only_its_own(node, request, "CSINode"),
            _ => Ok(()),
        };
        refused.map_err(|why| request.forbid(&why))
    }
}

async fn pod(objects: &dyn Objects, node: &str, request: &Request<'_>) -> Result<(), String> {
    match request.operation {
        Operation::Create => new_pod(objects, node, request.new_object()).await,
        Operation::Delete if request.old_object()["spec"]["nodeName"] != node => {
            Err(format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        Operation::Delete => Ok(()),
        _ => Err(format!("unexpected operation on a pod by node {node:?}")),
    }
}

/// A kubelet makes mirror Pods only, owned by its Node, which refer to nothing secret.
async fn new_pod(objects: &dyn Objects, node: &str, pod: &Value) -> Result<(), String> {
    if !is_mirror_pod(pod) {
        return Err(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if pod["spec"]["nodeName"] != node {
        return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners: Vec<&Value> = items(&pod["metadata"]["ownerReferences"]).collect();
    let uid = objects.get("", "nodes", "", node).map(|node| node["metadata"]["uid"].clone());
    let is_its_node = |owner: &Value| {
        owner["apiVersion"] == "v1"
            && owner["kind"] == "Node"
            && owner["name"] == node
            && Some(&owner["uid"]) == uid.as_ref()
            && owner["blockOwnerDeletion"] != true
    };
    if owners.len() > 1 || !owners.iter().all(|owner| is_its_node(owner)) {
        return Err(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if pod["spec"]["serviceAccountName"].as_str().is_some_and(|name| !name.is_empty()) {
        return Err(format!("node {node:?} can not create pods that reference a service account"));
    }
    match reference(&pod["spec"]) {
        Some(what) => Err(format!("node {node:?} can not create pods that reference {what}")),
        None => Ok(()),
    }
}

/// What of the API a mirror Pod must not refer to, if it does.
fn reference(spec: &Value) -> Option<&'static str> {
    let volumes = || items(&spec["volumes"]);
    let sources = || volumes().flat_map(|volume| items(&volume["projected"]["sources"]));
    let in_volume = |field: &str| volumes().any(|volume| !volume[field].is_null());
    let in_projection = |field: &str| sources().any(|source| !source[field].is_null());
    let containers =
        || ["containers", "initContainers", "ephemeralContainers"].iter().flat_map(|list| items(&spec[list]));
    let in_environment = |whole: &str, key: &str| {
        containers().any(|container| {
            items(&container["envFrom"]).any(|source| !source[whole].is_null())
                || items(&container["env"]).any(|variable| !variable["valueFrom"][key].is_null())
        })
    };
    let pulls = items(&spec["imagePullSecrets"]).next().is_some();
    if pulls || in_volume("secret") || in_projection("secret") || in_environment("secretRef", "secretKeyRef")
    {
        return Some("secrets");
    }
    if in_volume("configMap")
        || in_projection("configMap")
        || in_environment("configMapRef", "configMapKeyRef")
    {
        return Some("configmaps");
    }
    if in_volume("persistentVolumeClaim") || in_volume("ephemeral") {
        return Some("persistentvolumeclaims");
    }
    in_projection("serviceAccountToken").then_some("service account tokens")
}

fn pod_status(node: &str, request: &Request<'_>) -> Result<(), String> {
    let (new, old) = (request.new_object(), request.old_object());
    if old["spec"]["nodeName"] != node {
        return Err(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    if new["metadata"]["labels"] != old["metadata"]["labels"] {
        return Err(format!("node {node:?} cannot update labels through pod status"));
    }
    Ok(())
}

async fn eviction(objects: &dyn Objects, node: &str, request: &Request<'_>) -> Result<(), String> {
    let in_object = request.new_object()["metadata"]["name"].as_str().unwrap_or_default();
    let name = if request.name.is_empty() { in_object } else { request.name };
    let pod = find(objects, "", "pods", request.namespace, name).await;
    match pod.is_some_and(|pod| pod["spec"]["nodeName"] == node) {
        true => Ok(()),
        false => Err(format!("node {node:?} can only evict pods with spec.nodeName set to itself")),
    }
}

fn own_node(node: &str, request: &Request<'_>) -> Result<(), String> {
    only_its_own(node, request, "node")?;
    if request.operation == Operation::Delete {
        return Ok(());
    }
    let (new, old) = (request.new_object(), request.old_object());
    // A Node that names an owner could have itself collected, and made anew with labels of its choice.
    if !same_items(&new["metadata"]["ownerReferences"], &old["metadata"]["ownerReferences"]) {
        return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    let labels = node_labels::not_its_own(new, old);
    if !labels.is_empty() {
        return Err(format!("node {node:?} is not allowed to modify labels: {}", labels.join(", ")));
    }
    let updates = request.operation == Operation::Update;
    if updates && !same_items(&new["spec"]["taints"], &old["spec"]["taints"]) {
        return Err(format!("node {node:?} is not allowed to modify taints"));
    }
    Ok(())
}

/// A missing list is an empty one.
fn same_items(new: &Value, old: &Value) -> bool {
    items(new).eq(items(old))
}

/// The object must bear the node's name, whatever the path said.
fn only_its_own(node: &str, request: &Request<'_>, what: &str) -> Result<(), String> {
    let in_object = request.new_object()["metadata"]["name"].as_str();
    let name = in_object.unwrap_or(request.name);
    if name == node && (request.name.is_empty() || request.name == node) {
        return Ok(());
    }
    Err(format!("node {node:?} is not allowed to modify {what} {name:?}"))
}

fn lease(node: &str, request: &Request<'_>) -> Result<(), String> {
    if request.namespace != LEASE_NAMESPACE {
        return Err(format!("can only access leases in the {LEASE_NAMESPACE:?} system namespace"));
    }
    only_its_own(node, request, "lease")
}

/// A kubelet gets tokens for Pods that run on it, bound to them.
async fn token(objects: &dyn Objects, node: &str, request: &Request<'_>) -> Result<(), String> {
    let bound = &request.new_object()["spec"]["boundObjectRef"];
    let text = |field: &str| bound[field].as_str().unwrap_or_default();
    if text("apiVersion") != "v1" || text("kind") != "Pod" || text("name").is_empty() {
        return Err("node requested token not bound to a pod".into());
    }
    if text("uid").is_empty() {
        return Err("node requested token with a pod binding without a uid".into());
    }
    let pod = find(objects, "", "pods", request.namespace, text("name"))
        .await
        .ok_or_else(|| format!("pod {:?} not found", text("name")))?;
    if pod["metadata"]["uid"] != bound["uid"] {
        return Err(format!(
            "the UID in the bound object reference ({}) does not match the UID in record",
            text("uid")
        ));
    }
    if pod["spec"]["nodeName"] != node {
        return Err("node requested token bound to a pod scheduled on a different node".into());
    }
    Ok(())
}
