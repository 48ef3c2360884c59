//! NodeRestriction: a kubelet writes its own Node, its own Lease and the Pods bound
//! to it, and of those only what is a kubelet's to write.
//!
//! The Node authorizer has looked at names already; here the objects are looked at.

use async_trait::async_trait;
use serde_json::Value;
use tiphys_api::{auth::Attributes, certificate_request, pod::references};

use super::{
    Cluster, MIRROR, Operation, Plugin, Request, certificate_approval, is_mirror_pod, items, node_labels,
};
use crate::authz::{Objects, Refusal, find, node_of};

const LEASE_NAMESPACE: &str = "kube-node-lease";

pub struct NodeRestriction;

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        let objects = &*cluster.objects;
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
            ("", "pods", other) => {
                Err(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"))
            }
            ("", "nodes", _) => own_node(node, request),
            ("", "persistentvolumeclaims", "status") => claim_status(node, request),
            ("", "persistentvolumeclaims", _) => Err("may only update PVC status".into()),
            ("", "serviceaccounts", "token") => token(cluster, node, request).await,
            (certificate_approval::GROUP, certificate_approval::RESOURCE, "") => certificate(node, request),
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
        other => Err(format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            other.as_str()
        )),
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
    owned_by_its_node(objects, node, pod).await?;
    if pod["spec"]["serviceAccountName"].as_str().is_some_and(|name| !name.is_empty()) {
        return Err(format!("node {node:?} can not create pods that reference a service account"));
    }
    match references::of_spec(&pod["spec"]) {
        Some(what) => Err(format!("node {node:?} can not create pods that reference {what}")),
        None => Ok(()),
    }
}

async fn owned_by_its_node(objects: &dyn Objects, node: &str, pod: &Value) -> Result<(), String> {
    let owners: Vec<&Value> = items(&pod["metadata"]["ownerReferences"]).collect();
    let owner = match owners.as_slice() {
        [owner] => *owner,
        [] => {
            return Err(format!("node {node:?} can only create pods with an owner reference set to itself"));
        }
        _ => {
            return Err(format!(
                "node {node:?} can only create pods with a single owner reference set to itself"
            ));
        }
    };
    if owner["apiVersion"] != "v1" || owner["kind"] != "Node" || owner["name"] != node {
        return Err(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if owner["controller"] != true {
        return Err(format!(
            "node {node:?} can only create pods with a controller owner reference set to itself"
        ));
    }
    if owner["blockOwnerDeletion"] == true {
        return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let found = find(objects, "", "nodes", "", node).await;
    let uid = found.as_ref().map_or(&Value::Null, |node| &node["metadata"]["uid"]);
    if owner["uid"] != *uid {
        return Err(format!("node {node} UID mismatch: expected {} got {uid}", owner["uid"]));
    }
    Ok(())
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
    let claims = |pod: &Value| pod["status"]["resourceClaimStatuses"].clone();
    if !same_items(&claims(new), &claims(old)) {
        return Err(format!("node {node:?} cannot update resource claim statues"));
    }
    Ok(())
}

/// A kubelet that has grown a volume says so, and nothing else.
fn claim_status(node: &str, request: &Request<'_>) -> Result<(), String> {
    if request.operation != Operation::Update {
        return Err(format!("unexpected operation {:?}", request.operation.as_str()));
    }
    let rest = |claim: &Value| {
        let mut claim = claim.clone();
        for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            tiphys_api::access::remove(&mut claim["status"], field);
        }
        for field in ["resourceVersion", "managedFields"] {
            tiphys_api::access::remove(&mut claim["metadata"], field);
        }
        claim
    };
    if rest(request.new_object()) == rest(request.old_object()) {
        return Ok(());
    }
    Err(format!(
        "node {node:?} is not allowed to update fields other than status.capacity and status.conditions"
    ))
}

/// A kubelet's certificates are for its own name.
fn certificate(node: &str, request: &Request<'_>) -> Result<(), String> {
    let spec = &request.new_object()["spec"];
    let signer = spec["signerName"].as_str().unwrap_or_default();
    let of_kubelets =
        ["kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"].contains(&signer);
    if !request.creates() || !of_kubelets {
        return Ok(());
    }
    let subject =
        certificate_request::read_spec(spec).map_err(|why| format!("unable to parse csr: {why}"))?;
    if subject.common_name == format!("system:node:{node}") {
        return Ok(());
    }
    Err(format!("can only create a node CSR with CN=system:node:{node}"))
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
    let config = &new["spec"]["configSource"];
    if !config.is_null() && *config != old["spec"]["configSource"] {
        return Err(format!("node {node:?} is not allowed to set spec.configSource"));
    }
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
async fn token(cluster: &Cluster, node: &str, request: &Request<'_>) -> Result<(), String> {
    let objects = &*cluster.objects;
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
    audience(cluster, &pod, request)
}

/// A token is for those that the Pod's volumes name; for others the kubelet needs a right of its own.
fn audience(cluster: &Cluster, pod: &Value, request: &Request<'_>) -> Result<(), String> {
    let audiences: Vec<&str> =
        items(&request.new_object()["spec"]["audiences"]).filter_map(Value::as_str).collect();
    let audience = match audiences.as_slice() {
        [] => "",
        [one] => one,
        _ => return Err("node may only request 0 or 1 audiences".into()),
    };
    let projected = items(&pod["spec"]["volumes"]).flat_map(|volume| items(&volume["projected"]["sources"]));
    let mut tokens = projected.map(|source| &source["serviceAccountToken"]).filter(|it| it.is_object());
    if tokens.any(|token| token["audience"].as_str().unwrap_or_default() == audience) {
        return Ok(());
    }
    let question = Attributes::Resource {
        verb: "request-serviceaccounts-token-audience".into(),
        group: String::new(),
        version: "v1".into(),
        resource: audience.to_owned(),
        subresource: String::new(),
        namespace: request.namespace.to_owned(),
        name: request.name.to_owned(),
    };
    let allowed = cluster.authorizer.authorize(request.user, &question).is_ok();
    if allowed { Ok(()) } else { Err(format!("audience {audience:?} not found in pod spec volume")) }
}
