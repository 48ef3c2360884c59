//! Metadata watches of every served resource, into the graph.
//!
//! One watch a resource; a CustomResourceDefinition or APIService that changes
//! makes discovery run again, and watches are started and stopped accordingly.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher, watcher::Event};
use parking_lot::{Mutex, RwLock};
use tiphys_client::{MetaOnly, one_word, same_owners};
use tiphys_lifecycle::{CancellationToken, OnError, Tasks};
use tokio::sync::{Notify, watch};

use super::graph::{Graph, Item, Uid};
use crate::{
    context::Context,
    error::Error,
    key::Key,
    object,
    queue::Queue,
    served::{Served, served},
};

/// Watches that can't start must not hold back the collection for ever: a
/// missing owner is always asked for before anything is deleted.
const PATIENCE: Duration = Duration::from_secs(30);

/// Resources whose objects are never owners and come in masses.
const IGNORED: &[(&str, &str)] = &[("", "events"), ("events.k8s.io", "events")];

/// Resources whose change may bring or take other resources.
const DEFINING: &[&str] =
    &["apiextensions.k8s.io/customresourcedefinitions", "apiregistration.k8s.io/apiservices"];

pub struct Watches {
    context: Context,
    pub graph: Mutex<Graph>,
    pub queue: Arc<Queue>,
    /// By `group/plural`.
    resources: RwLock<HashMap<String, Served>>,
    running: Mutex<HashMap<String, CancellationToken>>,
    unsynced: Mutex<HashSet<String>>,
    rediscover: Notify,
    synced: watch::Sender<bool>,
}

pub fn resource_name(served: &Served) -> String {
    format!("{}/{}", served.resource.group, served.resource.plural)
}

impl Watches {
    pub fn new(context: &Context, queue: Arc<Queue>) -> Arc<Self> {
        Arc::new(Self {
            context: context.clone(),
            graph: Mutex::default(),
            queue,
            resources: RwLock::default(),
            running: Mutex::default(),
            unsynced: Mutex::default(),
            rediscover: Notify::new(),
            synced: watch::Sender::new(false),
        })
    }

    /// True when every watch has its first list, or has had the time for it.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.synced.subscribe()
    }

    pub fn resource(&self, name: &str) -> Option<Served> {
        self.resources.read().get(name).cloned()
    }

    /// The resource of an owner reference.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Option<Served> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let resources = self.resources.read();
        resources
            .values()
            .find(|served| served.resource.group == group && served.resource.kind == kind)
            .cloned()
    }

    pub fn start(self: &Arc<Self>) {
        let watches = self.clone();
        self.context.tasks.spawn_restarting("discover garbage", move || {
            let watches = watches.clone();
            async move { watches.follow_discovery().await }
        });
        let watches = self.clone();
        self.context.tasks.spawn("garbage patience", OnError::Log, async move {
            tokio::time::sleep(PATIENCE).await;
            watches.synced.send_replace(true);
            Ok::<(), Error>(())
        });
    }

    async fn follow_discovery(self: &Arc<Self>) -> Result<(), Error> {
        loop {
            let found = served(&self.context.client).await?;
            self.apply(found.into_iter().filter(|served| served.can("watch")).collect());
            self.rediscover.notified().await;
            // Definitions come in groups, and their resources a moment later.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn apply(self: &Arc<Self>, found: Vec<Served>) {
        let ignored = |served: &Served| {
            IGNORED.contains(&(served.resource.group.as_str(), served.resource.plural.as_str()))
        };
        let found: HashMap<String, Served> = found
            .into_iter()
            .filter(|served| !ignored(served))
            .map(|served| (resource_name(&served), served))
            .collect();
        let mut running = self.running.lock();
        let gone: Vec<String> = running.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(token) = running.remove(&name) {
                token.cancel();
            }
            self.unsynced.lock().remove(&name);
            let uids = self.graph.lock().of_resource(&name);
            uids.iter().for_each(|uid| self.removed(uid));
        }
        for (name, served) in &found {
            if !running.contains_key(name) {
                self.unsynced.lock().insert(name.clone());
                let tasks = self.context.tasks.child();
                running.insert(name.clone(), tasks.token());
                self.watch(&tasks, name.clone(), served.clone());
            }
        }
        *self.resources.write() = found;
    }

    fn watch(self: &Arc<Self>, tasks: &Tasks, name: String, served: Served) {
        let watches = self.clone();
        let resource: Arc<str> = name.as_str().into();
        tasks.spawn(format!("watch metadata of {name}"), OnError::Log, async move {
            let api = served.all(&watches.context.client);
            let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
            let mut listed = HashSet::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => watches.take(&resource, event, &mut listed),
                    Err(error) => tracing::debug!(resource = name, %error, "metadata watch starts again"),
                }
            }
            Ok::<(), Error>(())
        });
    }

    fn take(&self, resource: &Arc<str>, event: Event<MetaOnly>, listed: &mut HashSet<Uid>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.insert(object::uid(&object).into());
                self.observed(resource, &object);
            }
            Event::InitDone => {
                let known = self.graph.lock().of_resource(resource);
                known.difference(listed).for_each(|uid| self.removed(uid));
                listed.clear();
                let mut unsynced = self.unsynced.lock();
                unsynced.remove(&**resource);
                if unsynced.is_empty() {
                    self.synced.send_replace(true);
                }
            }
            Event::Apply(object) => self.observed(resource, &object),
            Event::Delete(object) => {
                self.removed(object::uid(&object));
                self.may_redefine(resource);
            }
        }
    }

    fn observed(&self, resource: &Arc<str>, object: &MetaOnly) {
        let finalizer = |name: &str| object.metadata.finalizers.iter().flatten().any(|known| known == name);
        let item = Item {
            resource: resource.clone(),
            namespace: one_word(object::namespace(object)),
            name: object::name(object).into(),
            owners: same_owners(object.metadata.owner_references.clone().unwrap_or_default()),
            deleting: object::deleting(object),
            foreground: finalizer("foregroundDeletion"),
            orphans: finalizer("orphan"),
        };
        let look = self.graph.lock().observe(object::uid(object), item);
        self.look_at(look);
        self.may_redefine(resource);
    }

    /// The object is gone: its dependents are looked at.
    pub fn removed(&self, uid: &str) {
        let look = self.graph.lock().remove(uid);
        self.look_at(look);
    }

    pub fn look_at(&self, uids: Vec<Uid>) {
        uids.into_iter().for_each(|uid| self.queue.add(Key::cluster(&*uid)));
    }

    fn may_redefine(&self, resource: &str) {
        if DEFINING.contains(&resource) {
            self.rediscover.notify_one();
        }
    }
}
