//! StatefulSets: Pods with a number each, their own claims and a stable name.
//!
//! ```text
//! identity   ordinal, name, host name, labels, volumes; the Pod of an ordinal   (pure)
//! claims     the claims of a Pod and who owns them                              (pure)
//! plan       what to make and delete now                                        (pure)
//! status     what the status says                                               (pure)
//! write      the calls that make it so, and their events
//! ```
//!
//! [`history`](crate::history) keeps the revisions of the template. One reconcile takes
//! one step; the Pods' changes bring the next. There are never two Pods of an ordinal:
//! their names are the same, and a new one is made when the former is gone.

mod claims;
mod identity;
mod plan;
mod status;
mod write;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod sample;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::PersistentVolumeClaim,
};
use tiphys_client::LeanPod;

use crate::{
    context::Context,
    error::{Error, namespace_terminating},
    history::{self, History, REVISION, Revised, Settled},
    key::Key,
    object, owner,
    pod_writer::{PodWriter, Wording},
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    selector::Matcher,
    watched::{Watched, controller_uid},
};
use plan::{Plan, View};

struct StatefulSets {
    sets: Watched<StatefulSet>,
    revisions: Watched<ControllerRevision>,
    pods: Watched<LeanPod>,
    claims: Watched<PersistentVolumeClaim>,
    writer: Arc<PodWriter>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let events = context.events.of("statefulset-controller");
    let writer = Arc::new(PodWriter::new(context.client.clone(), events, Wording::Long));
    let caches = &context.caches;
    let keys = queue.clone();
    caches.stateful_sets.subscribe(move |before, after| {
        keys.add(Key::of(&**after.or(before).expect("a change has a side")));
    });
    let (keys, sets, expected) = (queue.clone(), caches.stateful_sets.clone(), writer.clone());
    caches.pods.subscribe(move |before, after| {
        expected.seen::<StatefulSet>(before.map(|pod| &**pod), after.map(|pod| &**pod));
        for pod in before.into_iter().chain(after) {
            concerned(&sets, pod).into_iter().for_each(|key| keys.add(key));
        }
    });
    let (keys, sets) = (queue.clone(), caches.stateful_sets.clone());
    caches.claims.subscribe(move |before, after| {
        for claim in before.into_iter().chain(after) {
            let sets = sets.in_namespace(object::namespace(&**claim));
            let with = sets.iter().filter(|set| claims::ordinal(set, object::name(&**claim)).is_some());
            with.for_each(|set| keys.add(Key::of(&**set)));
        }
    });
    context.run(Controller {
        name: "statefulset",
        workers: 5,
        queue,
        synced: vec![
            caches.stateful_sets.synced(),
            caches.revisions.synced(),
            caches.pods.synced(),
            caches.claims.synced(),
        ],
        reconciler: Arc::new(StatefulSets {
            sets: caches.stateful_sets.clone(),
            revisions: caches.revisions.clone(),
            pods: caches.pods.clone(),
            claims: caches.claims.clone(),
            writer,
        }),
    });
}

/// Whom a Pod concerns: its owner, or whoever might adopt it.
fn concerned(sets: &Watched<StatefulSet>, pod: &LeanPod) -> Vec<Key> {
    if controller_uid(pod).is_some() {
        return owner::controller_key::<StatefulSet, _>(pod).into_iter().collect();
    }
    let adopts = |set: &Arc<StatefulSet>| {
        identity::ordinal(set, object::name(pod)).is_some()
            && Matcher::workload(&set.spec.selector)
                .is_ok_and(|selector| selector.matches(object::labels(pod)))
    };
    let candidates = sets.in_namespace(object::namespace(pod));
    candidates.iter().filter(|set| adopts(set)).map(|set| Key::of(&**set)).collect()
}

#[async_trait]
impl Reconciler for StatefulSets {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(set) = self.sets.get(key) else {
            self.writer.expectations.forget(key);
            return Ok(Requeue::No);
        };
        let selector = Matcher::workload(&set.spec.selector)?;
        if selector.is_empty() || !self.writer.expectations.met(key) {
            return Ok(Requeue::No);
        }
        let pods = self.pods(&set, &selector).await?;
        let Some(history) = self.history(&set, &selector, &pods).await? else {
            return Ok(Requeue::No);
        };
        let current = current(&set, &history);
        let view = View {
            set: &set,
            current: object::name(&**current),
            newest: object::name(&*history.newest),
            claims: self.claims(&set, &pods),
            pods,
            now: Timestamp::now(),
        };
        let plan = if object::deleting(&*set) { Plan::default() } else { plan::plan(&view) };
        let status = status::status(&view, plan.outdated);
        let result = self.carry_out(&view, current, plan).await;
        self.write_status(&set, status).await?;
        match result {
            Err(Error::Api(error)) if namespace_terminating(&error) => return Ok(Requeue::No),
            result => result?,
        }
        Ok(status::available_in(&view).map_or(Requeue::No, Requeue::After))
    }

    fn traceparent(&self, key: &Key) -> Option<String> {
        object::traceparent(&*self.sets.get(key)?)
    }
}

impl StatefulSets {
    /// The set's Pods by ordinal: those it controls, and those it adopts now.
    async fn pods(
        &self,
        set: &StatefulSet,
        selector: &Matcher,
    ) -> Result<BTreeMap<identity::Ordinal, Arc<LeanPod>>, Error> {
        let ordinal = |pod: &LeanPod| identity::ordinal(set, object::name(pod));
        let mut pods = self.pods.controlled_by(object::uid(set));
        let orphans = self.pods.orphans(object::namespace(set)).into_iter();
        pods.extend(orphans.filter(|pod| ordinal(pod).is_some()));
        let pods = owner::claim_all(&self.writer.client, set, selector, pods).await?;
        Ok(pods.into_iter().filter_map(|pod| Some((ordinal(&pod)?, pod))).collect())
    }

    /// The claims of the Pods that are there and of the ordinals that lack one.
    fn claims(
        &self,
        set: &StatefulSet,
        pods: &BTreeMap<identity::Ordinal, Arc<LeanPod>>,
    ) -> BTreeMap<String, Arc<PersistentVolumeClaim>> {
        let missing = plan::missing_ordinals(set, pods);
        let ordinals = pods.keys().copied().chain(missing);
        let names = ordinals.flat_map(|ordinal| claims::names(set, ordinal).map(|(_, name)| name));
        names
            .filter_map(|name| {
                let claim = self.claims.get(&Key::new(object::namespace(set), name.clone()))?;
                Some((name, claim))
            })
            .collect()
    }

    /// Sees to the revisions. `None`: the newest one's name was another one's; the
    /// collision is counted, and that brings the next reconcile.
    async fn history(
        &self,
        set: &StatefulSet,
        selector: &Matcher,
        pods: &BTreeMap<identity::Ordinal, Arc<LeanPod>>,
    ) -> Result<Option<History>, Error> {
        let of_pods = pods.values().filter_map(|pod| object::labels(&**pod).get(REVISION));
        let current = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
        let live: BTreeSet<&str> = of_pods.chain(current).collect();
        let is_live = |revision: &ControllerRevision| live.contains(object::name(revision));
        match history::settle(&self.writer.client, &self.revisions, set, selector, is_live).await? {
            Settled::Kept(history) => Ok(Some(history)),
            Settled::Taken => {
                let mut status = set.status.clone().unwrap_or_default();
                status.collision_count = Some(set.collisions() + 1);
                self.write_status(set, status).await?;
                Ok(None)
            }
            Settled::Leaving => Ok(None),
        }
    }
}

/// The revision that all Pods had when the last update was through.
fn current<'a>(set: &StatefulSet, history: &'a History) -> &'a Arc<ControllerRevision> {
    let name = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
    let named = |revision: &&Arc<ControllerRevision>| Some(object::name(&***revision)) == name;
    history.older.iter().find(named).unwrap_or(&history.newest)
}
