//! A control plane in a temporary folder.

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{Event, Node, Pod},
    },
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tempfile::TempDir;
use tiphys_api::auth::UserInfo;
use tiphys_apiserver::{
    ApiServer, Config,
    pki::{ClusterPki, FrontProxy},
};
use tiphys_client::{Cache, Shared, in_memory};
use tiphys_lifecycle::Tasks;
use tiphys_store::Embedded;
use tiphys_telemetry::Component;
use tracing_subscriber::EnvFilter;

use crate::kubelet;

/// An upper bound: a test that waits that long fails.
pub const LIMIT: Duration = Duration::from_secs(120);

pub struct Plane {
    pub client: Client,
    pub pods: Cache<Pod>,
    pub deployments: Cache<Deployment>,
    pub sets: Cache<ReplicaSet>,
    pub tasks: Tasks,
    pub server: ApiServer,
    pub pki: ClusterPki,
    _folder: TempDir,
}

impl Plane {
    /// API server, controllers, scheduler and so many Nodes, `node-0` and on.
    pub async fn start(nodes: usize) -> Self {
        let plane = Self::without_kubelets().await;
        for number in 0..nodes {
            plane.add_node(&format!("node-{number}")).await;
        }
        kubelet::start(&plane.client, &plane.tasks);
        plane
    }

    pub async fn without_kubelets() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // What went on, when a test is run with RUST_LOG.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let store = Embedded::open(folder.path().join("store"), &tasks).await.unwrap();
        let pki = ClusterPki::load_or_create(&folder.path().join("pki")).unwrap();
        let front_proxy = FrontProxy::load_or_create(&folder.path().join("pki")).unwrap();
        let config = Config::standard(&pki, front_proxy).unwrap();
        let server = ApiServer::start(config, store, &tasks).await.unwrap();
        let client = in_memory(server.handler(), UserInfo::master("system:control-plane"));
        let config = tiphys_controllers::Config {
            cluster_cidr: "10.244.0.0/16".to_owned(),
            root_ca_pem: "the cluster's CA".to_owned(),
            authority: tiphys_controllers::Authority {
                certificate_pem: pki.ca_pem().to_owned(),
                key_pem: pki.ca_key_pem(),
            },
            token_key: tiphys_controllers::TokenKey(pki.service_account_key().to_owned()),
        };
        let shared = Shared::start(&client, &tasks);
        tiphys_controllers::start(config, client.clone(), &shared, &tasks, &Component::new("controllers"))
            .unwrap();
        let component = Component::new("scheduler");
        tiphys_scheduler::start(
            tiphys_scheduler::Config::default(),
            client.clone(),
            &shared,
            &tasks,
            &component,
        );
        let plane = Self {
            pods: cache(&client, &tasks),
            deployments: cache(&client, &tasks),
            sets: cache(&client, &tasks),
            client,
            tasks,
            server,
            pki,
            _folder: folder,
        };
        plane.default_account().await;
        plane
    }

    /// No Pod is admitted before its namespace has its account.
    async fn default_account(&self) {
        let accounts = cache::<k8s_openapi::api::core::v1::ServiceAccount>(&self.client, &self.tasks);
        until("default account", &accounts, |all| {
            all.iter().any(|one| one.metadata.namespace.as_deref() == Some("default"))
        })
        .await;
    }

    pub async fn add_node(&self, name: &str) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        });
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        let status = json!({"status": {
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }});
        nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    pub async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    pub async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// In the namespace `default`.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub async fn deploy(&self, name: &str, replicas: i32) -> Deployment {
        self.create(deployment(name, replicas)).await
    }

    /// Resolves when `kubectl rollout status` would say that it is rolled out.
    pub async fn rolled_out(&self, name: &str) -> Arc<Deployment> {
        // The cache may be behind the last write.
        let generation = self.api::<Deployment>().get(name).await.unwrap().metadata.generation;
        let is_done =
            |one: &Arc<Deployment>| named(one, name) && one.metadata.generation >= generation && done(one);
        until(&format!("rollout of {name}"), &self.deployments, |all| all.iter().any(is_done)).await;
        self.deployments.get("default", name).unwrap()
    }

    /// Resolves when the messages of the events with this reason are as wanted: they are written a
    /// moment after what they tell of.
    pub async fn events(&self, reason: &str, wanted: impl Fn(&[String]) -> bool) {
        let events = cache::<Event>(&self.client, &self.tasks);
        let is_it = |event: &&Arc<Event>| {
            let namespace = event.metadata.namespace.as_deref();
            namespace == Some("default") && event.reason.as_deref() == Some(reason)
        };
        until(&format!("events {reason}"), &events, |all| {
            let messages = all.iter().filter(is_it).filter_map(|event| event.message.clone());
            wanted(&messages.collect::<Vec<_>>())
        })
        .await;
    }

    /// Resolves when the scheduler says so of a Pod that no node has room for: what was written about
    /// nodes before, it has heard of.
    pub async fn scheduler_says(&self, words: &str) {
        for number in 0.. {
            let name = format!("without-room-{number}");
            let container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": "99"}}});
            let pod = json!({"metadata": {"name": name}, "spec": {"containers": [container]}});
            self.create::<Pod>(pod).await;
            let said = |pods: &[Arc<Pod>]| {
                let pod = pods.iter().find(|pod| named(pod, &name))?;
                let conditions = pod.status.as_ref()?.conditions.as_ref()?;
                conditions.iter().find(|one| one.type_ == "PodScheduled")?.message.clone()
            };
            until("the scheduler says why", &self.pods, |pods| said(pods).is_some()).await;
            let is_it = said(&self.pods.list()).is_some_and(|message| message.contains(words));
            self.api::<Pod>().delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
            until("it is gone", &self.pods, |pods| !pods.iter().any(|pod| named(pod, &name))).await;
            if is_it {
                return;
            }
        }
    }

    pub async fn stop(self) {
        let left = self.tasks.shutdown(LIMIT).await;
        assert!(left.is_empty(), "{left:?}");
    }
}

pub fn deployment(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "app:1"}]},
            },
        },
    })
}

fn done(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.replicas;
    let status = deployment.status.clone().unwrap_or_default();
    status.observed_generation == deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) == wanted.unwrap_or(1)
        && status.replicas.unwrap_or(0) == wanted.unwrap_or(1)
        && status.available_replicas.unwrap_or(0) == wanted.unwrap_or(1)
}

pub fn named<K: Resource>(object: &Arc<K>, name: &str) -> bool {
    object.meta().name.as_deref() == Some(name)
}

pub fn cache<K>(client: &Client, tasks: &Tasks) -> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    Cache::start(tasks, Api::all(client.clone()), watcher::Config::default())
}

/// Resolves when all objects together are as wanted.
pub async fn until<K>(what: &str, cache: &Cache<K>, wanted: impl Fn(&[Arc<K>]) -> bool)
where
    K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let mut changes = std::pin::pin!(cache.changes());
    let waiting = async {
        cache.ready().await;
        while !wanted(&cache.list()) {
            changes.next().await;
        }
    };
    if tokio::time::timeout(LIMIT, waiting).await.is_err() {
        let objects: Vec<_> =
            cache.list().iter().map(|object| serde_json::to_string(&**object).unwrap()).collect();
        panic!("{what}: not within {LIMIT:?}: {}", objects.join("\n"));
    }
}
