//! Takes away Pods that nobody else will: those of Nodes that are gone,
//! those that were deleted before they had a Node, and finished ones above a threshold.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use parking_lot::Mutex;
use serde_json::json;
use tiphys_client::LeanPod;

use crate::{
    context::Context,
    error::{Error, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

/// Finished Pods that are kept for their logs and status.
const FINISHED_KEPT: usize = 12_500;
/// A Node must be gone that long: it may only be registering again.
const QUARANTINE: Duration = Duration::from_secs(40);
/// One reconcile looks at all finished Pods; after a change it waits for more.
const SETTLE: Duration = Duration::from_secs(5);

const SWEEP: &str = "finished pods";

struct PodGarbage {
    client: Client,
    nodes: Watched<Node>,
    pods: Watched<LeanPod>,
    missing_since: Mutex<std::collections::HashMap<String, tokio::time::Instant>>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let (nodes, pods) = (context.caches.nodes.clone(), context.caches.pods.clone());
    let (keys, known) = (queue.clone(), nodes.clone());
    pods.subscribe(move |before, after| {
        let Some(after) = after else { return };
        if after.finished() && !before.is_some_and(|pod| pod.finished()) {
            keys.add_after(Key::cluster(SWEEP), SETTLE);
        }
        let node = &*after.node;
        let lost = if node.is_empty() {
            object::deleting(&**after)
        } else {
            known.get(&Key::cluster(node)).is_none()
        };
        if lost {
            keys.add(Key::of(&**after));
        }
    });
    let (keys, placed) = (queue.clone(), pods.clone());
    nodes.subscribe(move |before, after| {
        if let (Some(gone), None) = (before, after) {
            placed.in_group(object::name(&**gone)).iter().for_each(|pod| keys.add(Key::of(&**pod)));
        }
    });
    context.run(Controller {
        name: "pod-garbage",
        workers: 2,
        queue,
        synced: vec![nodes.synced(), pods.synced()],
        reconciler: Arc::new(PodGarbage {
            client: context.client.clone(),
            nodes,
            pods,
            missing_since: Mutex::default(),
        }),
    });
}

#[async_trait]
impl Reconciler for PodGarbage {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        if key.namespace.is_empty() {
            return self.sweep().await;
        }
        let Some(pod) = self.pods.get(key) else { return Ok(Requeue::No) };
        let node = &*pod.node;
        if node.is_empty() {
            if object::deleting(&*pod) {
                self.remove(&pod).await?;
            }
            return Ok(Requeue::No);
        }
        if self.nodes.get(&Key::cluster(node)).is_some() {
            self.missing_since.lock().remove(node);
            return Ok(Requeue::No);
        }
        let since =
            *self.missing_since.lock().entry(node.to_owned()).or_insert_with(tokio::time::Instant::now);
        let left = QUARANTINE.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Ok(Requeue::After(left));
        }
        // The cache may be behind a Node that has just come back.
        let api: Api<Node> = Api::all(self.client.clone());
        if found(api.get_metadata(node).await)?.is_none() {
            self.fail(&pod).await?;
            self.remove(&pod).await?;
        }
        Ok(Requeue::No)
    }
}

impl PodGarbage {
    async fn sweep(&self) -> Result<Requeue, Error> {
        for pod in surplus(self.pods.list(), FINISHED_KEPT) {
            self.remove(&pod).await?;
        }
        Ok(Requeue::No)
    }

    /// Owners that count failures see one.
    async fn fail(&self, pod: &LeanPod) -> Result<(), Error> {
        if pod.finished() {
            return Ok(());
        }
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists", "lastTransitionTime": object::now(),
        });
        let patch = Patch::Strategic(json!({"status": {"phase": "Failed", "conditions": [condition]}}));
        let api: Api<Pod> = Api::namespaced(self.client.clone(), object::namespace(pod));
        found(api.patch_status(object::name(pod), &PatchParams::default(), &patch).await)?;
        Ok(())
    }

    async fn remove(&self, pod: &LeanPod) -> Result<(), Error> {
        let only_this = Preconditions { uid: Some(object::uid(pod).to_owned()), resource_version: None };
        let params = DeleteParams::default().grace_period(0).preconditions(only_this);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), object::namespace(pod));
        found(api.delete(object::name(pod), &params).await.map(|_| ()))?;
        Ok(())
    }
}

/// The oldest finished Pods beyond `kept`.
fn surplus(pods: Vec<Arc<LeanPod>>, kept: usize) -> Vec<Arc<LeanPod>> {
    let mut finished: Vec<Arc<LeanPod>> =
        pods.into_iter().filter(|pod| pod.finished() && !object::deleting(&**pod)).collect();
    let count = finished.len().saturating_sub(kept);
    let age = |pod: &Arc<LeanPod>| -> (Timestamp, String) {
        (object::created(&**pod), object::name(&**pod).to_owned())
    };
    finished.sort_by_cached_key(age);
    finished.truncate(count);
    finished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_finished_pods_above_the_threshold_go() {
        let pod = |name: &str, phase: &str, day: u32| -> Arc<LeanPod> {
            serde_json::from_value(json!({
                "metadata": {"name": name, "creationTimestamp": format!("2026-01-{day:02}T00:00:00Z")},
                "status": {"phase": phase},
            }))
            .unwrap()
        };
        let pods = vec![
            pod("new", "Failed", 9),
            pod("old", "Succeeded", 1),
            pod("running", "Running", 1),
            pod("middle", "Failed", 5),
        ];
        let names: Vec<_> = surplus(pods, 1).iter().map(|pod| object::name(&**pod).to_owned()).collect();
        assert_eq!(names, ["old", "middle"]);
    }
}
