//! Holds PersistentVolumeClaims that a Pod uses: the finalizer `kubernetes.io/pvc-protection`
//! goes when a deleted claim has no Pod any more.
//!
//! A Pod uses a claim from when it has a node: before that its kubelet will not start it
//! with a claim that is being deleted. The API is asked for the Pods once more before the
//! finalizer goes: no cache may be behind with a Pod that has just been placed.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, api::ListParams};
use tiphys_client::{Held, LeanPod, WirePod};

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

const FINALIZER: &str = "kubernetes.io/pvc-protection";

struct Protection {
    client: Client,
    claims: Watched<PersistentVolumeClaim>,
    pods: Watched<LeanPod>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let (claims, pods) = (context.caches.claims.clone(), context.caches.pods.clone());
    let keys = queue.clone();
    claims.subscribe(move |_, after| after.into_iter().for_each(|claim| keys.add(Key::of(&**claim))));
    let keys = queue.clone();
    pods.subscribe(move |before, after| {
        let gone = before
            .filter(|before| after.is_none_or(|after| object::uid(&***before) != object::uid(&**after)));
        if let Some(gone) = gone {
            let namespace = object::namespace(&**gone);
            claims_of(gone).into_iter().for_each(|claim| keys.add(Key::new(namespace, claim)));
        }
    });
    context.run(Controller {
        name: "claim-protection",
        workers: 2,
        queue,
        synced: vec![claims.synced(), pods.synced()],
        reconciler: Arc::new(Protection { client: context.client.clone(), claims, pods }),
    });
}

#[async_trait]
impl Reconciler for Protection {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(Requeue::No) };
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
        if !object::deleting(&*claim) {
            finalizer::add(&api, &*claim, FINALIZER).await?;
            return Ok(Requeue::No);
        }
        let held = finalizer::has(&*claim, FINALIZER);
        if !held || self.pods.in_namespace(&key.namespace).iter().any(|pod| uses(pod, &key.name)) {
            return Ok(Requeue::No);
        }
        let pods: Api<WirePod> = Api::namespaced(self.client.clone(), &key.namespace);
        let live = pods.list(&ListParams::default()).await?;
        if live.items.into_iter().any(|pod| uses(&LeanPod::hold(pod), &key.name)) {
            return Ok(Requeue::No);
        }
        finalizer::remove(&api, &*claim, FINALIZER).await?;
        Ok(Requeue::No)
    }
}

/// Whether a placed Pod has the claim.
fn uses(pod: &LeanPod, claim: &str) -> bool {
    !pod.node.is_empty() && claims_of(pod).iter().any(|name| name == claim)
}

/// Names of the claims of a Pod's volumes; those made for it bear its name.
fn claims_of(pod: &LeanPod) -> Vec<String> {
    let volumes = pod.spec.volumes.iter().flatten();
    volumes
        .filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(source), _) => Some(source.claim_name.clone()),
            (None, Some(_)) => Some(format!("{}-{}", object::name(pod), volume.name)),
            (None, None) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(node: &str) -> LeanPod {
        let spec = json!({ "nodeName": node, "containers": [], "volumes": [
            { "name": "a", "persistentVolumeClaim": { "claimName": "data" } },
            { "name": "b", "ephemeral": { "volumeClaimTemplate": { "spec": {} } } },
            { "name": "c", "emptyDir": {} },
        ]});
        serde_json::from_value(json!({ "metadata": { "name": "web" }, "spec": spec })).unwrap()
    }

    #[test]
    fn a_placed_pod_uses_its_claims() {
        assert_eq!(claims_of(&pod("n")), ["data", "web-b"]);
        assert!(uses(&pod("n"), "data") && uses(&pod("n"), "web-b"));
        assert!(!uses(&pod("n"), "c") && !uses(&pod(""), "data"));
    }
}
