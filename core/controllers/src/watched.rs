//! A watched copy of a kind with the look-ups controllers need, and its changes
//! as pairs of before and after.
//!
//! It stands on [`tiphys_client::Cache`] and shares that cache's objects. Who
//! subscribes is handed every object that is there, then every change, in one
//! order; and whoever reads inside or after a call reads at least that state.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::StreamExt;
use kube::Resource;
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tiphys_client::{Cache, Change, Entries, Entry, Held, Metadata, find, in_namespace};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::watch;

use crate::key::Key;

/// A kind that is held as it is decoded: most are.
pub trait Kind: Held<Wire = Self> + Resource<DynamicType = ()> + Clone + DeserializeOwned {}
impl<K> Kind for K where K: Held<Wire = Self> + Resource<DynamicType = ()> + Clone + DeserializeOwned {}

/// The owner of objects without a controller; no UID is empty.
const NOBODY: &str = "";

type Subscriber<K> = Box<dyn Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send>;

/// Clones share the copy.
pub struct Watched<K: Held> {
    shared: Arc<Shared<K>>,
    synced: watch::Receiver<bool>,
}

struct Shared<K> {
    state: RwLock<State<K>>,
    subscribers: Mutex<Vec<Subscriber<K>>>,
    group: fn(&K) -> Option<&str>,
}

struct State<K> {
    objects: Entries<K>,
    by_owner: HashMap<Box<str>, Entries<K>>,
    by_group: HashMap<Box<str>, Entries<K>>,
}

impl<K: Held> Clone for Watched<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), synced: self.synced.clone() }
    }
}

impl<K: Held> Watched<K> {
    /// Follows `cache`. `group` names the one group an object is looked up by
    /// (a Pod's node), if any.
    pub fn start(tasks: &Tasks, cache: Cache<K>, group: fn(&K) -> Option<&str>) -> Self {
        let state = State { objects: Entries::new(), by_owner: HashMap::new(), by_group: HashMap::new() };
        let shared = Arc::new(Shared { state: RwLock::new(state), subscribers: Mutex::default(), group });
        let (synced_sender, synced) = watch::channel(false);
        let copy = shared.clone();
        let changes = cache.changes();
        tasks.spawn(format!("index {}", K::Wire::plural(&())), OnError::Log, async move {
            let mut changes = std::pin::pin!(changes);
            cache.ready().await;
            copy.resync(&cache.list());
            synced_sender.send_replace(true);
            while let Some(change) = changes.next().await {
                match change {
                    Change::Applied(object) => {
                        copy.set(&object, cache.get(object.namespace(), object.name()));
                    }
                    Change::Deleted(object) => {
                        copy.went(&object, cache.get(object.namespace(), object.name()));
                    }
                    Change::Resync => copy.resync(&cache.list()),
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Self { shared, synced }
    }

    /// True when the first list is in.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.synced.clone()
    }

    /// Calls `subscriber` with (before, after) for all objects, then for all changes. It must be quick.
    pub fn subscribe(&self, subscriber: impl Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send + 'static) {
        let mut subscribers = self.shared.subscribers.lock();
        for object in self.list() {
            subscriber(None, Some(&object));
        }
        subscribers.push(Box::new(subscriber));
    }

    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        find(&self.shared.state.read().objects, &key.namespace, &key.name).cloned()
    }

    /// All objects, by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        all(&self.shared.state.read().objects)
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        in_namespace(&self.shared.state.read().objects, namespace).cloned().collect()
    }

    /// The objects that name this UID as their controller.
    pub fn controlled_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.shared.state.read().by_owner.get(uid).map(all).unwrap_or_default()
    }

    /// The objects of a namespace that have no controller.
    pub fn orphans(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        let orphans = state.by_owner.get(NOBODY).into_iter();
        orphans.flat_map(|orphans| in_namespace(orphans, namespace)).cloned().collect()
    }

    /// The objects of a group, as [`Watched::start`] was told to find it.
    pub fn in_group(&self, group: &str) -> Vec<Arc<K>> {
        self.shared.state.read().by_group.get(group).map(all).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.shared.state.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Held> Shared<K> {
    /// The object that was here, or anywhere, is now `after`.
    fn set(&self, at: &Arc<K>, after: Option<Arc<K>>) {
        let subscribers = self.subscribers.lock();
        let before = self.state.write().set(at, after.clone(), self.group);
        if same(before.as_ref(), after.as_ref()) {
            return;
        }
        for subscriber in subscribers.iter() {
            subscriber(before.as_ref(), after.as_ref());
        }
    }

    /// The object is deleted; `after` has its name now.
    fn went(&self, object: &Arc<K>, after: Option<Arc<K>>) {
        let subscribers = self.subscribers.lock();
        let is_here = find(&self.state.read().objects, object.namespace(), object.name()).is_some();
        if is_here || after.is_some() {
            drop(subscribers);
            return self.set(object, after);
        }
        // Gone before it was looked at: who waits for what was made would wait for ever.
        for subscriber in subscribers.iter() {
            subscriber(None, Some(object));
            subscriber(Some(object), None);
        }
    }

    fn resync(&self, objects: &[Arc<K>]) {
        let listed: HashSet<(&str, &str)> =
            objects.iter().map(|object| (object.namespace(), object.name())).collect();
        let mut gone = all(&self.state.read().objects);
        gone.retain(|object| !listed.contains(&(object.namespace(), object.name())));
        for object in gone {
            self.set(&object, None);
        }
        for object in objects {
            self.set(object, Some(object.clone()));
        }
    }
}

impl<K: Held> State<K> {
    fn set(&mut self, at: &Arc<K>, after: Option<Arc<K>>, group: fn(&K) -> Option<&str>) -> Option<Arc<K>> {
        let before = self.objects.take(&Entry(at.clone()));
        if let Some(before) = &before {
            unlink(&mut self.by_owner, Some(controller_uid(&*before.0).unwrap_or(NOBODY)), before);
            unlink(&mut self.by_group, group(&before.0), before);
        }
        if let Some(after) = after.map(Entry) {
            link(&mut self.by_owner, Some(controller_uid(&*after.0).unwrap_or(NOBODY)), &after);
            link(&mut self.by_group, group(&after.0), &after);
            self.objects.insert(after);
        }
        before.map(|Entry(object)| object)
    }
}

fn all<K: Held>(entries: &Entries<K>) -> Vec<Arc<K>> {
    entries.iter().map(|Entry(object)| object.clone()).collect()
}

/// The UID of the owner reference that is marked as controller.
pub fn controller_uid<K: Metadata>(object: &K) -> Option<&str> {
    let mut owners = object.owners().iter();
    owners.find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

fn same<K: Held>(before: Option<&Arc<K>>, after: Option<&Arc<K>>) -> bool {
    match (before, after) {
        (None, None) => true,
        (Some(before), Some(after)) => {
            before.uid() == after.uid() && before.resource_version() == after.resource_version()
        }
        _ => false,
    }
}

fn link<K: Held>(index: &mut HashMap<Box<str>, Entries<K>>, value: Option<&str>, entry: &Entry<K>) {
    let Some(value) = value else { return };
    match index.get_mut(value) {
        Some(entries) => drop(entries.insert(entry.clone())),
        None => drop(index.insert(value.into(), Entries::from([entry.clone()]))),
    }
}

fn unlink<K: Held>(index: &mut HashMap<Box<str>, Entries<K>>, value: Option<&str>, entry: &Entry<K>) {
    let Some(value) = value else { return };
    if let Some(entries) = index.get_mut(value) {
        entries.remove(entry);
        if entries.is_empty() {
            index.remove(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_gone_before_it_was_looked_at_is_told_too() {
        let map = |name: &str, version: &str| -> Arc<ConfigMap> {
            let metadata = json!({"name": name, "namespace": "ns", "uid": name, "resourceVersion": version});
            Arc::new(serde_json::from_value(json!({"metadata": metadata})).unwrap())
        };
        let state = State { objects: Entries::new(), by_owner: HashMap::new(), by_group: HashMap::new() };
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let version = |object: Option<&Arc<ConfigMap>>| object?.metadata.resource_version.clone();
        let subscriber: Subscriber<ConfigMap> =
            Box::new(move |before, after| tell.lock().push((version(before), version(after))));
        let shared = Shared {
            state: RwLock::new(state),
            subscribers: Mutex::new(vec![subscriber]),
            group: |_: &ConfigMap| None,
        };
        let (first, second) = (Some("1".to_owned()), Some("2".to_owned()));
        // Made and deleted: by the time that is read the cache has nothing of it.
        shared.set(&map("brief", "1"), None);
        shared.went(&map("brief", "2"), None);
        assert_eq!(std::mem::take(&mut *told.lock()), [(None, second.clone()), (second, None)]);
        // What was seen goes once.
        shared.set(&map("seen", "1"), Some(map("seen", "1")));
        shared.went(&map("seen", "2"), None);
        assert_eq!(std::mem::take(&mut *told.lock()), [(None, first.clone()), (first, None)]);
    }
}
