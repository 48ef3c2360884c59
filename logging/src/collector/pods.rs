//! Labels, owners and annotations of the node's Pods and of namespaces, from the API
//! into the tables that outlive them.

use std::{convert::Infallible, sync::Arc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, runtime::watcher};
use tiphys_client::{Cache, Change};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::watch;

use super::known::Known;
use crate::{
    index::{PodMeta, Store},
    policy,
};

/// Keeps the table of Pods up to date until `tasks` stops; `ready` becomes true with the first list.
pub fn follow(
    client: kube::Client,
    node: &str,
    store: Arc<Store>,
    ready: watch::Sender<bool>,
    tasks: &Tasks,
) {
    let on_node = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let cache = Cache::start(tasks, Api::<Pod>::all(client), on_node);
    tasks.spawn("log metadata", OnError::Log, async move {
        let mut changes = std::pin::pin!(cache.changes());
        cache.ready().await;
        sync(&store, &cache.list());
        ready.send_replace(true);
        while let Some(change) = changes.next().await {
            match change {
                Change::Applied(pod) => update(&store, &pod, false),
                // Its last state counts: its records are still there.
                Change::Deleted(pod) => update(&store, &pod, true),
                Change::Resync => sync(&store, &cache.list()),
            }
        }
        Ok::<(), Infallible>(())
    });
}

/// The same for the table of namespaces.
pub fn follow_namespaces(client: kube::Client, known: Known, store: Arc<Store>, tasks: &Tasks) {
    let cache = Cache::start(tasks, Api::<Namespace>::all(client), watcher::Config::default());
    tasks.spawn("log policies", OnError::Log, async move {
        let mut changes = std::pin::pin!(cache.changes());
        cache.ready().await;
        let rules = known.rules().clone();
        let saw_all = || rules.saw_all(&cache.list()).into_iter().for_each(|name| known.ask_again(name));
        saw_all();
        store.refresh_floors();
        while let Some(change) = changes.next().await {
            match change {
                Change::Applied(namespace) => drop(rules.saw(&namespace, false)),
                Change::Deleted(namespace) => drop(rules.saw(&namespace, true)),
                Change::Resync => saw_all(),
            }
            store.refresh_floors();
        }
        Ok::<(), Infallible>(())
    });
}

fn sync(store: &Store, pods: &[Arc<Pod>]) {
    pods.iter().for_each(|pod| update(store, pod, false));
    store.pods().mark_gone_except(&pods.iter().filter_map(|pod| uid(pod).cloned()).collect());
}

fn update(store: &Store, pod: &Pod, gone: bool) {
    if let Some(uid) = uid(pod) {
        store.pods().update(uid, PodMeta { gone, ..meta(pod) });
    }
}

/// The UID in the name of the Pod's log folder: a static Pod's is that of its
/// file, not of its mirror.
pub fn uid(pod: &Pod) -> Option<&String> {
    let annotations = pod.metadata.annotations.as_ref();
    let of_file = annotations.and_then(|annotations| annotations.get("kubernetes.io/config.hash"));
    of_file.or(pod.metadata.uid.as_ref())
}

/// What the table has of a Pod.
pub fn meta(pod: &Pod) -> PodMeta {
    let metadata = &pod.metadata;
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true));
    PodMeta {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        labels: Arc::new(metadata.labels.clone().unwrap_or_default()),
        owner: owner.map(|owner| format!("{}/{}", owner.kind, owner.name)).unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        annotations: policy::own(metadata.annotations.iter().flatten()),
        gone: false,
    }
}
