//! Deployments: a ReplicaSet a Pod template, and the way from one to the next.
//!
//! ```text
//! revision   which ReplicaSet is the new one, its name, its annotations, which old ones go
//! rollout    how many replicas each ReplicaSet should have now (pure arithmetic)
//! progress   the status and its conditions (pure)
//! write      the calls that make it so, and their events
//! ```
//!
//! One reconcile takes one step of the rollout; the ReplicaSets' changed status
//! brings the next.

mod progress;
mod revision;
mod rollout;
mod write;

#[cfg(test)]
mod sample;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};

use tiphys_client::{Events, LeanPod};

use crate::{
    context::Context,
    error::Error,
    key::Key,
    object, owner,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    selector::Matcher,
    watched::{Watched, controller_uid},
};

pub(crate) use revision::hash as template_hash;
pub(crate) use rollout::{resolve as resolve_share, wanted};

struct Deployments {
    client: kube::Client,
    events: Events,
    deployments: Watched<Deployment>,
    sets: Watched<ReplicaSet>,
    pods: Watched<LeanPod>,
}

/// A Deployment and its ReplicaSets, as one reconcile sees them.
struct View {
    deployment: Arc<Deployment>,
    /// Has the Deployment's template.
    new: Option<Arc<ReplicaSet>>,
    /// Oldest first.
    old: Vec<Arc<ReplicaSet>>,
}

impl View {
    fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let caches = &context.caches;
    let keys = queue.clone();
    caches.deployments.subscribe(move |before, after| {
        keys.add(Key::of(&**after.or(before).expect("a change has a side")));
    });
    let (keys, deployments) = (queue.clone(), caches.deployments.clone());
    caches.replica_sets.subscribe(move |before, after| {
        for set in before.into_iter().chain(after) {
            concerned(&deployments, set).into_iter().for_each(|key| keys.add(key));
        }
    });
    let (keys, sets) = (queue.clone(), caches.replica_sets.clone());
    caches.pods.subscribe(move |before, after| {
        // Recreate waits until the last old Pod is gone or finished.
        if let Some(before) = before
            && after.is_none_or(|pod| pod.finished())
            && let Some(set) =
                owner::controller_key::<ReplicaSet, _>(&**before).and_then(|key| sets.get(&key))
            && let Some(key) = owner::controller_key::<Deployment, _>(&*set)
        {
            keys.add(key);
        }
    });
    let reconciler = Deployments {
        client: context.client.clone(),
        events: context.events.of("deployment-controller"),
        deployments: caches.deployments.clone(),
        sets: caches.replica_sets.clone(),
        pods: caches.pods.clone(),
    };
    context.run(Controller {
        name: "deployment",
        workers: 4,
        queue,
        synced: vec![caches.deployments.synced(), caches.replica_sets.synced(), caches.pods.synced()],
        reconciler: Arc::new(reconciler),
    });
}

/// Whom a ReplicaSet concerns: its owner, or whoever might adopt it.
fn concerned(deployments: &Watched<Deployment>, set: &ReplicaSet) -> Vec<Key> {
    if controller_uid(set).is_some() {
        return owner::controller_key::<Deployment, _>(set).into_iter().collect();
    }
    let selects = |deployment: &Arc<Deployment>| {
        Matcher::workload(&deployment.spec.selector)
            .is_ok_and(|selector| selector.matches(object::labels(set)))
    };
    let candidates = deployments.in_namespace(object::namespace(set));
    candidates.iter().filter(|deployment| selects(deployment)).map(|found| Key::of(&**found)).collect()
}

#[async_trait]
impl Reconciler for Deployments {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(deployment) = self.deployments.get(key) else { return Ok(Requeue::No) };
        let selector = Matcher::workload(&deployment.spec.selector)?;
        if selector.is_empty() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.events.warning(&*deployment, "SelectingAll", message.to_owned());
            return Ok(Requeue::No);
        }
        let mut sets = self.sets.controlled_by(object::uid(&*deployment));
        sets.extend(self.sets.orphans(&key.namespace));
        let sets = owner::claim_all(&self.client, &*deployment, &selector, sets).await?;
        let view = revision::split(deployment, sets);
        self.step(view).await
    }

    fn traceparent(&self, key: &Key) -> Option<String> {
        object::traceparent(&*self.deployments.get(key)?)
    }
}

impl Deployments {
    async fn step(&self, mut view: View) -> Result<Requeue, Error> {
        let paused = rollout::paused(&view.deployment);
        if object::deleting(&*view.deployment) {
            return self.report(&view).await;
        }
        if paused || rollout::is_scaling(&view) {
            if let Some(new) = view.new.clone() {
                view.new = Some(self.annotate(&view, &new).await?);
            }
            self.scale_all(&view, rollout::scale(&view)).await?;
            if paused {
                self.clean_up(&view).await?;
            }
            return self.report(&view).await;
        }
        if rollout::recreates(&view.deployment) {
            return self.recreate(view).await;
        }
        self.ensure_new(&mut view).await?;
        let steps = rollout::roll(&view);
        if steps.is_empty() {
            self.finish(&view).await
        } else {
            self.scale_all(&view, steps).await?;
            self.report(&view).await
        }
    }

    async fn recreate(&self, mut view: View) -> Result<Requeue, Error> {
        let down = rollout::stop_old(&view);
        if !down.is_empty() {
            self.scale_all(&view, down).await?;
            return self.report(&view).await;
        }
        let runs = |set: &Arc<ReplicaSet>| {
            let pods = self.pods.controlled_by(object::uid(&**set));
            pods.iter().any(|pod| !pod.finished())
        };
        if view.old.iter().any(runs) {
            return self.report(&view).await;
        }
        self.ensure_new(&mut view).await?;
        self.scale_all(&view, rollout::roll(&view)).await?;
        self.finish(&view).await
    }

    async fn finish(&self, view: &View) -> Result<Requeue, Error> {
        if progress::complete(&view.deployment, &progress::figures(view)) {
            self.clean_up(view).await?;
        }
        self.report(view).await
    }

    /// Writes the status, and comes back when the progress deadline may have passed.
    async fn report(&self, view: &View) -> Result<Requeue, Error> {
        let now = Timestamp::now();
        let status = progress::status(view, now);
        let pause = progress::deadline_in(&view.deployment, &status, now);
        self.write_status(&view.deployment, status).await?;
        Ok(pause.map_or(Requeue::No, |seconds| Requeue::After(Duration::from_secs(seconds))))
    }
}

/// The status of a Deployment, zeros when it has none yet.
fn status_of(deployment: &Deployment) -> DeploymentStatus {
    deployment.status.clone().unwrap_or_default()
}
