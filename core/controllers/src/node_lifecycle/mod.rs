//! Watches over Nodes: one whose Lease isn't renewed for 40 s becomes Unknown,
//! conditions become taints, and Pods on a Node that is silent aren't ready.
//!
//! The time counts from when a renewal was seen here, not from the time written
//! in it: clocks of nodes may differ, and a controller that has just started
//! must not condemn every Node.

mod taints;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Node, NodeCondition, Pod},
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use tiphys_client::{Events, LeanPod};

use crate::{
    context::{Context, NODE_LEASES},
    error::{Error, found},
    key::Key,
    object, pod,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

const GRACE: Duration = Duration::from_secs(40);
/// For a Node that has never been heard of.
const STARTUP_GRACE: Duration = Duration::from_secs(60);

struct NodeLifecycle {
    client: Client,
    events: Events,
    nodes: Watched<Node>,
    leases: Watched<Lease>,
    pods: Watched<LeanPod>,
    heard: Mutex<HashMap<String, Heard>>,
}

/// The last sign of life of a kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    renewed: Option<Timestamp>,
    heartbeat: Option<Timestamp>,
    at: Instant,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let caches = &context.caches;
    let keys = queue.clone();
    caches.nodes.subscribe(move |before, after| {
        keys.add(Key::of(&**after.or(before).expect("a change has a side")));
    });
    let keys = queue.clone();
    caches.leases.subscribe(move |before, after| {
        let lease = after.or(before).expect("a change has a side");
        keys.add(Key::cluster(object::name(&**lease)));
    });
    let (keys, nodes) = (queue.clone(), caches.nodes.clone());
    caches.pods.subscribe(move |_, after| {
        // A Pod that says it is ready on a Node that is not.
        if let Some(pod) = after.filter(|pod| pod::ready(pod))
            && let Some(node) = nodes.get(&Key::cluster(&*pod.node))
            && taints::ready(&node) == "Unknown"
        {
            keys.add(Key::of(&*node));
        }
    });
    let lifecycle = NodeLifecycle {
        client: context.client.clone(),
        events: context.events.of("node-controller"),
        nodes: caches.nodes.clone(),
        leases: caches.leases.clone(),
        pods: caches.pods.clone(),
        heard: Mutex::default(),
    };
    context.run(Controller {
        name: "node-lifecycle",
        workers: 4,
        queue,
        synced: vec![caches.nodes.synced(), caches.leases.synced(), caches.pods.synced()],
        reconciler: Arc::new(lifecycle),
    });
}

#[async_trait]
impl Reconciler for NodeLifecycle {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(node) = self.nodes.get(key) else {
            self.heard.lock().remove(&key.name);
            return Ok(Requeue::No);
        };
        let (silence, known) = self.silence(&node);
        let grace = if known { GRACE } else { STARTUP_GRACE };
        let node = match silence.checked_sub(grace) {
            Some(_) => self.silenced(&node).await?,
            None => node,
        };
        self.write_taints(&node).await?;
        if taints::ready(&node) == "Unknown" {
            self.unready_pods(&node).await?;
        }
        let left = grace.saturating_sub(silence);
        Ok(if left.is_zero() { Requeue::No } else { Requeue::After(left + Duration::from_millis(10)) })
    }
}

impl NodeLifecycle {
    /// How long nothing was heard of the kubelet, and whether anything ever was.
    fn silence(&self, node: &Node) -> (Duration, bool) {
        let lease = self.leases.get(&Key::new(NODE_LEASES, object::name(node)));
        let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref().map(|time| time.0));
        let ready = taints::condition(node, "Ready");
        let heartbeat = ready.and_then(|ready| ready.last_heartbeat_time.as_ref().map(|time| time.0));
        let mut heard = self.heard.lock();
        let now = Instant::now();
        let last =
            heard.entry(object::name(node).to_owned()).or_insert(Heard { renewed, heartbeat, at: now });
        if (last.renewed, last.heartbeat) != (renewed, heartbeat) {
            *last = Heard { renewed, heartbeat, at: now };
        }
        (last.at.elapsed(), renewed.is_some() || heartbeat.is_some())
    }

    /// Marks the Node as not heard of, and gives it as it is then.
    async fn silenced(&self, node: &Arc<Node>) -> Result<Arc<Node>, Error> {
        let Some(conditions) = taints::silenced(node, &object::now()) else { return Ok(node.clone()) };
        let changed = self.write_conditions(node, &conditions).await?;
        let message = format!("Node {} status is now: NodeNotReady", object::name(&**node));
        self.events.normal(&**node, "NodeNotReady", message);
        Ok(changed.map_or_else(|| node.clone(), Arc::new))
    }

    async fn write_conditions(
        &self,
        node: &Node,
        conditions: &[NodeCondition],
    ) -> Result<Option<Node>, Error> {
        let api: Api<Node> = Api::all(self.client.clone());
        let patch = json!({
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "status": {"conditions": conditions},
        });
        Ok(found(api.patch_status(object::name(node), &PatchParams::default(), &Patch::Merge(patch)).await)?)
    }

    async fn write_taints(&self, node: &Node) -> Result<(), Error> {
        let old = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        let new = taints::taints(node, &object::now());
        if old == new {
            return Ok(());
        }
        let api: Api<Node> = Api::all(self.client.clone());
        let patch = json!({
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": new},
        });
        found(api.patch(object::name(node), &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(())
    }

    /// Nobody can vouch for the Pods of a silent Node: Services leave them out.
    async fn unready_pods(&self, node: &Node) -> Result<(), Error> {
        for pod in self.pods.in_group(object::name(node)).iter().filter(|pod| pod::ready(pod)) {
            let unready = json!({"type": "Ready", "status": "False", "lastTransitionTime": object::now()});
            let patch = json!({
                "metadata": {"resourceVersion": pod.resource_version},
                "status": {"conditions": [unready]},
            });
            let api: Api<Pod> = Api::namespaced(self.client.clone(), object::namespace(&**pod));
            let params = PatchParams::default();
            if found(api.patch_status(&pod.name, &params, &Patch::Strategic(patch)).await)?.is_some() {
                self.events.warning(&**pod, "NodeNotReady", "Node is not ready".to_owned());
            }
        }
        Ok(())
    }
}
