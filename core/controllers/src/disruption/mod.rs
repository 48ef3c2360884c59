//! Keeps the status of PodDisruptionBudgets: how many Pods may be evicted now.
//!
//! [`budget`] decides; here is what it is decided from. The API server takes from
//! `disruptionsAllowed` with each eviction, so a status is written only over the
//! version that was read: what an eviction took meanwhile is never given back.

mod budget;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    core::v1::ReplicationController,
    policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::GroupVersionKind,
    discovery::pinned_kind,
};
use tiphys_client::{Events, LeanPod};

use crate::{
    context::Context,
    deployment::wanted,
    error::{Error, code, found},
    key::Key,
    object, owner,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    selector::Matcher,
    watched::Watched,
};

struct Budgets {
    client: Client,
    budgets: Watched<PodDisruptionBudget>,
    pods: Watched<LeanPod>,
    sets: Watched<ReplicaSet>,
    deployments: Watched<Deployment>,
    events: Events,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let caches = &context.caches;
    let (budgets, pods) = (caches.budgets.clone(), caches.pods.clone());
    let keys = queue.clone();
    budgets
        .subscribe(move |before, after| keys.add(Key::of(&**after.or(before).expect("a change has a side"))));
    let (keys, all) = (queue.clone(), budgets.clone());
    pods.subscribe(move |before, after| {
        for pod in before.into_iter().chain(after) {
            let of_namespace = all.in_namespace(object::namespace(&**pod));
            let concerned = of_namespace.iter().filter(|budget| selects(budget, pod));
            concerned.for_each(|budget| keys.add(Key::of(&**budget)));
        }
    });
    let (sets, deployments) = (caches.replica_sets.clone(), caches.deployments.clone());
    context.run(Controller {
        name: "disruption",
        workers: 2,
        queue,
        synced: vec![budgets.synced(), pods.synced(), sets.synced(), deployments.synced()],
        reconciler: Arc::new(Budgets {
            client: context.client.clone(),
            budgets,
            pods,
            sets,
            deployments,
            events: context.events.of("controllermanager"),
        }),
    });
}

/// An empty selector takes all Pods, none takes none.
fn selects(budget: &PodDisruptionBudget, pod: &LeanPod) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        Matcher::all(selector).is_ok_and(|selector| selector.matches(object::labels(pod)))
    })
}

#[async_trait]
impl Reconciler for Budgets {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(budget) = self.budgets.get(key) else { return Ok(Requeue::No) };
        let pods = self.pods.in_namespace(&key.namespace);
        let pods: Vec<&LeanPod> = pods.iter().map(|pod| &**pod).filter(|pod| selects(&budget, pod)).collect();
        let now = Timestamp::now();
        let needs_scale = budget.spec.as_ref().is_some_and(budget::needs_scale);
        let scale = if needs_scale { self.scale(&pods).await } else { Ok(0) };
        let scale = match scale {
            Ok(scale) => scale,
            Err(error) => {
                self.write(&budget, budget::failed(&budget, error.to_string(), now)).await?;
                return Err(error);
            }
        };
        let verdict = budget::decide(&budget, &pods, scale, now);
        for name in &verdict.stayed {
            if let Some(pod) = pods.iter().find(|pod| object::name(**pod) == name) {
                let message = format!("Pod was expected by PDB {key} to be deleted but it wasn't");
                self.events.warning(*pod, "NotDeleted", message);
            }
        }
        self.write(&budget, verdict.status).await?;
        Ok(verdict.again.map_or(Requeue::No, Requeue::After))
    }
}

impl Budgets {
    /// What the Pods' owners are scaled to, each owner once.
    async fn scale(&self, pods: &[&LeanPod]) -> Result<i32, Error> {
        let mut scales = BTreeMap::new();
        for pod in pods {
            let owners = pod.owners.iter();
            // A Pod of nobody's is wanted by nobody.
            let Some(owner) = owners.clone().find(|owner| owner.controller == Some(true)) else { continue };
            if scales.contains_key(&owner.uid) {
                continue;
            }
            let (uid, scale) = match self.set(pod, &owner.uid) {
                Some(set) => self.of_set(&set),
                None => (owner.uid.clone(), self.of_other(object::namespace(*pod), owner).await?),
            };
            scales.insert(uid, scale);
        }
        Ok(scales.values().sum())
    }

    fn set(&self, pod: &LeanPod, uid: &str) -> Option<Arc<ReplicaSet>> {
        let key = owner::controller_key::<ReplicaSet, _>(pod)?;
        self.sets.get(&key).filter(|set| object::uid(&**set) == uid)
    }

    /// A Deployment's ReplicaSets together are what it is scaled to.
    fn of_set(&self, set: &ReplicaSet) -> (String, i32) {
        let deployment =
            owner::controller_key::<Deployment, _>(set).and_then(|key| self.deployments.get(&key));
        match deployment {
            Some(deployment) => (object::uid(&*deployment).to_owned(), wanted(&deployment)),
            None => (object::uid(set).to_owned(), set.spec.replicas.unwrap_or(1)),
        }
    }

    /// Any other owner says it by its Scale.
    async fn of_other(&self, namespace: &str, owner: &OwnerReference) -> Result<i32, Error> {
        let (client, name) = (self.client.clone(), &owner.name);
        let scale = match owner.kind.as_str() {
            "StatefulSet" => Api::<StatefulSet>::namespaced(client, namespace).get_scale(name).await,
            "ReplicationController" => {
                Api::<ReplicationController>::namespaced(client, namespace).get_scale(name).await
            }
            kind => {
                let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
                let (resource, _) =
                    pinned_kind(&client, &GroupVersionKind::gvk(group, version, kind)).await?;
                Api::<DynamicObject>::namespaced_with(client, namespace, &resource).get_scale(name).await
            }
        };
        let scale = found(scale)?.filter(|scale| scale.metadata.uid.as_ref() == Some(&owner.uid));
        let replicas = scale.and_then(|scale| scale.spec).map(|spec| spec.replicas.unwrap_or(0));
        replicas
            .ok_or_else(|| Error::Invalid(format!("{} {name} can't say how far it is scaled", owner.kind)))
    }

    /// Writes over the version that was read; another one comes with a reconcile of its own.
    async fn write(
        &self,
        budget: &PodDisruptionBudget,
        status: PodDisruptionBudgetStatus,
    ) -> Result<(), Error> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), object::namespace(budget));
        let changed = PodDisruptionBudget { status: Some(status), ..budget.clone() };
        match api.replace_status(object::name(budget), &PostParams::default(), &changed).await {
            Err(error) if code(&error) != 404 => Err(error.into()),
            _ => Ok(()),
        }
    }
}
