//! Which Pods have a worker, how to wake it, and what it last saw.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::pod::{names, runtime::RuntimeState, spec};

/// What a worker is to bring about.
#[derive(Debug, Clone)]
pub(crate) enum Desired {
    /// The Pod as its object says; with a deletion time: its orderly end.
    As(Arc<Pod>),
    /// The object is gone: end what runs of it.
    Gone(Arc<Pod>),
}

impl Desired {
    pub(crate) fn pod(&self) -> &Arc<Pod> {
        match self {
            Self::As(pod) | Self::Gone(pod) => pod,
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::As(pod) => pod.metadata.deletion_timestamp.is_some(),
            Self::Gone(_) => true,
        }
    }
}

/// A Pod as its worker last saw it, for the server and the sampler.
#[derive(Debug, Clone)]
pub(crate) struct PodView {
    /// With the status that was computed last.
    pub pod: Arc<Pod>,
    pub runtime: RuntimeState,
}

/// Why a worker is to look again.
#[derive(Default)]
pub(crate) struct Wake {
    notify: Notify,
    news: Mutex<News>,
}

#[derive(Default)]
pub(crate) struct News {
    /// Containers and sandboxes that have ended, as containerd said.
    pub ended: HashSet<String>,
    /// A ConfigMap or Secret has changed.
    pub sources: bool,
}

impl Wake {
    pub(crate) fn call(&self) {
        self.notify.notify_one();
    }

    pub(crate) async fn called(&self) {
        self.notify.notified().await;
    }

    pub(crate) fn take_news(&self) -> News {
        std::mem::take(&mut self.news.lock())
    }
}

struct Handle {
    desired: watch::Sender<Desired>,
    wake: Arc<Wake>,
    view: watch::Receiver<Arc<PodView>>,
}

/// By Pod uid. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    pods: Arc<Mutex<HashMap<String, Handle>>>,
    /// Pod uid by id of container or sandbox.
    owners: Arc<Mutex<HashMap<String, String>>>,
}

/// What a new worker is given.
pub(crate) struct Seat {
    pub desired: watch::Receiver<Desired>,
    pub wake: Arc<Wake>,
    pub view: watch::Sender<Arc<PodView>>,
}

impl Registry {
    /// Tells the worker of this Pod; `Some` when there is none yet and one is to be started.
    pub(crate) fn tell(&self, desired: Desired) -> Option<Seat> {
        let uid = spec::uid(desired.pod()).to_owned();
        let mut pods = self.pods.lock();
        if let Some(handle) = pods.get(&uid) {
            let matters = changes_anything(&handle.desired.borrow(), &desired);
            // What changes nothing is kept for later, but wakes nobody.
            handle.desired.send_if_modified(|current| {
                *current = desired;
                matters
            });
            return None;
        }
        let view = PodView { pod: desired.pod().clone(), runtime: RuntimeState::default() };
        let (view, view_receiver) = watch::channel(Arc::new(view));
        let (desired, desired_receiver) = watch::channel(desired);
        let wake = Arc::new(Wake::default());
        pods.insert(uid, Handle { desired, wake: wake.clone(), view: view_receiver });
        Some(Seat { desired: desired_receiver, wake, view })
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.pods.lock().remove(uid);
        self.owners.lock().retain(|_, owner| owner != uid);
    }

    /// Tells that the objects of all Pods but these are gone, and wakes their workers.
    pub(crate) fn retain(&self, keep: &HashSet<String>) {
        for (uid, handle) in self.pods.lock().iter() {
            if !keep.contains(uid) && !is_local(handle.desired.borrow().pod()) {
                let pod = handle.desired.borrow().pod().clone();
                handle.desired.send_replace(Desired::Gone(pod));
            }
        }
    }

    /// Uids of the Pods of this namespace and name, other than this one.
    pub(crate) fn namesakes(&self, pod: &Pod) -> Vec<Arc<Pod>> {
        let pods = self.pods.lock();
        let pods = pods.values().map(|handle| handle.desired.borrow().pod().clone());
        pods.filter(|other| {
            spec::name(other) == spec::name(pod)
                && spec::namespace(other) == spec::namespace(pod)
                && spec::uid(other) != spec::uid(pod)
                && !is_local(other)
        })
        .collect()
    }

    pub(crate) fn wake(&self, uid: &str) {
        if let Some(handle) = self.pods.lock().get(uid) {
            handle.wake.call();
        }
    }

    pub(crate) fn sources_changed(&self, uid: &str) {
        if let Some(handle) = self.pods.lock().get(uid) {
            handle.wake.news.lock().sources = true;
            handle.wake.call();
        }
    }

    /// containerd says that this container or sandbox has ended.
    pub(crate) fn ended(&self, id: &str) {
        let owner = self.owners.lock().get(id).cloned();
        if let Some(uid) = owner
            && let Some(handle) = self.pods.lock().get(&uid)
        {
            handle.wake.news.lock().ended.insert(id.to_owned());
            handle.wake.call();
        }
    }

    pub(crate) fn owns(&self, uid: &str, ids: impl Iterator<Item = String>) {
        let mut owners = self.owners.lock();
        owners.extend(ids.map(|id| (id, uid.to_owned())));
    }

    pub(crate) fn owner(&self, id: &str) -> Option<String> {
        self.owners.lock().get(id).cloned()
    }

    pub(crate) fn has(&self, uid: &str) -> bool {
        self.pods.lock().contains_key(uid)
    }

    pub(crate) fn count(&self) -> usize {
        self.pods.lock().len()
    }

    pub(crate) fn views(&self) -> Vec<Arc<PodView>> {
        self.pods.lock().values().map(|handle| handle.view.borrow().clone()).collect()
    }

    /// What the worker of this Pod sees, now and as it changes.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<watch::Receiver<Arc<PodView>>> {
        let pods = self.pods.lock();
        let found = pods.values().filter(|handle| {
            let pod = handle.desired.borrow().pod().clone();
            spec::namespace(&pod) == namespace && spec::name(&pod) == name
        });
        // Of two with this name the one that is not on its way out.
        found.min_by_key(|handle| handle.desired.borrow().is_end()).map(|handle| handle.view.clone())
    }
}

/// A static Pod: the API has no say over it.
pub(crate) fn is_local(pod: &Pod) -> bool {
    spec::annotation(pod, names::CONFIG_SOURCE).is_some_and(|source| source != "api")
}

/// Whether a worker would do anything else for the new object. Its own writes of
/// status come back by the watch and must not make it look again.
fn changes_anything(old: &Desired, new: &Desired) -> bool {
    if matches!(old, Desired::Gone(_)) != matches!(new, Desired::Gone(_)) {
        return true;
    }
    let (old, new) = (old.pod(), new.pod());
    let foreign = |pod: &Pod| -> Vec<(String, String)> {
        let gates = spec::of(pod).readiness_gates.iter().flatten();
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let conditions: Vec<_> = conditions.collect();
        gates
            .filter_map(|gate| conditions.iter().find(|condition| condition.type_ == gate.condition_type))
            .map(|condition| (condition.type_.clone(), condition.status.clone()))
            .collect()
    };
    old.spec != new.spec
        || old.metadata.labels != new.metadata.labels
        || old.metadata.annotations != new.metadata.annotations
        || old.metadata.deletion_timestamp != new.metadata.deletion_timestamp
        || old.metadata.deletion_grace_period_seconds != new.metadata.deletion_grace_period_seconds
        || foreign(old) != foreign(new)
}
