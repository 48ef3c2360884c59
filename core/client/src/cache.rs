//! A watched copy of a kind: the reflector every part reads from.
//!
//! ```text
//! API watch ──> store (latest object by namespace and name) ──> changes (bounded, lossy for slow readers)
//! ```
//!
//! A reader that falls more than [`CHANGES`] behind gets [`Change::Resync`] and
//! reads the store again: nothing is missed, memory stays bounded. Objects are kept
//! without `managedFields`: nobody reads them here, and decoded they are most of an object.

use std::{fmt::Debug, hash::Hash};

use futures::{Stream, StreamExt};
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::{broadcast, watch};

/// Changes kept for a slow reader.
const CHANGES: usize = 4096;

/// What happened to an object. The object itself is in the store (or was its last state).
#[derive(Debug, Clone)]
pub enum Change<K> {
    Applied(Arc<K>),
    Deleted(Arc<K>),
    /// Everything may have changed: read the store again.
    Resync,
}

/// A copy of all objects that a watch selects. Clones share it.
pub struct Cache<K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    store: Store<K>,
    changes: broadcast::Sender<Change<K>>,
    synced: watch::Receiver<bool>,
}

impl<K> Clone for Cache<K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), changes: self.changes.clone(), synced: self.synced.clone() }
    }
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Watches `api` until `tasks` stops.
    pub fn start(tasks: &Tasks, api: Api<K>, config: watcher::Config) -> Self {
        let (store, mut writer) = reflector::store();
        let (changes, _) = broadcast::channel(CHANGES);
        let (synced_sender, synced) = watch::channel(false);
        let (sender, read) = (changes.clone(), store.clone());
        let name = format!("watch {}", K::plural(&()));
        tasks.spawn(name, OnError::Log, async move {
            let lean = |object: &mut K| object.meta_mut().managed_fields = None;
            let mut events = watcher(api, config).default_backoff().modify(lean).boxed();
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        tracing::debug!(kind = %K::kind(&()), %error, "watch broke and starts again");
                        continue;
                    }
                };
                writer.apply_watcher_event(&event);
                let change = match event {
                    // The store's own copy, unless the object has gone again.
                    watcher::Event::Apply(object) => Change::Applied(
                        read.get(&ObjectRef::from_obj(&object)).unwrap_or_else(|| Arc::new(object)),
                    ),
                    watcher::Event::Delete(object) => Change::Deleted(Arc::new(object)),
                    watcher::Event::Init | watcher::Event::InitApply(_) => continue,
                    watcher::Event::InitDone => {
                        synced_sender.send_replace(true);
                        Change::Resync
                    }
                };
                // No reader at the moment is not an error.
                let _ = sender.send(change);
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Self { store, changes, synced }
    }

    /// Resolves when the first list is complete.
    pub async fn ready(&self) {
        // An error means that the watch has stopped with its tasks; nobody waits then.
        let _ = self.synced.clone().wait_for(|synced| *synced).await;
    }

    /// The object of this namespace and name. Cluster-scoped: an empty namespace.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = ObjectRef::new(name);
        let key = if namespace.is_empty() { key } else { key.within(namespace) };
        self.store.get(&key)
    }

    /// All objects, in no order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// Changes from now on. Subscribe first, then read [`Cache::list`].
    pub fn changes(&self) -> impl Stream<Item = Change<K>> + Send + use<K> {
        let receiver = self.changes.subscribe();
        futures::stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(change) => Some((change, receiver)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((Change::Resync, receiver)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        })
    }
}
