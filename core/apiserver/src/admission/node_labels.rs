//! Which labels a kubelet may set on its own Node. Pure.
//!
//! A node that could label itself at will could draw Pods to itself. So of the
//! labels below `kubernetes.io` and `k8s.io` only those that say what the machine
//! is are its own to set.

use serde_json::Value;

const OWN: &[&str] = &[
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
const OWN_NAMESPACES: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];
const RESERVED: &[&str] = &["kubernetes.io", "k8s.io"];

/// The labels that differ between the two objects and that a kubelet may not change.
pub fn not_its_own(new: &Value, old: &Value) -> Vec<String> {
    let (new, old) = (&new["metadata"]["labels"], &old["metadata"]["labels"]);
    let keys =
        |labels: &Value| labels.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
    let mut all: Vec<String> = keys(new);
    all.extend(keys(old));
    all.sort();
    all.dedup();
    all.retain(|key| new[key.as_str()] != old[key.as_str()] && !may_set(key));
    all
}

fn may_set(key: &str) -> bool {
    let namespace = key.split_once('/').map_or("", |(namespace, _)| namespace);
    let within = |parent: &str| {
        namespace == parent || namespace.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
    };
    OWN.contains(&key)
        || OWN_NAMESPACES.iter().any(|parent| within(parent))
        || !RESERVED.iter().any(|parent| within(parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_kubelet_says_what_its_machine_is_and_no_more() {
        for own in [
            "disk",
            "example.com/rack",
            "kubernetes.io/hostname",
            "node.kubernetes.io/x",
            "a.kubelet.kubernetes.io/x",
        ] {
            assert!(may_set(own), "{own}");
        }
        for other in [
            "node-restriction.kubernetes.io/secure",
            "node-role.kubernetes.io/control-plane",
            "kubernetes.io/x",
            "a.k8s.io/x",
        ] {
            assert!(!may_set(other), "{other}");
        }
        assert!(may_set("notkubernetes.io/x"));
    }

    #[test]
    fn only_changes_count() {
        let node = |labels: Value| json!({ "metadata": { "labels": labels } });
        let old = node(json!({ "a.k8s.io/x": "1", "a.k8s.io/y": "1" }));
        assert!(not_its_own(&old, &old).is_empty());
        assert_eq!(not_its_own(&node(json!({ "a.k8s.io/x": "2" })), &old), ["a.k8s.io/x", "a.k8s.io/y"]);
        assert!(not_its_own(&node(json!({ "disk": "ssd" })), &Value::Null).is_empty());
    }
}
