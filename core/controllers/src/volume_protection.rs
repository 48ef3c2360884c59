//! Holds PersistentVolumes that a claim is bound to: the finalizer `kubernetes.io/pv-protection`
//! goes when a deleted volume is bound no more.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::{Api, Client};

use crate::{
    context::Context,
    error::Error,
    finalizer,
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

const FINALIZER: &str = "kubernetes.io/pv-protection";

struct Protection {
    client: Client,
    volumes: Watched<PersistentVolume>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let volumes = context.caches.volumes.clone();
    let keys = queue.clone();
    volumes.subscribe(move |_, after| after.into_iter().for_each(|volume| keys.add(Key::of(&**volume))));
    context.run(Controller {
        name: "volume-protection",
        workers: 1,
        queue,
        synced: vec![volumes.synced()],
        reconciler: Arc::new(Protection { client: context.client.clone(), volumes }),
    });
}

#[async_trait]
impl Reconciler for Protection {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(volume) = self.volumes.get(key) else { return Ok(Requeue::No) };
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        if !object::deleting(&*volume) {
            finalizer::add(&api, &*volume, FINALIZER).await?;
        } else if !is_bound(&volume) {
            finalizer::remove(&api, &*volume, FINALIZER).await?;
        }
        Ok(Requeue::No)
    }
}

fn is_bound(volume: &PersistentVolume) -> bool {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}
