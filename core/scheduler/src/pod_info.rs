//! A Pod as the scheduler sees it: everything that filters and scores need,
//! parsed once.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use k8s_openapi::{
    api::core::v1::{PodAffinityTerm, PodSpec, Toleration, TopologySpreadConstraint},
    apimachinery::pkg::apis::meta::v1,
};
use tiphys_api::{labels::Labels, selector::LabelSelector};
use tiphys_client::LeanPod;

use crate::resources::{Resources, requests};

/// Labels of a Node or a namespace.
pub type LabelTree = BTreeMap<String, String>;

#[derive(Debug)]
pub struct PodInfo {
    /// The object, shared with the watch cache.
    pub pod: Arc<LeanPod>,
    pub priority: i32,
    /// What it asks for.
    pub requests: Resources,
    /// What it counts as when Nodes are compared.
    pub counted: Resources,
    pub ports: Vec<HostPort>,
    /// Stands for the UID of its controller.
    pub owner: Option<u64>,
    pub spread: Vec<Spread>,
    pub affinity: Affinity,
}

impl Deref for PodInfo {
    type Target = LeanPod;

    fn deref(&self) -> &LeanPod {
        &self.pod
    }
}

/// A port of the Node that the Pod takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub ip: String,
    pub protocol: String,
    pub port: i32,
}

impl HostPort {
    /// The same port on the same address, or on all of them.
    pub fn conflicts(&self, other: &Self) -> bool {
        let wild = |ip: &str| ip == "0.0.0.0" || ip == "::";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || wild(&self.ip) || wild(&other.ip))
    }
}

/// A topology spread constraint.
#[derive(Debug)]
pub struct Spread {
    pub key: String,
    pub max_skew: i64,
    pub min_domains: usize,
    /// DoNotSchedule.
    pub hard: bool,
    pub honor_affinity: bool,
    pub honor_taints: bool,
    pub selector: Option<LabelSelector>,
}

/// Inter-Pod affinity, all four lists. Preferred ones carry their weight.
#[derive(Debug, Default)]
pub struct Affinity {
    pub required: Vec<Term>,
    pub required_anti: Vec<Term>,
    /// Anti-affinity has a negative weight.
    pub preferred: Vec<(i64, Term)>,
}

impl Affinity {
    pub fn is_empty(&self) -> bool {
        self.required.is_empty() && self.required_anti.is_empty() && self.preferred.is_empty()
    }
}

#[derive(Debug)]
pub struct Term {
    pub topology_key: String,
    /// `None` matches no Pod.
    selector: Option<LabelSelector>,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
}

impl Term {
    fn parse(term: &PodAffinityTerm, own_namespace: &str) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(own_namespace.to_owned());
        }
        Self {
            topology_key: term.topology_key.clone(),
            selector: term.label_selector.as_ref().and_then(selector),
            namespaces,
            namespace_selector: term.namespace_selector.as_ref().and_then(selector),
        }
    }

    /// Whether the term means this Pod. `namespaces` are the labels of all namespaces.
    pub fn matches(&self, pod: &PodInfo, namespaces: &BTreeMap<String, LabelTree>) -> bool {
        let Some(selector) = &self.selector else { return false };
        let there = self.namespaces.iter().any(|name| **name == *pod.namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| {
                selector.selects_all()
                    || namespaces.get(&*pod.namespace).is_some_and(|labels| selector.matches(labels))
            });
        there && selector.matches(&pod.labels)
    }
}

/// `None` for one that can't be parsed: it matches nothing.
fn selector(selector: &v1::LabelSelector) -> Option<LabelSelector> {
    LabelSelector::try_from(selector).ok()
}

impl PodInfo {
    pub fn new(pod: Arc<LeanPod>) -> Self {
        let spec = &pod.spec;
        let (requests, counted) = requests(spec);
        Self {
            priority: spec.priority.unwrap_or(0),
            requests,
            counted,
            ports: ports(spec),
            owner: owner(&pod),
            spread: spread(spec, &pod.labels),
            affinity: affinity(spec, &pod.namespace),
            pod,
        }
    }

    pub fn tolerations(&self) -> &[Toleration] {
        self.spec.tolerations.as_deref().unwrap_or_default()
    }

    pub fn deleting(&self) -> bool {
        self.deletion.is_some()
    }
}

fn ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let open = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    open.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        Some(HostPort { ip, protocol, port: number })
    })
    .collect()
}

fn owner(pod: &LeanPod) -> Option<u64> {
    let controller = pod.owners.iter().find(|owner| owner.controller == Some(true))?;
    let mut hasher = DefaultHasher::new();
    controller.uid.hash(&mut hasher);
    Some(hasher.finish())
}

fn spread(spec: &PodSpec, labels: &Labels) -> Vec<Spread> {
    let constraints = spec.topology_spread_constraints.iter().flatten();
    constraints
        .map(|constraint| Spread {
            key: constraint.topology_key.clone(),
            max_skew: i64::from(constraint.max_skew),
            min_domains: constraint.min_domains.unwrap_or(1).max(1) as usize,
            hard: constraint.when_unsatisfiable == "DoNotSchedule",
            honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
            selector: spread_selector(constraint, labels),
        })
        .collect()
}

/// The constraint's selector, narrowed to the Pod's own values of `matchLabelKeys`.
fn spread_selector(constraint: &TopologySpreadConstraint, labels: &Labels) -> Option<LabelSelector> {
    let mut selector = selector(constraint.label_selector.as_ref()?)?;
    let keys = constraint.match_label_keys.iter().flatten();
    let own: Vec<_> = keys.filter_map(|key| Some((key, labels.get(key)?.to_owned()))).collect();
    selector.and(LabelSelector::equal(own.iter().map(|(key, value)| (*key, value))));
    Some(selector)
}

fn affinity(spec: &PodSpec, namespace: &str) -> Affinity {
    let Some(affinity) = &spec.affinity else { return Affinity::default() };
    let parse = |terms: &Option<Vec<PodAffinityTerm>>| -> Vec<Term> {
        terms.iter().flatten().map(|term| Term::parse(term, namespace)).collect()
    };
    let mut all = Affinity::default();
    if let Some(with) = &affinity.pod_affinity {
        all.required = parse(&with.required_during_scheduling_ignored_during_execution);
        for preferred in with.preferred_during_scheduling_ignored_during_execution.iter().flatten() {
            all.preferred
                .push((i64::from(preferred.weight), Term::parse(&preferred.pod_affinity_term, namespace)));
        }
    }
    if let Some(without) = &affinity.pod_anti_affinity {
        all.required_anti = parse(&without.required_during_scheduling_ignored_during_execution);
        for preferred in without.preferred_during_scheduling_ignored_during_execution.iter().flatten() {
            all.preferred
                .push((-i64::from(preferred.weight), Term::parse(&preferred.pod_affinity_term, namespace)));
        }
    }
    all
}
