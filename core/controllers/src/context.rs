//! What every controller is handed: the client, the caches they share, the
//! event recorder, the configuration. One cache a kind serves all controllers.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet},
    certificates::v1::CertificateSigningRequest,
    coordination::v1::Lease,
    core::v1::{
        ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim,
        ReplicationController, ResourceQuota, Service, ServiceAccount,
    },
    discovery::v1::EndpointSlice,
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Client, runtime::watcher};
use tiphys_client::{Cache, Events, Held, LeanPod, Reporter, Shared};
use tiphys_lifecycle::Tasks;
use tiphys_telemetry::Component;

use crate::{Config, metric_names::Metrics, runtime::Controller, watched::Watched};

/// Where kubelets keep the Leases of their Nodes.
pub const NODE_LEASES: &str = "kube-node-lease";
/// The ConfigMap with the cluster's CA in every namespace.
pub const ROOT_CA: &str = "kube-root-ca.crt";
/// The ServiceAccount that every namespace has.
pub const DEFAULT_ACCOUNT: &str = "default";

#[derive(Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub client: Client,
    pub caches: Caches,
    pub events: Events,
    pub metrics: Metrics,
    pub tasks: Tasks,
}

/// The watched kinds.
#[derive(Clone)]
pub struct Caches {
    pub namespaces: Watched<Namespace>,
    pub nodes: Watched<Node>,
    /// Grouped by node.
    pub pods: Watched<LeanPod>,
    pub services: Watched<Service>,
    pub endpoints: Watched<Endpoints>,
    /// Grouped by nothing; look them up by namespace.
    pub slices: Watched<EndpointSlice>,
    /// Only those named `default`.
    pub accounts: Watched<ServiceAccount>,
    /// Only those named `kube-root-ca.crt`.
    pub root_cas: Watched<ConfigMap>,
    /// Only those in `kube-node-lease`.
    pub leases: Watched<Lease>,
    pub deployments: Watched<Deployment>,
    pub replica_sets: Watched<ReplicaSet>,
    pub replication_controllers: Watched<ReplicationController>,
    pub daemon_sets: Watched<DaemonSet>,
    pub stateful_sets: Watched<StatefulSet>,
    pub revisions: Watched<ControllerRevision>,
    pub budgets: Watched<PodDisruptionBudget>,
    pub quotas: Watched<ResourceQuota>,
    pub claims: Watched<PersistentVolumeClaim>,
    pub volumes: Watched<PersistentVolume>,
    pub certificate_requests: Watched<CertificateSigningRequest>,
}

impl Context {
    pub fn new(
        config: Config,
        client: Client,
        shared: &Shared,
        tasks: &Tasks,
        component: &Component,
    ) -> Self {
        Self {
            config: Arc::new(config),
            caches: Caches::start(&client, shared, tasks),
            events: Events::start(
                client.clone(),
                tasks,
                Reporter { component: "controller-manager", host: None },
            ),
            metrics: Metrics::register(component),
            tasks: tasks.clone(),
            client,
        }
    }

    /// Starts the controller's workers.
    pub fn run(&self, controller: Controller) {
        controller.run(self);
    }
}

impl Caches {
    fn start(client: &Client, shared: &Shared, tasks: &Tasks) -> Self {
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let leases = Api::namespaced(client.clone(), NODE_LEASES);
        Self {
            namespaces: all(client, tasks),
            nodes: Watched::start(tasks, shared.nodes.clone(), |_| None),
            pods: Watched::start(tasks, shared.pods.clone(), node_of),
            services: all(client, tasks),
            endpoints: all(client, tasks),
            slices: all(client, tasks),
            accounts: Watched::start(tasks, cache(client, tasks, named(DEFAULT_ACCOUNT)), |_| None),
            root_cas: Watched::start(tasks, cache(client, tasks, named(ROOT_CA)), |_| None),
            leases: Watched::start(tasks, Cache::start(tasks, leases, watcher::Config::default()), |_| None),
            deployments: all(client, tasks),
            replica_sets: all(client, tasks),
            replication_controllers: all(client, tasks),
            daemon_sets: all(client, tasks),
            stateful_sets: all(client, tasks),
            revisions: all(client, tasks),
            budgets: all(client, tasks),
            quotas: all(client, tasks),
            claims: all(client, tasks),
            volumes: all(client, tasks),
            certificate_requests: all(client, tasks),
        }
    }
}

fn node_of(pod: &LeanPod) -> Option<&str> {
    Some(&*pod.node).filter(|name| !name.is_empty())
}

fn cache<K: Held>(client: &Client, tasks: &Tasks, config: watcher::Config) -> Cache<K> {
    Cache::start(tasks, Api::all(client.clone()), config)
}

fn all<K: Held>(client: &Client, tasks: &Tasks) -> Watched<K> {
    Watched::start(tasks, cache(client, tasks, watcher::Config::default()), |_| None)
}
