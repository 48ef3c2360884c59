//! Which Pods have a worker, how to wake it, and what it last saw.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::pod::{conditions, names, runtime::RuntimeState, spec};

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

    /// The object whose deletion waits for this node to say that nothing is left.
    pub(crate) fn deleted(&self) -> Option<&Arc<Pod>> {
        match self {
            Self::As(pod) if self.is_end() && !is_local(pod) => Some(pod),
            _ => None,
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

    /// What could not be acted upon is news still.
    pub(crate) fn give_back(&self, old: News) {
        let mut news = self.news.lock();
        news.ended.extend(old.ended);
        news.sources |= old.sources;
    }
}

struct Handle {
    /// In the order in which they came.
    number: u64,
    desired: watch::Sender<Desired>,
    wake: Arc<Wake>,
    view: watch::Receiver<Arc<PodView>>,
}

impl Handle {
    /// Somebody else wrote conditions that are the kubelet's, or that the Pod is over.
    fn must_answer(&self, shown: &Pod) -> bool {
        let known = &self.view.borrow().pod;
        conditions::are_contradicted(known, shown) || spec::is_terminal(shown) && !spec::is_terminal(known)
    }

    /// Of static Pods with one name the later waits for the end of the earlier.
    fn comes_before(&self, other: &Self) -> bool {
        if self.number >= other.number {
            return false;
        }
        let (own, others) = (self.desired.borrow(), other.desired.borrow());
        let pods = [own.pod(), others.pod()];
        pods.into_iter().all(|pod| is_local(pod)) && have_one_name(pods[0], pods[1])
    }
}

fn have_one_name(one: &Pod, other: &Pod) -> bool {
    (spec::namespace(one), spec::name(one)) == (spec::namespace(other), spec::name(other))
}

/// By Pod uid. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    next_number: Arc<AtomicU64>,
    pods: Arc<Mutex<HashMap<String, Handle>>>,
    /// Pod uid by id of container or sandbox.
    owners: Arc<Mutex<HashMap<String, String>>>,
    /// What ended before its worker said whose it is, newest last.
    strays: Arc<Mutex<VecDeque<String>>>,
    mirrors: watch::Sender<Option<Mirrors>>,
}

/// The API's copies of static Pods, by the copy's uid; `None` before it has told.
pub(crate) type Mirrors = BTreeMap<String, Arc<Pod>>;

/// An end is told within moments of a start, so few are in between.
const MAX_STRAYS: usize = 256;

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
            let contradicts = !is_local(desired.pod()) && handle.must_answer(desired.pod());
            let matters = contradicts || changes_anything(&handle.desired.borrow(), &desired);
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
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        pods.insert(uid, Handle { number, desired, wake: wake.clone(), view: view_receiver });
        Some(Seat { desired: desired_receiver, wake, view })
    }

    /// Forgets a Pod that has ended; false when it is wanted again.
    pub(crate) fn leave(&self, uid: &str) -> bool {
        let mut pods = self.pods.lock();
        if pods.get(uid).is_some_and(|handle| !handle.desired.borrow().is_end()) {
            return false;
        }
        let gone = pods.remove(uid);
        // Who waited for this one's end.
        for behind in gone.iter().flat_map(|gone| pods.values().filter(|other| gone.comes_before(other))) {
            behind.wake.call();
        }
        self.owners.lock().retain(|_, owner| owner != uid);
        true
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

    /// The static Pods that have a worker.
    pub(crate) fn locals(&self) -> Vec<Arc<Pod>> {
        let pods = self.pods.lock();
        let all = pods.values().map(|handle| handle.desired.borrow().pod().clone());
        all.filter(|pod| is_local(pod)).collect()
    }

    /// Whether another static Pod of this name came before and is here still.
    pub(crate) fn is_behind(&self, uid: &str) -> bool {
        let pods = self.pods.lock();
        pods.get(uid).is_some_and(|own| pods.values().any(|other| other.comes_before(own)))
    }

    /// The API has these copies of static Pods, and no others. They are told at once:
    /// whoever saw a part of them would make the rest again.
    pub(crate) fn mirror_all(&self, copies: Vec<Arc<Pod>>) {
        let copies: Mirrors = copies.into_iter().map(|copy| (spec::uid(&copy).to_owned(), copy)).collect();
        let before = self.mirrors.send_replace(Some(copies.clone())).unwrap_or_default();
        copies.iter().for_each(|(uid, copy)| self.mirrored(copy, !before.contains_key(uid)));
    }

    /// The API has this copy of a static Pod.
    pub(crate) fn mirror(&self, copy: Arc<Pod>) {
        let mut is_new = false;
        self.mirrors.send_modify(|mirrors| {
            let before = mirrors.get_or_insert_default().insert(spec::uid(&copy).to_owned(), copy.clone());
            is_new = before.is_none();
        });
        self.mirrored(&copy, is_new);
    }

    /// A new copy is to be given its Pod's status, and one that says otherwise.
    fn mirrored(&self, copy: &Pod, is_new: bool) {
        let of = spec::annotation(copy, names::MIRROR).unwrap_or_default();
        if let Some(handle) = self.pods.lock().get(of)
            && (is_new || handle.must_answer(copy))
        {
            handle.wake.call();
        }
    }

    pub(crate) fn mirror_gone(&self, copy: &Pod) {
        self.mirrors.send_if_modified(|mirrors| {
            mirrors.as_mut().is_some_and(|mirrors| mirrors.remove(spec::uid(copy)).is_some())
        });
    }

    pub(crate) fn mirrors(&self) -> watch::Receiver<Option<Mirrors>> {
        self.mirrors.subscribe()
    }

    /// The copy of this static Pod.
    pub(crate) fn mirror_of(&self, uid: &str) -> Option<Arc<Pod>> {
        let mirrors = self.mirrors.borrow();
        let mut found = mirrors.iter().flat_map(BTreeMap::values);
        found.find(|copy| spec::annotation(copy, names::MIRROR) == Some(uid)).cloned()
    }

    /// Uids of the Pods of this namespace and name, other than this one.
    pub(crate) fn namesakes(&self, pod: &Pod) -> Vec<Arc<Pod>> {
        let pods = self.pods.lock();
        let pods = pods.values().map(|handle| handle.desired.borrow().pod().clone());
        pods.filter(|other| {
            have_one_name(other, pod) && spec::uid(other) != spec::uid(pod) && !is_local(other)
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
        let owners = self.owners.lock();
        match owners.get(id).cloned() {
            Some(uid) => {
                drop(owners);
                self.tell_ended(&uid, id);
            }
            // Under the lock: whoever takes it next and says whose it is finds it here.
            None => {
                let mut strays = self.strays.lock();
                if strays.len() == MAX_STRAYS {
                    strays.pop_front();
                }
                strays.push_back(id.to_owned());
            }
        }
    }

    fn tell_ended(&self, uid: &str, id: &str) {
        if let Some(handle) = self.pods.lock().get(uid) {
            handle.wake.news.lock().ended.insert(id.to_owned());
            handle.wake.call();
        }
    }

    pub(crate) fn owns(&self, uid: &str, ids: impl Iterator<Item = String>) {
        let mut late = Vec::new();
        let mut owners = self.owners.lock();
        for id in ids {
            let mut strays = self.strays.lock();
            if let Some(place) = strays.iter().position(|stray| *stray == id) {
                strays.remove(place);
                late.push(id.clone());
            }
            owners.insert(id, uid.to_owned());
        }
        drop(owners);
        late.iter().for_each(|id| self.tell_ended(uid, id));
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

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
