//! What makes a quota's figures stale: something that it counts goes, or counts less.
//!
//! Pods and Services are watched by all controllers anyway. Every other resource that some
//! quota names is watched by its metadata, as long as one names it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::runtime::{WatchStreamExt, watcher, watcher::Event};
use parking_lot::Mutex;
use tiphys_client::{LeanPod, MetaOnly};
use tiphys_lifecycle::{CancellationToken, OnError};
use tokio::sync::Notify;

use super::sum;
use crate::{
    context::Context,
    error::Error,
    key::Key,
    object,
    queue::Queue,
    served::{Served, served},
    watched::Watched,
};

/// Group and plural.
type Name = (String, String);

pub struct Monitors {
    context: Context,
    quotas: Watched<ResourceQuota>,
    queue: Arc<Queue>,
    known: Mutex<Vec<Served>>,
    running: Mutex<HashMap<Name, CancellationToken>>,
    changed: Notify,
}

impl Monitors {
    pub fn new(context: &Context, quotas: Watched<ResourceQuota>, queue: Arc<Queue>) -> Arc<Self> {
        Arc::new(Self {
            context: context.clone(),
            quotas,
            queue,
            known: Mutex::default(),
            running: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// The resource as the API serves it; `None` when it does not.
    pub async fn served(&self, group: &str, resource: &str) -> Result<Option<Served>, Error> {
        let is_it = |served: &&Served| {
            (served.resource.group.as_str(), served.resource.plural.as_str()) == (group, resource)
                && served.namespaced
        };
        if let Some(served) = self.known.lock().iter().find(is_it) {
            return Ok(Some(served.clone()));
        }
        let found = served(&self.context.client).await?;
        let served = found.iter().find(is_it).cloned();
        *self.known.lock() = found;
        Ok(served)
    }

    pub fn follow(self: &Arc<Self>, context: &Context) {
        let monitors = self.clone();
        context.caches.pods.subscribe(move |before, after| {
            if let Some(before) = before
                && after.is_none_or(|after| counts_less(before, after))
            {
                monitors.stale(object::namespace(&**before));
            }
        });
        let monitors = self.clone();
        context.caches.services.subscribe(move |before, _| {
            if let Some(before) = before {
                monitors.stale(object::namespace(&**before));
            }
        });
        let monitors = self.clone();
        self.quotas.subscribe(move |before, after| {
            if before.map(|quota| &quota.spec) != after.map(|quota| &quota.spec) {
                monitors.changed.notify_one();
            }
        });
        let monitors = self.clone();
        context.tasks.spawn_restarting("watch what quotas count", move || {
            let monitors = monitors.clone();
            async move { monitors.follow_quotas().await }
        });
    }

    async fn follow_quotas(self: &Arc<Self>) -> Result<(), Error> {
        loop {
            self.apply().await?;
            self.changed.notified().await;
        }
    }

    /// The figures of a namespace's quotas are to be made anew.
    fn stale(&self, namespace: &str) {
        for quota in self.quotas.in_namespace(namespace) {
            self.queue.add(Key::of(&*quota));
        }
    }

    /// Starts and stops watches, so that they are of what quotas name.
    async fn apply(self: &Arc<Self>) -> Result<(), Error> {
        let mut wanted = BTreeSet::new();
        for quota in self.quotas.list() {
            wanted.extend(sum::resources(&serde_json::to_value(&*quota)?));
        }
        wanted.retain(|(group, resource)| {
            !(group.is_empty() && matches!(resource.as_str(), "pods" | "services"))
        });
        self.running.lock().retain(|name, token| {
            let keep = wanted.contains(name);
            if !keep {
                token.cancel();
            }
            keep
        });
        for name in wanted {
            if self.running.lock().contains_key(&name) {
                continue;
            }
            if let Some(served) = self.served(&name.0, &name.1).await? {
                self.watch(name, served);
            }
        }
        Ok(())
    }

    fn watch(self: &Arc<Self>, name: Name, served: Served) {
        let tasks = self.context.tasks.child();
        self.running.lock().insert(name.clone(), tasks.token());
        let monitors = self.clone();
        tasks.spawn(format!("watch what quotas count: {}", name.1), OnError::Log, async move {
            let api = served.all(&monitors.context.client);
            let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => monitors.take(&name, event),
                    Err(error) => tracing::debug!(resource = name.1, %error, "watch for quotas starts again"),
                }
            }
            Ok::<(), Error>(())
        });
    }

    fn take(&self, (group, resource): &Name, event: Event<MetaOnly>) {
        match event {
            Event::Delete(object) => self.stale(object::namespace(&object)),
            // A claim may have shrunk; of other resources only the number counts.
            Event::Apply(object) if sum::needs_whole(group, resource) => {
                self.stale(object::namespace(&object))
            }
            // Deletions may have been missed.
            Event::InitDone => self.quotas.list().iter().for_each(|quota| self.queue.add(Key::of(&**quota))),
            Event::Apply(_) | Event::Init | Event::InitApply(_) => {}
        }
    }
}

/// Whether a Pod has come to an end, is on its way there, or asks for other amounts.
fn counts_less(before: &LeanPod, after: &LeanPod) -> bool {
    let resources = |pod: &LeanPod| {
        pod.spec.containers.iter().map(|container| container.resources.clone()).collect::<Vec<_>>()
    };
    before.finished() != after.finished()
        || object::deleting(before) != object::deleting(after)
        || resources(before) != resources(after)
}
