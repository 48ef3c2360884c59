//! The garbage collector: deletes objects whose owners are gone.
//!
//! ```text
//! watch   metadata of every served resource ──> graph ──> UIDs to look at
//! graph   who owns whom; what becomes of an object (pure)
//! here    one UID: ask the API about its owners, then delete, wait or orphan
//! ```
//!
//! Deletion comes in three ways: in the background (dependents follow their
//! owner), in the foreground (the owner waits for dependents that block it),
//! and orphaning (dependents stay and forget the owner).
//! <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>
//!
//! Nothing is deleted on the graph's word alone: a missing owner and the object
//! itself are asked for first, and the delete names the UID.

mod graph;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy},
};
use serde_json::json;
use tiphys_client::MetaOnly;

use crate::{
    context::Context,
    error::{Error, code, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    served::Served,
};
use graph::{Item, Standing, Uid, Verdict, verdict};
use watch::Watches;

struct Collector {
    client: Client,
    watches: Arc<Watches>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let watches = Watches::new(context, queue.clone());
    watches.start();
    context.run(Controller {
        name: "garbage",
        workers: 8,
        queue,
        synced: vec![watches.synced()],
        reconciler: Arc::new(Collector { client: context.client.clone(), watches }),
    });
}

#[async_trait]
impl Reconciler for Collector {
    /// The key's name is a UID.
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let uid = key.name.as_str();
        let Some(item) = self.watches.graph.lock().get(uid).cloned() else { return Ok(Requeue::No) };
        let Some(served) = self.watches.resource(&item.resource) else { return Ok(Requeue::No) };
        if item.deleting {
            if item.orphans {
                self.orphan(uid, &item, &served).await?;
            } else if item.foreground {
                self.wait_for_dependents(uid, &item, &served).await?;
            }
            return Ok(Requeue::No);
        }
        let Some(live) = self.live(uid, &item, &served).await? else { return Ok(Requeue::No) };
        let owners = live.metadata.owner_references.clone().unwrap_or_default();
        let mut standings = Vec::with_capacity(owners.len());
        for owner in &owners {
            standings.push((owner.uid.as_str().into(), self.standing(owner, &item).await?));
        }
        let has_dependents = self.watches.graph.lock().has_dependents(uid);
        match verdict(&standings, has_dependents) {
            Verdict::Keep => {}
            Verdict::DropReferences(lost) => self.drop_references(&served, &item, &live, &lost).await?,
            Verdict::Delete { foreground } => self.delete(&served, &item, &live, foreground).await?,
        }
        Ok(Requeue::No)
    }
}

impl Collector {
    /// The object as the API has it; `None` (and out of the graph) when it is another or none.
    async fn live(&self, uid: &str, item: &Item, served: &Served) -> Result<Option<MetaOnly>, Error> {
        let live = found(served.within(&self.client, &item.namespace).get(&item.name).await)?;
        let live = live.filter(|live| object::uid(live) == uid);
        if live.is_none() {
            self.watches.removed(uid);
        }
        Ok(live)
    }

    async fn standing(&self, owner: &OwnerReference, item: &Item) -> Result<Standing, Error> {
        if let Some(known) = self.watches.graph.lock().get(&owner.uid) {
            return Ok(if known.waits_for_dependents() { Standing::Waiting } else { Standing::Solid });
        }
        let unknown =
            || Error::NotYet(format!("owner kind {} {} isn't served", owner.api_version, owner.kind));
        let served = self.watches.of_kind(&owner.api_version, &owner.kind).ok_or_else(unknown)?;
        if served.namespaced && item.namespace.is_empty() {
            tracing::debug!(
                name = &*item.name,
                owner = owner.name,
                "cluster-scoped object names a namespaced owner"
            );
            return Ok(Standing::Solid);
        }
        let live = found(served.within(&self.client, &item.namespace).get(&owner.name).await)?;
        let there = live.is_some_and(|live| object::uid(&live) == owner.uid);
        Ok(if there { Standing::Solid } else { Standing::Dangling })
    }

    async fn drop_references(
        &self,
        served: &Served,
        item: &Item,
        live: &MetaOnly,
        lost: &[Uid],
    ) -> Result<(), Error> {
        let mut owners = live.metadata.owner_references.clone().unwrap_or_default();
        owners.retain(|owner| !lost.iter().any(|uid| **uid == *owner.uid));
        let patch = json!({"metadata": {
            "resourceVersion": live.metadata.resource_version,
            "ownerReferences": owners,
        }});
        let api = served.writes(&self.client, &item.namespace);
        found(api.patch(&item.name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(())
    }

    async fn delete(
        &self,
        served: &Served,
        item: &Item,
        live: &MetaOnly,
        foreground: bool,
    ) -> Result<(), Error> {
        let finalizer = |name: &str| live.metadata.finalizers.iter().flatten().any(|known| known == name);
        let policy = if finalizer("orphan") {
            PropagationPolicy::Orphan
        } else if foreground || finalizer("foregroundDeletion") {
            PropagationPolicy::Foreground
        } else {
            PropagationPolicy::Background
        };
        let only_this = Preconditions {
            uid: live.metadata.uid.clone(),
            resource_version: live.metadata.resource_version.clone(),
        };
        let params = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(only_this),
            ..DeleteParams::default()
        };
        tracing::debug!(
            resource = &*item.resource,
            namespace = &*item.namespace,
            name = &*item.name,
            "owner is gone, deleting"
        );
        let api = served.within(&self.client, &item.namespace);
        found(api.delete(&item.name, &params).await.map(|_| ()))?;
        Ok(())
    }

    /// Foreground: the object goes when no dependent blocks it any more. Objects that own each
    /// other in a circle would wait for ever: there the last one to be marked goes first.
    async fn wait_for_dependents(&self, uid: &str, item: &Item, served: &Served) -> Result<(), Error> {
        let (may_go, dependents) = {
            let graph = self.watches.graph.lock();
            (graph.may_go(uid), graph.dependents(uid))
        };
        if may_go {
            return self.drop_finalizer(uid, item, served, "foregroundDeletion").await;
        }
        let alive = dependents.into_iter().filter(|(_, dependent)| !dependent.deleting);
        self.watches.look_at(alive.map(|(uid, _)| uid).collect());
        Ok(())
    }

    /// Orphan: the dependents forget the object, then it goes.
    async fn orphan(&self, uid: &str, item: &Item, served: &Served) -> Result<(), Error> {
        let dependents = self.watches.graph.lock().dependents(uid);
        for (dependent_uid, dependent) in dependents {
            let Some(kind) = self.watches.resource(&dependent.resource) else { continue };
            if let Some(live) = self.live(&dependent_uid, &dependent, &kind).await? {
                self.drop_references(&kind, &dependent, &live, &[uid.into()]).await?;
            }
        }
        self.drop_finalizer(uid, item, served, "orphan").await
    }

    async fn drop_finalizer(
        &self,
        uid: &str,
        item: &Item,
        served: &Served,
        finalizer: &str,
    ) -> Result<(), Error> {
        let Some(live) = self.live(uid, item, served).await? else { return Ok(()) };
        let mut finalizers = live.metadata.finalizers.clone().unwrap_or_default();
        finalizers.retain(|known| known != finalizer);
        let patch = json!({"metadata": {
            "resourceVersion": live.metadata.resource_version,
            "finalizers": finalizers,
        }});
        let api = served.writes(&self.client, &item.namespace);
        match api.patch(&item.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
