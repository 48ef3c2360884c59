//! Keeps the wanted number of Pods of a ReplicaSet, and of its elder, the
//! ReplicationController: one controller, run once a kind.
//!
//! [`kinds`] says in what the kinds differ, [`rank`] decides which Pods go,
//! [`status`] what the status says; here is the reconcile: claim Pods by
//! selector, create or delete the difference (never while earlier creates and
//! deletes aren't seen), write the status.

mod kinds;
mod rank;
mod status;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSetStatus};
use kube::{Api, api::PostParams};
use tiphys_client::LeanPod;

use crate::{
    context::Context,
    error::{Error, found, namespace_terminating},
    key::Key,
    object, owner, pod,
    pod_writer::{BURST, PodWriter, Wording, from_template},
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    selector::Matcher,
    watched::{Watched, controller_uid},
};
use kinds::Replicated;

struct ReplicaSets<K: Replicated> {
    sets: Watched<K>,
    pods: Watched<LeanPod>,
    writer: Arc<PodWriter>,
}

pub fn start<K: Replicated>(context: &Context) {
    let queue = Arc::new(Queue::default());
    let writer =
        Arc::new(PodWriter::new(context.client.clone(), context.events.of(K::REPORTER), Wording::Short));
    let (sets, pods) = (K::watched(&context.caches).clone(), context.caches.pods.clone());
    let keys = queue.clone();
    sets.subscribe(move |before, after| keys.add(Key::of(&**after.or(before).expect("a change has a side"))));
    let (keys, owners, expected) = (queue.clone(), sets.clone(), writer.clone());
    pods.subscribe(move |before, after| {
        expected.seen::<K>(before.map(|pod| &**pod), after.map(|pod| &**pod));
        for pod in before.into_iter().chain(after) {
            concerned(&owners, pod).into_iter().for_each(|key| keys.add(key));
        }
    });
    context.run(Controller {
        name: K::CONTROLLER,
        workers: 8,
        queue,
        synced: vec![sets.synced(), pods.synced()],
        reconciler: Arc::new(ReplicaSets { sets, pods, writer }),
    });
}

/// Whom a Pod concerns: its owner, or whoever might adopt it.
fn concerned<K: Replicated>(sets: &Watched<K>, pod: &LeanPod) -> Vec<Key> {
    if controller_uid(pod).is_some() {
        return owner::controller_key::<K, _>(pod).into_iter().collect();
    }
    let selects = |set: &Arc<K>| set.selector().is_ok_and(|selector| selector.matches(object::labels(pod)));
    let candidates = sets.in_namespace(object::namespace(pod));
    candidates.iter().filter(|set| selects(set)).map(|set| Key::of(&**set)).collect()
}

#[async_trait]
impl<K: Replicated> Reconciler for ReplicaSets<K> {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(set) = self.sets.get(key) else {
            self.writer.expectations.forget(key);
            return Ok(Requeue::No);
        };
        if !self.writer.expectations.met(key) {
            return Ok(Requeue::No);
        }
        let selector = set.selector()?;
        let pods = self.candidates(&set, &selector);
        let mine = owner::claim_all(&self.writer.client, &*set, &selector, pods).await?;
        let result = match object::deleting(&*set) {
            true => Ok(()),
            false => self.scale(&set, &mine).await,
        };
        let failure = result.as_ref().err().map(|(reason, error)| (*reason, error.to_string()));
        let now = Timestamp::now();
        let status = status::status(&*set, mine.iter().map(|pod| &**pod), failure, now);
        let waits = status.ready_replicas != status.available_replicas;
        self.write(&set, status).await?;
        if let Err((_, error)) = result {
            let gone = matches!(&error, Error::Api(error) if namespace_terminating(error));
            return if gone { Ok(Requeue::No) } else { Err(error) };
        }
        let min_ready = set.min_ready_seconds().max(0) as u64;
        Ok(if waits { Requeue::After(Duration::from_secs(min_ready.clamp(1, 30))) } else { Requeue::No })
    }

    fn traceparent(&self, key: &Key) -> Option<String> {
        object::traceparent(&*self.sets.get(key)?)
    }
}

impl<K: Replicated> ReplicaSets<K> {
    /// The Pods it controls, and those without a controller that it selects.
    fn candidates(&self, set: &K, selector: &Matcher) -> Vec<Arc<LeanPod>> {
        let mut pods = self.pods.controlled_by(object::uid(set));
        let orphans = self.pods.orphans(object::namespace(set)).into_iter();
        pods.extend(orphans.filter(|pod| selector.matches(object::labels(&**pod)) && pod::active(pod)));
        pods
    }

    async fn scale(&self, set: &K, mine: &[Arc<LeanPod>]) -> Result<(), (&'static str, Error)> {
        let active: Vec<Arc<LeanPod>> = mine.iter().filter(|pod| pod::active(pod)).cloned().collect();
        let wanted = set.wanted().max(0) as usize;
        if active.len() < wanted {
            let template = set.template().cloned().unwrap_or_default();
            let count = (wanted - active.len()).min(BURST);
            let pods = (0..count).map(|_| from_template(set, &template)).collect();
            return self.writer.create_all(set, pods).await.map_err(|error| ("FailedCreate", error));
        }
        let count = (active.len() - wanted).min(BURST);
        if count == 0 {
            return Ok(());
        }
        let related = self.related(set, &active);
        let surplus = rank::to_delete(&active, &related, count, Timestamp::now());
        self.writer.delete_all(set, &surplus).await.map_err(|error| ("FailedDelete", error))
    }

    /// The Pods of all ReplicaSets of the same Deployment.
    fn related(&self, set: &K, own: &[Arc<LeanPod>]) -> Vec<Arc<LeanPod>> {
        let deployment =
            controller_uid(set).filter(|_| owner::controller_key::<Deployment, _>(set).is_some());
        let Some(deployment) = deployment else { return own.to_vec() };
        let sets = self.sets.controlled_by(deployment);
        sets.iter().flat_map(|set| self.pods.controlled_by(object::uid(&**set))).collect()
    }

    async fn write(&self, set: &K, status: ReplicaSetStatus) -> Result<(), Error> {
        // What the kind's own status can't say is no difference.
        let changed = set.with_status(status);
        if !status::differs(set.status().as_ref(), &changed.status().unwrap_or_default()) {
            return Ok(());
        }
        let api: Api<K> = Api::namespaced(self.writer.client.clone(), object::namespace(set));
        found(api.replace_status(object::name(set), &PostParams::default(), &changed).await)?;
        Ok(())
    }
}
