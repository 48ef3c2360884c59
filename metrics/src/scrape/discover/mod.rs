//! Which targets there are: from annotations of Pods and Services, from ServiceMonitors and
//! PodMonitors, and those of Tiphys' own.
//!
//! ```text
//! watched copies ─> World ─┬─> annotated (Pods, Services)
//!                          ├─> monitors (spec ─> jobs; service, pod ─> targets)      ─> Found
//!                          └─> own (components, kubelets, collectors)
//! ```
//!
//! Pure: [`watch`] brings the copies and calls [`find`] when one of them changes.

mod annotated;
mod labels;
mod monitor;
pub mod own;
mod pod;
mod service;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod watch;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use k8s_openapi::api::{
    core::v1::{Namespace, Node, Service},
    discovery::v1::EndpointSlice,
};
use tiphys_api::names::SYSTEM_NAMESPACE;
use tiphys_client::LeanPod;

use super::target::{Job, Target, target};
use spec::{PodMonitor, ServiceMonitor};

/// A namespace with this label, `true`: targets that its monitors name may speak for other namespaces.
pub const ANY_NAMESPACE: &str = "metrics.tiphys.io/any-namespace";
/// Dropped targets that are told.
const TOLD: usize = 500;
/// Targets that Pods, Services and monitors of one namespace may name: each costs a task, and the series
/// by which its scrapes tell of themselves, which no limit of series refuses before.
const MOST: usize = 20_000;

/// Everything that says what is scraped.
pub struct World {
    pub pods: Vec<Arc<LeanPod>>,
    pub services: Vec<Arc<Service>>,
    pub slices: Vec<Arc<EndpointSlice>>,
    pub namespaces: Vec<Arc<Namespace>>,
    pub nodes: Vec<Arc<Node>>,
    pub service_monitors: Vec<Arc<ServiceMonitor>>,
    pub pod_monitors: Vec<Arc<PodMonitor>>,
}

/// Something that can't be scraped as it is written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Such as `serviceMonitor/shop/web/0`.
    pub pool: String,
    pub namespace: String,
    pub message: String,
}

/// A target that relabeling has dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub pool: String,
    pub namespace: String,
    pub discovered: BTreeMap<String, String>,
}

/// What is scraped, and what isn't.
#[derive(Debug, Default)]
pub struct Found {
    pub targets: Vec<Target>,
    pub dropped: Vec<Dropped>,
    /// Those of `dropped` that are not told, by pool.
    pub dropped_counts: BTreeMap<String, usize>,
    pub problems: Vec<Problem>,
    /// How many targets each namespace names, with those that are too many.
    named: HashMap<String, usize>,
}

impl Found {
    fn problem(&mut self, pool: &str, namespace: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            pool: pool.to_owned(),
            namespace: namespace.to_owned(),
            message: message.into(),
        });
    }

    /// Adds a job's targets by their discovered labels. They are in `namespace`; who names them is of
    /// the namespace `by`.
    fn add(&mut self, job: &Arc<Job>, by: &str, namespace: &str, all: Vec<BTreeMap<String, String>>) {
        let mut targets = Vec::new();
        for discovered in all {
            match target(job, discovered.clone()) {
                Ok(Some(target)) => targets.push(target),
                Ok(None) => {
                    *self.dropped_counts.entry(job.name.clone()).or_default() += 1;
                    if self.dropped.len() < TOLD {
                        let (pool, namespace) = (job.name.clone(), namespace.to_owned());
                        self.dropped.push(Dropped { pool, namespace, discovered });
                    }
                }
                Err(why) => self.problem(&job.name, namespace, why),
            }
        }
        if job.target_limit > 0 && targets.len() > job.target_limit {
            let why = format!("{} targets are found, and targetLimit is {}", targets.len(), job.target_limit);
            self.problem(&job.name, namespace, why);
            return;
        }
        let named = self.named.entry(by.to_owned()).or_default();
        let before = *named;
        *named = before.saturating_add(targets.len());
        let is_first = before <= MOST && *named > MOST;
        targets.truncate(MOST.saturating_sub(before));
        if is_first {
            let why =
                format!("namespace {by:?} names more than {MOST} targets: those beyond are not scraped");
            self.problem(&job.name, by, why);
        }
        self.targets.extend(targets);
    }
}

/// What is looked up while targets are found.
struct Lookup<'a> {
    world: &'a World,
    pods: HashMap<(&'a str, &'a str), &'a LeanPod>,
    nodes: HashMap<&'a str, &'a Node>,
    /// By namespace and Service.
    slices: HashMap<(&'a str, &'a str), Vec<&'a EndpointSlice>>,
}

impl<'a> Lookup<'a> {
    fn new(world: &'a World) -> Self {
        let pods = world.pods.iter().map(|pod| ((&*pod.namespace, &*pod.name), &**pod)).collect();
        let named = |node: &'a Arc<Node>| Some((node.metadata.name.as_deref()?, &**node));
        let nodes = world.nodes.iter().filter_map(named).collect();
        let mut slices: HashMap<_, Vec<_>> = HashMap::new();
        for slice in &world.slices {
            let labels = slice.metadata.labels.as_ref();
            let service = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
            let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
            if let Some(service) = service {
                slices.entry((namespace, service.as_str())).or_default().push(&**slice);
            }
        }
        Self { world, pods, nodes, slices }
    }

    /// The address of a Pod's node, which is its `status.hostIP`.
    fn host_ip(&self, pod: &LeanPod) -> Option<&'a str> {
        let addresses = self.nodes.get(&*pod.node)?.status.as_ref()?.addresses.as_ref()?;
        addresses.iter().find(|one| one.type_ == "InternalIP").map(|one| one.address.as_str())
    }

    /// Puts in what is known of a node. Its annotations are for those whose monitors may say anything.
    fn attach_node(&self, name: &str, bound: bool, discovered: &mut labels::Discovered) {
        if let Some(node) = self.nodes.get(name) {
            labels::node(node, !bound, discovered);
        }
    }

    /// The namespace that all series of a monitor's targets get; none where it may say any.
    fn bound(&self, namespace: &str) -> bool {
        let trusted = self.world.namespaces.iter().any(|found| {
            let labels = found.metadata.labels.as_ref();
            found.metadata.name.as_deref() == Some(namespace)
                && labels.and_then(|labels| labels.get(ANY_NAMESPACE)).is_some_and(|value| value == "true")
        });
        !trusted && !matches!(namespace, SYSTEM_NAMESPACE | "kube-system")
    }
}

/// A bound job's series are of the namespace where its targets are; there, who wrote the monitor
/// can't put another server in a target's place.
fn bound_to(mut job: Job, namespace: &str) -> Job {
    if let Some(own) = &job.taking.namespace {
        job.pinned = own != namespace;
        let mut taking = (*job.taking).clone();
        taking.namespace = Some(namespace.to_owned());
        job.taking = Arc::new(taking);
        job.written = format!("{namespace} {}", job.written);
    }
    job
}

/// Tells what is written for an endpoint and isn't done.
fn tell_not_done(
    found: &mut Found,
    pool: &str,
    namespace: &str,
    monitor: &spec::Monitor,
    endpoint: &spec::Endpoint,
) {
    for what in monitor::not_done(monitor, endpoint) {
        found.problem(pool, namespace, what);
    }
}

/// What an endpoint says of the way to its targets.
fn asked(endpoint: &spec::Endpoint, discovered: &mut labels::Discovered) {
    // The operator takes schemes in capitals, too; relabeling sees them as Prometheus has them.
    let scheme = endpoint.scheme.to_ascii_lowercase();
    for (label, value) in [("__metrics_path__", &endpoint.path), ("__scheme__", &scheme)] {
        if !value.is_empty() {
            labels::set(discovered, label, value);
        }
    }
    for (name, values) in &endpoint.params {
        labels::set(discovered, &format!("__param_{name}"), values.first().map_or("", |value| value));
    }
}

/// Everything that is scraped in a world.
pub fn find(world: &World, own: &own::Own) -> Found {
    let mut found = Found::default();
    let lookup = Lookup::new(world);
    own::find(own, world, &mut found);
    annotated::pods(&lookup, &mut found);
    annotated::services(&lookup, &mut found);
    service::monitors(&lookup, &mut found);
    pod::monitors(&lookup, &mut found);
    found
}
