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
    let Some(uid) = uid(pod) else { return };
    let meta = PodMeta { gone, ..meta(pod) };
    let has_name = |known: &PodMeta| known.namespace == meta.namespace && known.name == meta.name;
    // A file's hash is of its Pod's name, too: who shows it under another speaks for somebody else.
    if store.pods().get(uid).is_none_or(|known| has_name(&known)) {
        store.pods().update(uid, meta);
    }
}

/// The UID in the name of the Pod's log folder: a static Pod's is the hash of its file, not
/// the UID of its mirror. Anybody may write annotations; but UIDs that the API gives have
/// dashes, so these speak for no Pod of the API.
pub fn uid(pod: &Pod) -> Option<&String> {
    let annotations = pod.metadata.annotations.as_ref();
    let said = |key: &str| annotations.and_then(|annotations| annotations.get(key));
    let hash = said("kubernetes.io/config.mirror").and(said("kubernetes.io/config.hash"));
    hash.filter(|hash| !hash.contains('-')).or(pod.metadata.uid.as_ref())
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::index::Retention;

    const HASH: &str = "0123456789abcdef0123456789abcdef";

    fn pod(namespace: &str, name: &str, annotations: Value) -> Pod {
        let metadata = json!({
            "namespace": namespace, "name": name, "uid": format!("of-{name}"),
            "labels": {"of": name}, "annotations": annotations,
        });
        serde_json::from_value(json!({"metadata": metadata})).expect("a Pod")
    }

    fn mirror(hash: &str) -> Value {
        json!({
            "kubernetes.io/config.mirror": hash, "kubernetes.io/config.hash": hash,
            "kubernetes.io/config.source": "file",
        })
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), Retention::default()).expect("a store").0;
        (folder, store)
    }

    #[test]
    fn the_mirror_of_a_static_pod_tells_of_the_folder_that_its_file_names() {
        let check = |annotations: Value, expected: &str| {
            assert_eq!(uid(&pod("default", "web", annotations)).map(String::as_str), Some(expected));
        };
        check(json!({}), "of-web");
        check(mirror(HASH), HASH);
        check(json!({"kubernetes.io/config.source": "api"}), "of-web");
        let (_folder, store) = store();
        update(&store, &pod("default", "web-node-1", mirror(HASH)), false);
        let known = store.pods().get(HASH).expect("it is known");
        assert_eq!((known.name.as_str(), known.labels["of"].as_str()), ("web-node-1", "web-node-1"));
        assert!(store.pods().get("of-web-node-1").is_none());
        // Deleted, it is made again with another UID.
        update(&store, &pod("default", "web-node-1", mirror(HASH)), true);
        assert!(store.pods().get(HASH).is_some_and(|known| known.gone));
        sync(&store, &[Arc::new(pod("default", "web-node-1", mirror(HASH)))]);
        assert!(store.pods().get(HASH).is_some_and(|known| !known.gone));
    }

    /// Its annotations would be the rules for the other's lines.
    #[test]
    fn abuse_30_nobody_speaks_for_the_logs_of_another_pod() {
        let (_folder, store) = store();
        let victim = "5d1b2c3e-0000-4000-8000-000000000001";
        assert_eq!(uid(&pod("evil", "thief", mirror(victim))).map(String::as_str), Some("of-thief"));
        let no_mirror = json!({"kubernetes.io/config.hash": HASH});
        assert_eq!(uid(&pod("evil", "thief", no_mirror)).map(String::as_str), Some("of-thief"));
        update(&store, &pod("kube-system", "api-node-1", mirror(HASH)), false);
        for name in ["thief", "api-node-1"] {
            update(&store, &pod("evil", name, mirror(HASH)), false);
            update(&store, &pod("evil", name, mirror(HASH)), true);
        }
        let known = store.pods().get(HASH).expect("it is known");
        assert_eq!((known.namespace.as_str(), known.gone), ("kube-system", false));
    }
}
