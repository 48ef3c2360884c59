//! A Pod as all parts of a server but the kubelet read it.
//!
//! A cluster has very many Pods, and decoded, one takes several times its bytes:
//! most of it says again what its siblings say, or what only its kubelet reads. So
//! a [`LeanPod`] has its own few words, and shares with its like the labels, most
//! annotations, the owners and a spec without what is for kubelets: [`trim`] is the
//! list of that.
//! Who needs the whole Pod reads it from the API.

mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use k8s_openapi::{
    api::core::v1::{Container, PodCondition, PodSpec},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
    jiff::Timestamp,
};
use serde::{Deserialize, Deserializer};
use tiphys_api::{
    labels::{Label, Labels},
    names::TRACEPARENT,
};

use crate::{
    Held, Metadata,
    pool::{Hashed, Pool, Pooled, one_word, same_owners},
};
pub use wire::WirePod;
use wire::{WireContainer, WireStatus};

/// How costly it is to delete the Pod: its owner's other Pods go first.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Whether and where a Pod's metrics are scraped: scrape, port, path, scheme.
pub const SCRAPED: [&str; 4] =
    ["prometheus.io/scrape", "prometheus.io/port", "prometheus.io/path", "prometheus.io/scheme"];
/// The annotations that are held whatever they say, and not shared: many differ from Pod to Pod.
const ANNOTATIONS: [&str; 6] = [DELETION_COST, TRACEPARENT, SCRAPED[0], SCRAPED[1], SCRAPED[2], SCRAPED[3]];

/// Bytes of an annotation that is held: what is longer is somebody's document, and nobody here reads it.
const LONGEST: usize = 1024;
/// Bytes of a Pod's annotations; in order of their names, those beyond are not held.
const MOST: usize = 8 * 1024;

/// Absent strings are empty.
#[derive(Debug)]
pub struct LeanPod {
    pub namespace: Arc<str>,
    pub name: Box<str>,
    pub uid: Box<str>,
    pub resource_version: Box<str>,
    pub created: Timestamp,
    pub deletion: Option<Timestamp>,
    pub labels: Labels,
    pub owners: Pooled<Vec<OwnerReference>>,
    annotations: Box<[(&'static str, Box<str>)]>,
    /// The other annotations, which siblings have alike.
    shared_annotations: Labels,
    /// `spec.nodeName`.
    pub node: Arc<str>,
    /// Without the node, and without what [`trim`] takes away.
    pub spec: Pooled<PodSpec>,
    pub status: LeanStatus,
}

#[derive(Debug, Default)]
pub struct LeanStatus {
    /// `Pending` when it says nothing.
    pub phase: Phase,
    pub conditions: Box<[Condition]>,
    /// `podIPs`, or the one `podIP`.
    pub ips: Box<[Box<str>]>,
    pub started: Option<Timestamp>,
    /// The most restarts of any of its containers.
    pub restarts: i32,
    /// How many of its containers run, without those that initialize it.
    pub running: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: Arc<str>,
    /// `True`, and neither `False` nor `Unknown`.
    pub holds: bool,
    pub message: Box<str>,
    /// Its last transition.
    pub since: Option<Timestamp>,
}

impl LeanPod {
    /// Succeeded or Failed: its containers never run again.
    pub fn finished(&self) -> bool {
        matches!(self.status.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Names and values of its annotations, but for long ones.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.annotations.iter().map(|(name, value)| (*name, &**value));
        own.chain(self.shared_annotations.iter())
    }

    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| &*condition.kind == kind)
    }
}

impl Held for LeanPod {
    type Wire = WirePod;

    fn hold(wire: WirePod) -> Self {
        let mut meta = wire.metadata;
        let mut spec = wire.spec.unwrap_or_default();
        let node = spec.node_name.take().unwrap_or_default();
        trim(&mut spec);
        let said = meta.annotations.as_ref();
        let held = |key: &'static str| Some((key, said?.get(key)?.as_str().into()));
        Self {
            annotations: ANNOTATIONS.into_iter().filter_map(held).collect(),
            shared_annotations: labels(short(meta.annotations.take())),
            namespace: one_word(&meta.namespace.unwrap_or_default()),
            name: meta.name.unwrap_or_default().into(),
            uid: meta.uid.unwrap_or_default().into(),
            resource_version: meta.resource_version.unwrap_or_default().into(),
            created: meta.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            deletion: meta.deletion_timestamp.map(|time| time.0),
            labels: labels(meta.labels.into_iter().flatten()),
            owners: same_owners(meta.owner_references.unwrap_or_default()),
            node: one_word(&node),
            spec: SPECS.one(Hashed::new(spec)),
            status: LeanStatus::new(wire.status.unwrap_or_default()),
        }
    }
}

impl Metadata for LeanPod {
    type Labels = Labels;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn uid(&self) -> &str {
        &self.uid
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn deletion(&self) -> Option<Timestamp> {
        self.deletion
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        let own = self.annotations.iter().find(|(held, _)| *held == key).map(|(_, value)| &**value);
        own.or_else(|| self.shared_annotations.get(key))
    }

    fn owners(&self) -> &[OwnerReference] {
        &self.owners
    }
}

impl<'de> Deserialize<'de> for LeanPod {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        WirePod::deserialize(from).map(Self::hold)
    }
}

/// Takes away what only a kubelet reads. Who comes to need one of these takes it off this list.
fn trim(spec: &mut PodSpec) {
    let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    for container in containers {
        let kept = std::mem::take(container);
        *container = Container {
            name: kept.name,
            image: kept.image,
            ports: kept.ports,
            resources: kept.resources,
            restart_policy: kept.restart_policy,
            ..Container::default()
        };
    }
    spec.ephemeral_containers = None;
    spec.image_pull_secrets = None;
    spec.security_context = None;
    spec.dns_config = None;
    spec.host_aliases = None;
    spec.readiness_gates = None;
    for volume in spec.volumes.iter_mut().flatten() {
        volume.projected = None;
        volume.config_map = None;
        volume.secret = None;
        volume.downward_api = None;
    }
}

impl LeanStatus {
    fn new(wire: WireStatus) -> Self {
        let listed = wire.pod_ips.unwrap_or_default().into_iter().map(|ip| ip.ip);
        let mut ips: Vec<Box<str>> = listed.filter(|ip| !ip.is_empty()).map(Into::into).collect();
        let one = wire.pod_ip.filter(|ip| !ip.is_empty() && !ips.iter().any(|other| **other == **ip));
        ips.extend(one.map(Into::into));
        let containers = wire.container_statuses.unwrap_or_default();
        let all = containers.iter().chain(wire.init_container_statuses.iter().flatten());
        let restarts = all.map(|container| container.restart_count).max().unwrap_or(0);
        let runs = |container: &&WireContainer| container.state.running.is_some();
        Self {
            phase: match wire.phase.as_deref() {
                Some("Running") => Phase::Running,
                Some("Succeeded") => Phase::Succeeded,
                Some("Failed") => Phase::Failed,
                Some("Unknown") => Phase::Unknown,
                _ => Phase::Pending,
            },
            conditions: wire.conditions.unwrap_or_default().into_iter().map(Condition::from).collect(),
            ips: ips.into(),
            started: wire.start_time.map(|time| time.0),
            restarts,
            running: containers.iter().filter(runs).count(),
        }
    }
}

impl From<PodCondition> for Condition {
    fn from(condition: PodCondition) -> Self {
        Self {
            kind: one_word(&condition.type_),
            holds: condition.status == "True",
            message: condition.message.unwrap_or_default().into(),
            since: condition.last_transition_time.map(|time| time.0),
        }
    }
}

/// The annotations that are short enough to be held, without those that each Pod holds by itself.
fn short(annotations: Option<BTreeMap<String, String>>) -> impl Iterator<Item = (String, String)> {
    let mut bytes = 0;
    let is_shared =
        |(name, value): &(String, String)| !ANNOTATIONS.contains(&name.as_str()) && value.len() <= LONGEST;
    annotations.into_iter().flatten().filter(is_shared).take_while(move |(name, value)| {
        bytes += name.len() + value.len();
        bytes <= MOST
    })
}

static LABELS: LazyLock<Pool<[Label]>> = LazyLock::new(Pool::default);
static SPECS: LazyLock<Pool<Hashed<PodSpec>>> = LazyLock::new(Pool::default);

fn labels(labels: impl Iterator<Item = (String, String)>) -> Labels {
    let labels: Vec<Label> = labels.map(|(key, value)| (key.into(), value.into())).collect();
    Labels(LABELS.one(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(number: u32, spec: Value) -> LeanPod {
        serde_json::from_value(json!({
            "metadata": {
                "name": format!("web-{number}"), "namespace": "default", "uid": number.to_string(),
                "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": "web"}, "annotations": {DELETION_COST: "3", "other": "x"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u"}],
                "managedFields": [{"fieldsV1": {"f:metadata": {}}}],
            },
            "spec": spec,
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "containerStatuses": [{"name": "c", "restartCount": 2, "state": {"running": {"startedAt": null}}},
                    {"name": "d", "restartCount": 0, "state": {"waiting": {}}}],
            },
        }))
        .expect("a Pod")
    }

    #[test]
    fn siblings_share_what_they_have_alike() {
        let spec = |node: &str, number: u32| {
            json!({"nodeName": node, "containers": [{"name": "c", "image": "i",
                "env": [{"name": "NUMBER", "value": number.to_string()}]}]})
        };
        let (one, two) = (pod(1, spec("a", 1)), pod(2, spec("b", 2)));
        assert!(Arc::ptr_eq(&one.spec, &two.spec) && Arc::ptr_eq(&one.owners, &two.owners));
        assert!(Arc::ptr_eq(&one.labels.0, &two.labels.0) && Arc::ptr_eq(&one.namespace, &two.namespace));
        assert_eq!((&*one.node, &*two.node), ("a", "b"));
        let other = pod(3, json!({"containers": [{"name": "c", "image": "other"}]}));
        assert!(!Arc::ptr_eq(&one.spec, &other.spec));
    }

    #[test]
    fn siblings_share_their_annotations_and_long_ones_are_not_held() {
        let pod = |annotations: Value| -> LeanPod {
            let metadata = json!({"name": "a", "namespace": "b", "annotations": annotations});
            serde_json::from_value(json!({"metadata": metadata})).expect("a Pod")
        };
        let of =
            |cost: &str| pod(json!({DELETION_COST: cost, "sum": "7", (SCRAPED[0]): "true", "zone": "z"}));
        let (one, two) = (of("1"), of("2"));
        assert!(Arc::ptr_eq(&one.shared_annotations.0, &two.shared_annotations.0));
        let told: Vec<_> = two.annotations().collect();
        assert_eq!(told, [(DELETION_COST, "2"), (SCRAPED[0], "true"), ("sum", "7"), ("zone", "z")]);
        let (long, longest) = ("x".repeat(LONGEST + 1), "x".repeat(LONGEST));
        let some = pod(json!({"document": long, "note": longest, (SCRAPED[1]): long}));
        assert_eq!(some.annotations().map(|(name, _)| name).collect::<Vec<_>>(), [SCRAPED[1], "note"]);
        let many = (0..20).map(|n| (format!("n{n:02}"), Value::from(longest.as_str()))).collect();
        assert_eq!(pod(Value::Object(many)).annotations().last().map(|(name, _)| name), Some("n06"));
    }

    #[test]
    fn what_is_read_is_there_and_the_rest_is_not() {
        let pod = pod(
            1,
            json!({"containers": [{"name": "c", "command": ["x"], "ports": [{"containerPort": 80}]}]}),
        );
        assert_eq!(
            (pod.name(), pod.annotation(DELETION_COST), pod.annotation("other")),
            ("web-1", Some("3"), Some("x"))
        );
        assert_eq!((pod.owners()[0].uid.as_str(), pod.labels.get("app")), ("u", Some("web")));
        assert!(pod.condition("Ready").is_some_and(|ready| ready.holds && ready.since.is_some()));
        let ips: Vec<_> = pod.status.ips.iter().map(|ip| &**ip).collect();
        assert_eq!((ips, pod.status.restarts, pod.status.running), (vec!["10.0.0.1", "fd00::1"], 2, 1));
        let container = &pod.spec.containers[0];
        assert!(container.command.is_none() && container.ports.is_some());
    }
}
