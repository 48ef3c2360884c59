//! ConfigMaps and Secrets that Pods of this node use.
//!
//! A value that is put into a container is always fetched; a change is noticed by
//! a watch on that one object (a node may read no others), kept as long as a Pod
//! of this node uses it, which wakes the workers of those Pods.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures::StreamExt;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Container, Pod, Secret, Volume},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, Resource, runtime::watcher};
use parking_lot::Mutex;
use tiphys_lifecycle::{OnError, Tasks};

use crate::{error::is_not_found, pod::spec};

/// A ConfigMap or a Secret of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Source {
    pub kind: SourceKind,
    pub namespace: String,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SourceKind {
    ConfigMap,
    Secret,
}

/// Keys and values of a source. Text and binary are one.
pub(crate) type Content = BTreeMap<String, Vec<u8>>;

type Wake = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Sources {
    client: Client,
    tasks: Tasks,
    /// Wakes the worker of a Pod, by its uid.
    wake: Wake,
    watched: Arc<Mutex<HashMap<Source, Watched>>>,
}

struct Watched {
    users: BTreeSet<String>,
    tasks: Tasks,
}

impl Sources {
    pub(crate) fn new(client: Client, tasks: Tasks, wake: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { client, tasks, wake: Arc::new(wake), watched: Arc::default() }
    }

    /// `None` when there is no such object.
    pub(crate) async fn fetch(&self, source: &Source) -> Result<Option<Content>, kube::Error> {
        match source.kind {
            SourceKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &source.namespace);
                found(api.get(&source.name).await).map(|found| {
                    found.map(|map| {
                        let text =
                            map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
                        text.chain(map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0)))
                            .collect()
                    })
                })
            }
            SourceKind::Secret => {
                let api: Api<Secret> = Api::namespaced(self.client.clone(), &source.namespace);
                let secret = found(api.get(&source.name).await)?;
                Ok(secret.map(|secret| {
                    secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect()
                }))
            }
        }
    }

    /// Watches exactly these for the Pod from now on; none when it is gone.
    pub(crate) fn watch_for(&self, uid: &str, sources: &BTreeSet<Source>) {
        let mut watched = self.watched.lock();
        watched.retain(|source, entry| {
            if !sources.contains(source) {
                entry.users.remove(uid);
            }
            if entry.users.is_empty() {
                entry.tasks.token().cancel();
            }
            !entry.users.is_empty()
        });
        for source in sources {
            let entry = watched.entry(source.clone()).or_insert_with(|| {
                let tasks = self.tasks.child();
                self.watch(source.clone(), &tasks);
                Watched { users: BTreeSet::new(), tasks }
            });
            entry.users.insert(uid.to_owned());
        }
    }

    fn watch(&self, source: Source, tasks: &Tasks) {
        match source.kind {
            SourceKind::ConfigMap => self.watch_kind::<ConfigMap>(source, tasks),
            SourceKind::Secret => self.watch_kind::<Secret>(source, tasks),
        }
    }

    fn watch_kind<K>(&self, source: Source, tasks: &Tasks)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Send
            + serde::de::DeserializeOwned
            + 'static,
    {
        use kube::runtime::WatchStreamExt;
        let api: Api<K> = Api::namespaced(self.client.clone(), &source.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", source.name));
        let (watched, wake) = (self.watched.clone(), self.wake.clone());
        let name = format!("watch {} {}/{}", K::kind(&()), source.namespace, source.name);
        tasks.spawn(name, OnError::Log, async move {
            let mut events = watcher::watcher(api, config).default_backoff().boxed();
            let mut seen = Seen::default();
            while let Some(event) = events.next().await {
                let changed = match event {
                    Ok(watcher::Event::Init) => seen.begin(),
                    Ok(watcher::Event::InitApply(object)) => seen.listed(object.meta()),
                    Ok(watcher::Event::InitDone) => seen.end(),
                    Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_)) => true,
                    Err(_) => false,
                };
                if changed {
                    let users = watched.lock().get(&source).map(|entry| entry.users.clone());
                    users.iter().flatten().for_each(|uid| wake(uid));
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

/// What a watch that starts again has to compare with.
#[derive(Default)]
struct Seen {
    ever: bool,
    version: Option<String>,
    listed: Option<String>,
}

impl Seen {
    fn begin(&mut self) -> bool {
        self.listed = None;
        false
    }

    fn listed(&mut self, meta: &ObjectMeta) -> bool {
        self.listed = meta.resource_version.clone();
        false
    }

    /// Whether the object changed while nobody watched.
    fn end(&mut self) -> bool {
        let changed = self.ever && self.version != self.listed;
        self.ever = true;
        self.version = self.listed.take();
        changed
    }
}

fn found<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the variables of a container are taken from.
pub(crate) fn of_variables(pod: &Pod, container: &Container) -> BTreeSet<Source> {
    let namespace = spec::namespace(pod);
    let mut sources = BTreeSet::new();
    let mut add = |kind, name: &str| {
        sources.insert(Source { kind, namespace: namespace.to_owned(), name: name.to_owned() });
    };
    for from in container.env_from.iter().flatten() {
        from.config_map_ref.iter().for_each(|source| add(SourceKind::ConfigMap, &source.name));
        from.secret_ref.iter().for_each(|source| add(SourceKind::Secret, &source.name));
    }
    for from in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        from.config_map_key_ref.iter().for_each(|source| add(SourceKind::ConfigMap, &source.name));
        from.secret_key_ref.iter().for_each(|source| add(SourceKind::Secret, &source.name));
    }
    sources
}

/// What a Pod's volumes are made from: a change of these changes files.
pub(crate) fn of_volumes(pod: &Pod) -> BTreeSet<Source> {
    let volumes = spec::of(pod).volumes.iter().flatten();
    volumes.flat_map(|volume| of_volume(spec::namespace(pod), volume)).collect()
}

pub(crate) fn of_volume(namespace: &str, volume: &Volume) -> Vec<Source> {
    let source = |kind, name: &str| Source { kind, namespace: namespace.to_owned(), name: name.to_owned() };
    let mut sources = Vec::new();
    if let Some(map) = &volume.config_map {
        sources.push(source(SourceKind::ConfigMap, &map.name));
    }
    if let Some(name) = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_ref()) {
        sources.push(source(SourceKind::Secret, name));
    }
    for projection in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        sources.extend(projection.config_map.iter().map(|map| source(SourceKind::ConfigMap, &map.name)));
        sources.extend(projection.secret.iter().map(|secret| source(SourceKind::Secret, &secret.name)));
    }
    sources
}
