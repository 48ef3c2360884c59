//! A watched copy of a kind with the look-ups controllers need, and its changes
//! as pairs of before and after.
//!
//! It stands on [`tiphys_client::Cache`] and shares that cache's objects. Who
//! subscribes is handed every object that is there, then every change, in one
//! order; and whoever reads inside or after a call reads at least that state.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Debug,
    sync::Arc,
};

use futures::StreamExt;
use kube::{Resource, ResourceExt};
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tiphys_client::{Cache, Change};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::watch;

use crate::key::Key;

/// Bounds of every kind that is watched here.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}
impl<K> Kind for K where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

/// The owner of objects without a controller; no UID is empty.
const NOBODY: &str = "";

type Subscriber<K> = Box<dyn Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send>;

/// Clones share the copy.
pub struct Watched<K: Kind> {
    shared: Arc<Shared<K>>,
    synced: watch::Receiver<bool>,
}

struct Shared<K> {
    state: RwLock<State<K>>,
    subscribers: Mutex<Vec<Subscriber<K>>>,
    group: fn(&K) -> Option<&str>,
}

struct State<K> {
    objects: HashMap<String, BTreeMap<String, Arc<K>>>,
    by_owner: HashMap<String, HashSet<Key>>,
    by_group: HashMap<String, HashSet<Key>>,
}

impl<K: Kind> Clone for Watched<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), synced: self.synced.clone() }
    }
}

impl<K: Kind> Watched<K> {
    /// Follows `cache`. `group` names the one group an object is looked up by
    /// (a Pod's node), if any.
    pub fn start(tasks: &Tasks, cache: Cache<K>, group: fn(&K) -> Option<&str>) -> Self {
        let state = State { objects: HashMap::new(), by_owner: HashMap::new(), by_group: HashMap::new() };
        let shared = Arc::new(Shared { state: RwLock::new(state), subscribers: Mutex::default(), group });
        let (synced_sender, synced) = watch::channel(false);
        let copy = shared.clone();
        let changes = cache.changes();
        tasks.spawn(format!("index {}", K::plural(&())), OnError::Log, async move {
            let mut changes = std::pin::pin!(changes);
            cache.ready().await;
            copy.resync(&cache.list());
            synced_sender.send_replace(true);
            while let Some(change) = changes.next().await {
                match change {
                    Change::Applied(object) | Change::Deleted(object) => {
                        let key = Key::of(&*object);
                        copy.set(&key, cache.get(&key.namespace, &key.name));
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
        self.shared.state.read().objects.get(&key.namespace)?.get(&key.name).cloned()
    }

    /// All objects, by namespace in no order, by name in order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.state.read().objects.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        state.objects.get(namespace).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The objects that name this UID as their controller.
    pub fn controlled_by(&self, uid: &str) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        state.resolve(state.by_owner.get(uid))
    }

    /// The objects of a namespace that have no controller.
    pub fn orphans(&self, namespace: &str) -> Vec<Arc<K>> {
        let mut orphans = self.controlled_by(NOBODY);
        orphans.retain(|object| object.meta().namespace.as_deref() == Some(namespace));
        orphans
    }

    /// The objects of a group, as [`Watched::start`] was told to find it.
    pub fn in_group(&self, group: &str) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        state.resolve(state.by_group.get(group))
    }

    pub fn len(&self) -> usize {
        self.shared.state.read().objects.values().map(BTreeMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Kind> Shared<K> {
    fn set(&self, key: &Key, after: Option<Arc<K>>) {
        let subscribers = self.subscribers.lock();
        let before = self.state.write().set(key, after.clone(), self.group);
        if same(before.as_ref(), after.as_ref()) {
            return;
        }
        for subscriber in subscribers.iter() {
            subscriber(before.as_ref(), after.as_ref());
        }
    }

    fn resync(&self, objects: &[Arc<K>]) {
        let listed: HashSet<Key> = objects.iter().map(|object| Key::of(&**object)).collect();
        let gone: Vec<Key> = self.state.read().keys().filter(|key| !listed.contains(key)).collect();
        for key in gone {
            self.set(&key, None);
        }
        for object in objects {
            self.set(&Key::of(&**object), Some(object.clone()));
        }
    }
}

impl<K: Kind> State<K> {
    fn set(&mut self, key: &Key, after: Option<Arc<K>>, group: fn(&K) -> Option<&str>) -> Option<Arc<K>> {
        let objects = self.objects.entry(key.namespace.clone()).or_default();
        let before = match &after {
            Some(object) => objects.insert(key.name.clone(), object.clone()),
            None => objects.remove(&key.name),
        };
        if objects.is_empty() {
            self.objects.remove(&key.namespace);
        }
        if let Some(before) = &before {
            unlink(&mut self.by_owner, Some(controller_uid(&**before).unwrap_or(NOBODY)), key);
            unlink(&mut self.by_group, group(before), key);
        }
        if let Some(after) = &after {
            link(&mut self.by_owner, Some(controller_uid(&**after).unwrap_or(NOBODY)), key);
            link(&mut self.by_group, group(after), key);
        }
        before
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        self.objects.values().flat_map(BTreeMap::values).map(|object| Key::of(&**object))
    }

    fn resolve(&self, keys: Option<&HashSet<Key>>) -> Vec<Arc<K>> {
        let mut keys: Vec<&Key> = keys.into_iter().flatten().collect();
        keys.sort();
        keys.into_iter().filter_map(|key| self.objects.get(&key.namespace)?.get(&key.name).cloned()).collect()
    }
}

/// The UID of the owner reference that is marked as controller.
pub fn controller_uid<K: Resource>(object: &K) -> Option<&str> {
    let owners = object.meta().owner_references.as_deref()?;
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

fn same<K: Kind>(before: Option<&Arc<K>>, after: Option<&Arc<K>>) -> bool {
    match (before, after) {
        (None, None) => true,
        (Some(before), Some(after)) => {
            before.uid() == after.uid() && before.resource_version() == after.resource_version()
        }
        _ => false,
    }
}

fn link(index: &mut HashMap<String, HashSet<Key>>, value: Option<&str>, key: &Key) {
    if let Some(value) = value {
        index.entry(value.to_owned()).or_default().insert(key.clone());
    }
}

fn unlink(index: &mut HashMap<String, HashSet<Key>>, value: Option<&str>, key: &Key) {
    let Some(value) = value else { return };
    if let Some(keys) = index.get_mut(value) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(value);
        }
    }
}
