//! DaemonSets: one Pod on every eligible Node.
//!
//! [`place`] says where a Pod may run and makes it, [`history`](crate::history) which
//! revision the template is, [`plan`] what to create and delete and the status; here
//! the reconcile carries it out. The scheduler binds the Pods: each may only go to its
//! own Node.

mod place;
mod plan;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus},
    core::v1::Node,
};
use kube::{Api, api::PostParams};
use parking_lot::Mutex;
use tiphys_client::LeanPod;
use tiphys_lifecycle::Backoff;
use tokio::time::Instant;

use crate::{
    context::Context,
    error::{Error, found, namespace_terminating},
    history::{self, REVISION, Revised, Settled},
    key::Key,
    object, owner,
    pod_writer::{BURST, PodWriter, Wording},
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    selector::Matcher,
    watched::{Watched, controller_uid},
};
use plan::{Plan, View};

struct DaemonSets {
    sets: Watched<DaemonSet>,
    revisions: Watched<ControllerRevision>,
    pods: Watched<LeanPod>,
    nodes: Watched<Node>,
    writer: Arc<PodWriter>,
    /// When the next failed Pod of a DaemonSet (by UID) on a Node may be replaced.
    failed: Mutex<HashMap<(String, String), (Backoff, Instant)>>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let writer = Arc::new(PodWriter::new(
        context.client.clone(),
        context.events.of("daemonset-controller"),
        Wording::Short,
    ));
    let caches = &context.caches;
    let keys = queue.clone();
    caches.daemon_sets.subscribe(move |before, after| {
        keys.add(Key::of(&**after.or(before).expect("a change has a side")));
    });
    let (keys, sets, expected) = (queue.clone(), caches.daemon_sets.clone(), writer.clone());
    caches.pods.subscribe(move |before, after| {
        expected.seen::<DaemonSet>(before.map(|pod| &**pod), after.map(|pod| &**pod));
        for pod in before.into_iter().chain(after) {
            concerned(&sets, pod).into_iter().for_each(|key| keys.add(key));
        }
    });
    let (keys, sets) = (queue.clone(), caches.daemon_sets.clone());
    caches.nodes.subscribe(move |before, after| {
        let facts = |node: &Arc<Node>| {
            (object::labels(&**node).clone(), node.spec.as_ref().and_then(|spec| spec.taints.clone()))
        };
        if before.map(facts) != after.map(facts) {
            sets.list().iter().for_each(|set| keys.add(Key::of(&**set)));
        }
    });
    context.run(Controller {
        name: "daemonset",
        workers: 4,
        queue,
        synced: vec![
            caches.daemon_sets.synced(),
            caches.revisions.synced(),
            caches.pods.synced(),
            caches.nodes.synced(),
        ],
        reconciler: Arc::new(DaemonSets {
            sets: caches.daemon_sets.clone(),
            revisions: caches.revisions.clone(),
            pods: caches.pods.clone(),
            nodes: caches.nodes.clone(),
            writer,
            failed: Mutex::default(),
        }),
    });
}

/// Whom a Pod concerns: its owner, or whoever might adopt it.
fn concerned(sets: &Watched<DaemonSet>, pod: &LeanPod) -> Vec<Key> {
    if controller_uid(pod).is_some() {
        return owner::controller_key::<DaemonSet, _>(pod).into_iter().collect();
    }
    let selects = |set: &Arc<DaemonSet>| {
        Matcher::workload(&set.spec.selector).is_ok_and(|selector| selector.matches(object::labels(pod)))
    };
    let candidates = sets.in_namespace(object::namespace(pod));
    candidates.iter().filter(|set| selects(set)).map(|set| Key::of(&**set)).collect()
}

#[async_trait]
impl Reconciler for DaemonSets {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(set) = self.sets.get(key) else {
            self.writer.expectations.forget(key);
            return Ok(Requeue::No);
        };
        let selector = Matcher::workload(&set.spec.selector)?;
        if selector.is_empty() || !self.writer.expectations.met(key) {
            return Ok(Requeue::No);
        }
        let mut pods = self.pods.controlled_by(object::uid(&*set));
        pods.extend(self.pods.orphans(&key.namespace));
        let pods = owner::claim_all(&self.writer.client, &*set, &selector, pods).await?;
        let Some(hash) = self.keep_history(&set, &selector, &pods).await? else {
            return Ok(Requeue::No);
        };
        let nodes = self.nodes.list();
        let view = View {
            set: &set,
            hash: &hash,
            nodes: nodes
                .iter()
                .map(|node| (object::name(&**node).to_owned(), place::fit(&set, node)))
                .collect(),
            pods: plan::by_node(pods),
            now: Timestamp::now(),
        };
        let status = plan::status(&view);
        let waits = status.number_available.unwrap_or(0) != status.number_ready;
        let (result, pause) = match object::deleting(&*set) {
            true => (Ok(()), None),
            false => self.carry_out(&view, plan::plan(&view)).await,
        };
        self.write(&set, status).await?;
        match result {
            Err(Error::Api(error)) if namespace_terminating(&error) => return Ok(Requeue::No),
            result => result?,
        }
        let pause = pause.or_else(|| waits.then_some(Duration::from_secs(1)));
        Ok(pause.map_or(Requeue::No, Requeue::After))
    }

    fn traceparent(&self, key: &Key) -> Option<String> {
        object::traceparent(&*self.sets.get(key)?)
    }
}

impl DaemonSets {
    /// Sees to the revisions and gives the hash of the newest one. `None`: its name was
    /// another one's; the collision is counted, and that brings the next reconcile.
    async fn keep_history(
        &self,
        set: &DaemonSet,
        selector: &Matcher,
        pods: &[Arc<LeanPod>],
    ) -> Result<Option<String>, Error> {
        let of_pods = pods.iter().filter_map(|pod| object::labels(&**pod).get(REVISION));
        let live: BTreeSet<&str> = of_pods.collect();
        let hash = |revision: &ControllerRevision| object::labels(revision).get(REVISION).cloned();
        let is_live =
            |revision: &ControllerRevision| hash(revision).is_some_and(|hash| live.contains(&*hash));
        match history::settle(&self.writer.client, &self.revisions, set, selector, is_live).await? {
            Settled::Kept(history) => Ok(Some(hash(&history.newest).unwrap_or_default())),
            Settled::Taken => {
                let mut status = set.status.clone().unwrap_or_default();
                status.collision_count = Some(set.collisions() + 1);
                self.write(set, status).await?;
                Ok(None)
            }
            Settled::Leaving => Ok(None),
        }
    }

    /// Carries out the plan; gives the result and when to come back for failed Pods.
    async fn carry_out(&self, view: &View<'_>, plan: Plan) -> (Result<(), Error>, Option<Duration>) {
        let set = view.set;
        let mut pause = None;
        let mut delete = plan.delete;
        for pod in plan.failed {
            let node = place::node_of(&pod).unwrap_or_default();
            match self.hold_back(object::uid(set), node) {
                Some(left) => pause = Some(pause.map_or(left, |pause: Duration| pause.min(left))),
                None => {
                    let message = format!(
                        "Found failed daemon pod {} on node {node}, will try to kill it",
                        Key::of(&*pod)
                    );
                    self.writer.events.warning(set, "FailedDaemonPod", message);
                    delete.push(pod);
                }
            }
        }
        delete.sort_by(|a, b| object::uid(&**a).cmp(object::uid(&**b)));
        delete.dedup_by(|a, b| object::uid(&**a) == object::uid(&**b));
        delete.truncate(BURST);
        let gone: Vec<&LeanPod> = delete.iter().map(|pod| &**pod).collect();
        let new = plan.create.iter().take(BURST).map(|node| place::pod_for(set, node, view.hash)).collect();
        let created = self.writer.create_all(set, new).await;
        let deleted = self.writer.delete_all(set, &gone).await;
        (created.and(deleted), pause)
    }

    /// The time a failed Pod must stay until it is replaced; `None` when it may go now.
    fn hold_back(&self, set: &str, node: &str) -> Option<Duration> {
        let mut failed = self.failed.lock();
        let now = Instant::now();
        failed.retain(|_, (_, next)| now.saturating_duration_since(*next) < Duration::from_secs(1800));
        let fresh = || (Backoff::new(Duration::from_secs(1), Duration::from_secs(900)), now);
        let (backoff, next) = failed.entry((set.to_owned(), node.to_owned())).or_insert_with(fresh);
        let left = next.saturating_duration_since(now);
        if !left.is_zero() {
            return Some(left);
        }
        *next = now + backoff.next_pause();
        None
    }

    async fn write(&self, set: &DaemonSet, status: DaemonSetStatus) -> Result<(), Error> {
        if !plan::differs(set.status.as_ref(), &status) {
            return Ok(());
        }
        let api: Api<DaemonSet> = Api::namespaced(self.writer.client.clone(), object::namespace(set));
        let changed = DaemonSet { status: Some(status), ..set.clone() };
        found(api.replace_status(object::name(set), &PostParams::default(), &changed).await)?;
        Ok(())
    }
}
