//! The Node authorizer: what a kubelet may, beside the roles of its groups.
//!
//! `system:node:NAME` of `system:nodes` may read what every kubelet needs
//! ([`STATIC`]), its own Node and Lease, and those Secrets, ConfigMaps, claims,
//! volumes and service accounts that a Pod bound to its node refers to. That a kubelet writes
//! only its own Node and Pods is checked again, with the object at hand, by the
//! NodeRestriction plug-in.

use serde_json::Value;
use tiphys_api::auth::{Attributes, UserInfo};

use super::{Objects, rule};

const NODES: &str = "system:nodes";
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// (group, resources, verbs) that every kubelet has.
const STATIC: &[(&str, &[&str], &[&str])] = &[
    ("authentication.k8s.io", &["tokenreviews"], &["create"]),
    ("authorization.k8s.io", &["subjectaccessreviews", "localsubjectaccessreviews"], &["create"]),
    ("", &["services"], &["get", "list", "watch"]),
    ("", &["nodes"], &["create", "get", "list", "watch"]),
    ("", &["pods"], &["get", "list", "watch", "create", "delete"]),
    ("", &["pods/status"], &["get", "update", "patch"]),
    ("", &["pods/eviction"], &["create"]),
    ("", &["events"], &["create", "update", "patch"]),
    ("events.k8s.io", &["events"], &["create", "update", "patch"]),
    ("", &["endpoints"], &["get"]),
    ("certificates.k8s.io", &["certificatesigningrequests"], &["create", "get", "list", "watch"]),
    ("node.k8s.io", &["runtimeclasses"], &["get", "list", "watch"]),
    ("storage.k8s.io", &["csidrivers"], &["get", "list", "watch"]),
];

/// The node whose kubelet this user is.
pub fn node_of(user: &UserInfo) -> Option<&str> {
    let is_node = user.groups.iter().any(|group| group == NODES);
    user.name.strip_prefix("system:node:").filter(|name| is_node && !name.is_empty())
}

/// Whether the user is a kubelet and the question one of those it may ask for.
pub fn allows(objects: &dyn Objects, user: &UserInfo, attributes: &Attributes) -> bool {
    let Some(node) = node_of(user) else { return false };
    let Attributes::Resource { verb, group, resource, subresource, namespace, name, .. } = attributes else {
        return false;
    };
    let reads = matches!(verb.as_str(), "get" | "list" | "watch");
    let writes = matches!(verb.as_str(), "update" | "patch");
    match (group.as_str(), resource.as_str(), subresource.as_str()) {
        ("", "secrets" | "configmaps" | "persistentvolumeclaims", "") if reads => {
            is_referred_to(objects, node, resource, namespace, name)
        }
        ("", "persistentvolumeclaims", "status") if verb == "get" || writes => {
            is_referred_to(objects, node, resource, namespace, name)
        }
        ("", "persistentvolumes", "") if verb == "get" => volume_is_claimed(objects, node, name),
        ("storage.k8s.io", "volumeattachments", "") if verb == "get" => {
            is_of_node(objects, node, group, resource, name)
        }
        ("resource.k8s.io", "resourceclaims", "") if verb == "get" => {
            is_referred_to(objects, node, resource, namespace, name)
        }
        ("resource.k8s.io", "resourceslices", "") if verb == "get" || writes || verb == "delete" => {
            is_of_node(objects, node, group, resource, name)
        }
        ("", "serviceaccounts", "token") if verb == "create" => {
            is_referred_to(objects, node, resource, namespace, name)
        }
        ("", "serviceaccounts", "") if verb == "get" => {
            is_referred_to(objects, node, resource, namespace, name)
        }
        ("", "nodes", "") if writes || verb == "delete" => name == node,
        ("", "nodes", "status") if writes => name == node,
        ("coordination.k8s.io", "leases", "") => {
            // A create has no name yet: NodeRestriction looks at the object's.
            let own = name == node || (verb == "create" && name.is_empty());
            namespace == LEASE_NAMESPACE
                && own
                && (writes || matches!(verb.as_str(), "get" | "create" | "delete"))
        }
        ("storage.k8s.io", "csinodes", "") => {
            (name == node || verb == "create")
                && (writes || matches!(verb.as_str(), "get" | "create" | "delete"))
        }
        _ => is_static(verb, group, resource, subresource),
    }
}

fn is_static(verb: &str, group: &str, resource: &str, subresource: &str) -> bool {
    STATIC.iter().any(|(groups, resources, verbs)| {
        *groups == group
            && verbs.contains(&verb)
            && resources.iter().any(|rule| rule::resource_matches(rule, resource, subresource))
    })
}

/// Whether the object says that it is for the node.
fn is_of_node(objects: &dyn Objects, node: &str, group: &str, resource: &str, name: &str) -> bool {
    !name.is_empty()
        && objects.get(group, resource, "", name).is_some_and(|object| object["spec"]["nodeName"] == node)
}

/// Whether a Pod bound to the node refers to this object.
fn is_referred_to(objects: &dyn Objects, node: &str, resource: &str, namespace: &str, name: &str) -> bool {
    if namespace.is_empty() || name.is_empty() {
        return false;
    }
    let pods = objects.list("", "pods", namespace, &[("spec.nodeName", node)]);
    pods.iter().any(|pod| pod["spec"]["nodeName"] == node && refers(pod, resource, name))
}

fn volume_is_claimed(objects: &dyn Objects, node: &str, volume: &str) -> bool {
    let Some(volume) = objects.get("", "persistentvolumes", "", volume) else { return false };
    let claim = &volume["spec"]["claimRef"];
    let text = |field: &str| claim[field].as_str().unwrap_or_default();
    is_referred_to(objects, node, "persistentvolumeclaims", text("namespace"), text("name"))
}

/// Whether the Pod refers to the Secret, ConfigMap, claim or service account `name` of its namespace.
fn refers(pod: &Value, resource: &str, name: &str) -> bool {
    let spec = &pod["spec"];
    let volumes = || items(&spec["volumes"]);
    let projected = || volumes().flat_map(|volume| items(&volume["projected"]["sources"]));
    match resource {
        "serviceaccounts" => spec["serviceAccountName"] == name,
        "persistentvolumeclaims" => {
            let generated = |volume: &Value| {
                let (pod, volume_name) = (pod["metadata"]["name"].as_str(), volume["name"].as_str());
                volume["ephemeral"].is_object()
                    && pod.zip(volume_name).is_some_and(|(pod, volume)| name == format!("{pod}-{volume}"))
            };
            volumes().any(|volume| volume["persistentVolumeClaim"]["claimName"] == name || generated(volume))
        }
        "resourceclaims" => {
            items(&spec["resourceClaims"]).any(|claim| claim["resourceClaimName"] == name)
                || items(&pod["status"]["resourceClaimStatuses"])
                    .any(|claim| claim["resourceClaimName"] == name)
        }
        "configmaps" => {
            volumes().any(|volume| volume["configMap"]["name"] == name)
                || projected().any(|source| source["configMap"]["name"] == name)
                || environment_refers(spec, "configMapRef", "configMapKeyRef", name)
        }
        "secrets" => {
            volumes().any(|volume| volume["secret"]["secretName"] == name || driver_secret(volume) == name)
                || projected().any(|source| source["secret"]["name"] == name)
                || items(&spec["imagePullSecrets"]).any(|secret| secret["name"] == name)
                || environment_refers(spec, "secretRef", "secretKeyRef", name)
        }
        _ => false,
    }
}

/// The Secret of a volume whose driver needs one (`csi.nodePublishSecretRef`, `iscsi.secretRef`, ...).
fn driver_secret(volume: &Value) -> &str {
    let csi = &volume["csi"]["nodePublishSecretRef"]["name"];
    let others = volume.as_object().into_iter().flatten().map(|(_, source)| &source["secretRef"]["name"]);
    std::iter::once(csi).chain(others).find_map(Value::as_str).unwrap_or_default()
}

fn environment_refers(spec: &Value, whole: &str, key: &str, name: &str) -> bool {
    ["containers", "initContainers", "ephemeralContainers"].iter().flat_map(|list| items(&spec[list])).any(
        |container| {
            items(&container["envFrom"]).any(|source| source[whole]["name"] == name)
                || items(&container["env"]).any(|variable| variable["valueFrom"][key]["name"] == name)
        },
    )
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::fixture::Fixture;
    use serde_json::json;

    fn cluster() -> Fixture {
        Fixture::new([
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "ns", "name": "here" }, "spec": {
                "nodeName": "n1", "serviceAccountName": "robot",
                "imagePullSecrets": [{ "name": "pull" }],
                "resourceClaims": [{ "name": "gpu", "resourceClaimName": "gpu" }],
                "volumes": [
                    { "name": "a", "secret": { "secretName": "mounted" } },
                    { "name": "b", "projected": { "sources": [{ "configMap": { "name": "projected" } }] } },
                    { "name": "c", "persistentVolumeClaim": { "claimName": "claim" } },
                    { "name": "d", "csi": { "driver": "x", "nodePublishSecretRef": { "name": "driver" } } },
                ],
                "initContainers": [{ "name": "i", "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "variable" } } }] }],
                "containers": [{ "name": "c", "envFrom": [{ "configMapRef": { "name": "environment" } }] }],
            }}),
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "ns", "name": "there" }, "spec": {
                "nodeName": "n2", "serviceAccountName": "other", "volumes": [{ "name": "a", "secret": { "secretName": "foreign" } }],
            }}),
            json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "pv" },
                    "spec": { "claimRef": { "namespace": "ns", "name": "claim" } } }),
            json!({ "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": { "name": "mine" }, "spec": { "nodeName": "n1" } }),
            json!({ "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": { "name": "theirs" }, "spec": { "nodeName": "n2" } }),
        ])
    }

    /// `verb [group:]resource[/subresource] namespace/name`
    fn check(question: &str, expected: bool) {
        let mut words = question.split(' ');
        let mut word = || words.next().unwrap();
        let (verb, what, place) = (word(), word(), word());
        let (group, resource) = what.split_once(':').unwrap_or(("", what));
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (namespace, name) = place.split_once('/').unwrap();
        let attributes = Attributes::Resource {
            verb: verb.into(),
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            name: name.into(),
        };
        let kubelet = UserInfo::named("system:node:n1", &["system:nodes"]);
        assert_eq!(allows(&cluster(), &kubelet, &attributes), expected, "{question}");
        for stranger in [UserInfo::named("system:node:n1", &[]), UserInfo::named("n1", &["system:nodes"])] {
            assert!(!allows(&cluster(), &stranger, &attributes), "{question} by {}", stranger.name);
        }
    }

    #[test]
    fn a_kubelet_reads_what_its_pods_need() {
        for secret in ["pull", "mounted", "variable", "driver"] {
            check(&format!("get secrets ns/{secret}"), true);
        }
        check("get configmaps ns/projected", true);
        check("watch configmaps ns/environment", true);
        check("get persistentvolumeclaims ns/claim", true);
        check("get persistentvolumes /pv", true);
        check("patch persistentvolumeclaims/status ns/claim", true);
        check("get storage.k8s.io:volumeattachments /mine", true);
        check("get resource.k8s.io:resourceclaims ns/gpu", true);
        check("create serviceaccounts/token ns/robot", true);
        check("patch nodes/status /n1", true);
        check("update coordination.k8s.io:leases kube-node-lease/n1", true);
        check("list services /", true);
        check("patch pods/status ns/here", true);
    }

    #[test]
    fn abuse_06_a_kubelet_reads_and_writes_nothing_of_other_nodes() {
        check("get secrets ns/foreign", false);
        check("list secrets ns/", false);
        check("list secrets /", false);
        check("update secrets ns/mounted", false);
        check("get secrets other/mounted", false);
        check("get configmaps ns/kube-root-ca.crt", false);
        check("create serviceaccounts/token ns/other", false);
        check("get storage.k8s.io:volumeattachments /theirs", false);
        check("list storage.k8s.io:volumeattachments /", false);
        check("get resource.k8s.io:resourceclaims ns/other", false);
        check("patch persistentvolumeclaims/status ns/other", false);
        check("update nodes /n2", false);
        check("patch nodes/status /n2", false);
        check("delete nodes /n2", false);
        check("update coordination.k8s.io:leases kube-node-lease/n2", false);
        check("update coordination.k8s.io:leases kube-system/n1", false);
        check("create pods/exec ns/here", false);
        check("patch pods ns/here", false);
        check("get nodes/proxy /n1", false);
    }
}
