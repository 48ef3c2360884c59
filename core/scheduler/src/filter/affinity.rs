//! Required affinity and anti-affinity between Pods, in both directions: what
//! the new Pod wants of those there, and what those there refuse.
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity>

use std::collections::HashSet;

use super::{Check, Filter, Refusal};
use crate::{change::Changes, node_info::NodeInfo, pod_info::PodInfo, snapshot::Snapshot};

pub const FILTER: Filter = Filter { name: "InterPodAffinity", changes: CHANGES, prepare };

const CHANGES: Changes = Changes::NODE_ADDED
    .or(Changes::NODE_LABELS)
    .or(Changes::POD_REMOVED)
    .or(Changes::POD_PLACED)
    .or(Changes::POD_LABELS);

/// Topology key and value.
type Domain<'a> = (&'a str, &'a str);

struct Domains<'a> {
    /// Where a Pod refuses the new one.
    refusing: HashSet<Domain<'a>>,
    /// Where Pods are that all required terms mean.
    wanted: HashSet<Domain<'a>>,
    /// Where Pods are that the new one avoids.
    avoided: HashSet<Domain<'a>>,
}

fn prepare<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Check<'a>> {
    let (required, anti) = (&pod.affinity.required, &pod.affinity.required_anti);
    if snapshot.affinity_pods == 0 && required.is_empty() && anti.is_empty() {
        return None;
    }
    let domains = domains(pod, snapshot);
    // The first of a group that wants to be together may start anywhere.
    let means_itself = required.iter().all(|term| term.matches(pod, &snapshot.namespaces));
    let first = domains.wanted.is_empty() && means_itself;
    Some(Box::new(move |node| {
        let wanted = |key: &'a String| {
            node.label(key).is_some_and(|value| first || domains.wanted.contains(&(key.as_str(), value)))
        };
        if !required.iter().all(|term| wanted(&term.topology_key)) {
            return Err(Refusal::of_node("node(s) didn't match pod affinity rules"));
        }
        if anti.iter().any(|term| within(node, &term.topology_key, &domains.avoided)) {
            return Err(Refusal::of_pods("node(s) didn't match pod anti-affinity rules"));
        }
        if domains.refusing.iter().any(|(key, value)| node.label(key) == Some(value)) {
            return Err(Refusal::of_pods("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }))
}

fn within(node: &NodeInfo, key: &str, domains: &HashSet<Domain<'_>>) -> bool {
    node.label(key).is_some_and(|value| domains.contains(&(key, value)))
}

fn domains<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> Domains<'a> {
    let (required, anti) = (&pod.affinity.required, &pod.affinity.required_anti);
    let mut domains = Domains { refusing: HashSet::new(), wanted: HashSet::new(), avoided: HashSet::new() };
    let spaces = &snapshot.namespaces;
    for node in &snapshot.nodes {
        for there in &node.with_affinity {
            let refuses = there.affinity.required_anti.iter().filter(|term| term.matches(pod, spaces));
            let places = refuses
                .filter_map(|term| Some((term.topology_key.as_str(), node.label(&term.topology_key)?)));
            domains.refusing.extend(places);
        }
        if required.is_empty() && anti.is_empty() {
            continue;
        }
        for there in &node.pods {
            if !required.is_empty() && required.iter().all(|term| term.matches(there, spaces)) {
                let places = required
                    .iter()
                    .filter_map(|term| Some((term.topology_key.as_str(), node.label(&term.topology_key)?)));
                domains.wanted.extend(places);
            }
            let avoided = anti.iter().filter(|term| term.matches(there, spaces));
            let places = avoided
                .filter_map(|term| Some((term.topology_key.as_str(), node.label(&term.topology_key)?)));
            domains.avoided.extend(places);
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::reasons;
    use serde_json::{Value, json};

    fn term(app: &str, key: &str) -> Value {
        json!({"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}]})
    }

    fn with(app: &str, kind: &str, other: &str, key: &str) -> Value {
        json!({"labels": {"app": app}, "spec": {"affinity": {kind: term(other, key)}}})
    }

    #[test]
    fn pods_attract_and_repel_within_a_domain() {
        let (near, far) = ("podAffinity", "podAntiAffinity");
        let plain = |app: &str| json!({"labels": {"app": app}});
        let zone = |zone: &str, pods: Vec<Value>| (json!({"labels": {"zone": zone}}), pods);
        let affinity = "node(s) didn't match pod affinity rules";
        let anti = "node(s) didn't match pod anti-affinity rules";
        let existing = "node(s) didn't satisfy existing pods anti-affinity rules";
        for (why, incoming, nodes, expected) in [
            ("together", with("web", near, "db", "zone"), vec![zone("a", vec![plain("db")])], vec![]),
            (
                "in the same zone",
                with("web", near, "db", "zone"),
                vec![zone("a", vec![]), zone("a", vec![plain("db")])],
                vec![],
            ),
            (
                "elsewhere",
                with("web", near, "db", "zone"),
                vec![zone("a", vec![]), zone("b", vec![plain("db")])],
                vec![affinity],
            ),
            ("the first of its kind", with("web", near, "web", "zone"), vec![zone("a", vec![])], vec![]),
            ("nobody there", with("web", near, "db", "zone"), vec![zone("a", vec![])], vec![affinity]),
            ("apart", with("web", far, "web", "zone"), vec![zone("a", vec![plain("web")])], vec![anti]),
            (
                "apart is fine",
                with("web", far, "web", "zone"),
                vec![zone("a", vec![]), zone("b", vec![plain("web")])],
                vec![],
            ),
            ("refused", plain("web"), vec![zone("a", vec![with("db", far, "web", "zone")])], vec![existing]),
            ("not meant", plain("api"), vec![zone("a", vec![with("db", far, "web", "zone")])], vec![]),
        ] {
            assert_eq!(reasons(&FILTER, incoming, nodes), expected, "{why}");
        }
    }

    #[test]
    fn other_namespaces_count_only_when_named() {
        let elsewhere = |more: Value| {
            let mut term = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "db"}}});
            for (key, value) in more.as_object().unwrap() {
                term[key] = value.clone();
            }
            json!({"spec": {"affinity": {"podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [term]}}}})
        };
        let nodes = || {
            vec![(
                json!({"labels": {"zone": "a"}}),
                vec![json!({"namespace": "other", "labels": {"app": "db"}})],
            )]
        };
        assert!(reasons(&FILTER, elsewhere(json!({})), nodes()).is_empty());
        assert!(!reasons(&FILTER, elsewhere(json!({"namespaces": ["other"]})), nodes()).is_empty());
        assert!(!reasons(&FILTER, elsewhere(json!({"namespaceSelector": {}})), nodes()).is_empty());
    }
}
