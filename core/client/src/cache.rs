//! A watched copy of a kind: the reflector every part reads from.
//!
//! ```text
//! API watch ──> store (latest object by namespace and name) ──> changes (bounded, lossy for slow readers)
//! ```
//!
//! A reader that falls more than [`CHANGES`] behind gets [`Change::Resync`] and
//! reads the store again: nothing is missed, memory stays bounded. [`Held`] says in
//! which form an object is kept.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::{
    Api, Resource,
    runtime::{WatchStreamExt, watcher},
};
use parking_lot::RwLock;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::{broadcast, watch};

use crate::held::{self, Entries, Entry, Held};

/// Changes kept for a slow reader.
const CHANGES: usize = 4096;

/// What happened to an object. The object itself is in the store (or was its last state).
#[derive(Debug)]
pub enum Change<V> {
    Applied(Arc<V>),
    Deleted(Arc<V>),
    /// Everything may have changed: read the store again.
    Resync,
}

impl<V> Clone for Change<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Applied(object) => Self::Applied(object.clone()),
            Self::Deleted(object) => Self::Deleted(object.clone()),
            Self::Resync => Self::Resync,
        }
    }
}

/// A copy of all objects that a watch selects. Clones share it.
pub struct Cache<V> {
    objects: Arc<RwLock<Entries<V>>>,
    changes: broadcast::Sender<Change<V>>,
    synced: watch::Receiver<bool>,
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self { objects: self.objects.clone(), changes: self.changes.clone(), synced: self.synced.clone() }
    }
}

impl<V: Held> Cache<V> {
    /// Watches `api` until `tasks` stops.
    pub fn start(tasks: &Tasks, api: Api<V::Wire>, config: watcher::Config) -> Self {
        let objects: Arc<RwLock<Entries<V>>> = Arc::default();
        let (changes, _) = broadcast::channel(CHANGES);
        let (synced_sender, synced) = watch::channel(false);
        let mut writer = Writer { objects: objects.clone(), listed: Entries::new(), synced: synced_sender };
        let sender = changes.clone();
        let name = format!("watch {}", V::Wire::plural(&()));
        tasks.spawn(name, OnError::Log, async move {
            let mut events = watcher(api, config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        if let Some(change) = writer.take(event) {
                            // No reader at the moment is not an error.
                            let _ = sender.send(change);
                        }
                    }
                    Err(error) => {
                        let kind = V::Wire::kind(&());
                        tracing::debug!(%kind, %error, "watch broke and starts again");
                    }
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Self { objects, changes, synced }
    }

    /// Resolves when the first list is complete.
    pub async fn ready(&self) {
        // An error means that the watch has stopped with its tasks; nobody waits then.
        let _ = self.synced.clone().wait_for(|synced| *synced).await;
    }

    /// The object of this namespace and name. Cluster-scoped: an empty namespace.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        held::find(&self.objects.read(), namespace, name).cloned()
    }

    /// All objects, by namespace and name.
    pub fn list(&self) -> Vec<Arc<V>> {
        self.objects.read().iter().map(|Entry(object)| object.clone()).collect()
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<V>> {
        held::in_namespace(&self.objects.read(), namespace).cloned().collect()
    }

    /// Changes from now on. Subscribe first, then read [`Cache::list`].
    pub fn changes(&self) -> impl Stream<Item = Change<V>> + Send + use<V> {
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

/// Takes in what the watch says.
struct Writer<V> {
    objects: Arc<RwLock<Entries<V>>>,
    /// What a list under way has brought; it takes the place of all objects at its end.
    listed: Entries<V>,
    synced: watch::Sender<bool>,
}

impl<V: Held> Writer<V> {
    /// What readers are to be told.
    fn take(&mut self, event: watcher::Event<V::Wire>) -> Option<Change<V>> {
        match event {
            watcher::Event::Apply(wire) => {
                let object = Arc::new(V::hold(wire));
                self.objects.write().replace(Entry(object.clone()));
                Some(Change::Applied(object))
            }
            watcher::Event::Delete(wire) => {
                let object = Arc::new(V::hold(wire));
                self.objects.write().remove(&Entry(object.clone()));
                Some(Change::Deleted(object))
            }
            watcher::Event::Init => {
                self.listed.clear();
                None
            }
            watcher::Event::InitApply(wire) => {
                self.listed.replace(Entry(Arc::new(V::hold(wire))));
                None
            }
            watcher::Event::InitDone => {
                let former = std::mem::replace(&mut *self.objects.write(), std::mem::take(&mut self.listed));
                drop(former);
                self.synced.send_replace(true);
                Some(Change::Resync)
            }
        }
    }
}
