//! What watches say, as changes of snapshot and queue. No I/O.
//!
//! A Pod is *assumed* from the decision to the watch event that shows its Node:
//! it counts on the Node, and what the watch still says of it is old.

use std::{collections::HashSet, sync::Arc};

use k8s_openapi::api::core::v1::{Namespace, Node};
use tiphys_client::LeanPod;
use tokio::time::Instant;

use crate::{
    change::{Changes, of_node},
    pod_info::PodInfo,
    queue::Queue,
    snapshot::Snapshot,
};

#[derive(Debug)]
pub struct Cluster {
    pub snapshot: Snapshot,
    pub queue: Queue,
    /// UIDs.
    assumed: HashSet<String>,
    /// Which Pods are this scheduler's: `spec.schedulerName`.
    scheduler_name: String,
    /// Collected until [`Cluster::settle`].
    changes: Changes,
}

impl Cluster {
    pub fn new(scheduler_name: String) -> Self {
        Self {
            snapshot: Snapshot::default(),
            queue: Queue::default(),
            assumed: HashSet::new(),
            scheduler_name,
            changes: Changes::default(),
        }
    }

    /// The Pod as it is now.
    pub fn pod(&mut self, pod: Arc<LeanPod>, now: Instant) {
        if pod.finished() {
            return self.pod_gone(&pod.uid);
        }
        if !pod.node.is_empty() {
            return self.placed(pod);
        }
        if self.assumed.contains(&*pod.uid) {
            return;
        }
        let gated = pod.spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        let scheduler = pod.spec.scheduler_name.as_deref().unwrap_or("default-scheduler");
        if scheduler == self.scheduler_name && !gated && pod.deletion.is_none() {
            self.queue.add(Arc::new(PodInfo::new(pod)), now);
        } else {
            self.queue.remove(&pod.uid);
        }
    }

    fn placed(&mut self, pod: Arc<LeanPod>) {
        self.assumed.remove(&*pod.uid);
        self.queue.remove(&pod.uid);
        let before = self.snapshot.placed(&pod.uid).map(|(_, pod)| pod.clone());
        let info = Arc::new(PodInfo::new(pod));
        match before {
            Some(before) if before.resource_version == info.resource_version => {
                return;
            }
            Some(before) if before.labels != info.labels => self.changes |= Changes::POD_LABELS,
            Some(_) => {}
            None => self.changes |= Changes::POD_PLACED,
        }
        let node = info.node.clone();
        self.snapshot.place(info, &node);
    }

    /// The Pod is gone or finished.
    pub fn pod_gone(&mut self, uid: &str) {
        self.assumed.remove(uid);
        self.queue.remove(uid);
        if self.snapshot.remove(uid).is_some() {
            self.changes |= Changes::POD_REMOVED;
        }
    }

    pub fn node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        let before = self.snapshot.node(&name).map(|info| info.node.clone());
        let changes = of_node(before.as_deref(), &node);
        let images = |node: &Node| node.status.as_ref().and_then(|status| status.images.clone());
        // A heartbeat is no reason to count anew.
        if !changes.is_empty() || before.is_some_and(|before| images(&before) != images(&node)) {
            self.changes |= changes;
            self.snapshot.set_node(node);
        }
    }

    pub fn node_gone(&mut self, name: &str) {
        self.snapshot.remove_node(name);
    }

    pub fn namespaces(&mut self, all: &[Arc<Namespace>]) {
        let labels = |namespace: &Arc<Namespace>| {
            let meta = &namespace.metadata;
            (meta.name.clone().unwrap_or_default(), meta.labels.clone().unwrap_or_default())
        };
        self.snapshot.namespaces = all.iter().map(labels).collect();
    }

    /// All Pods there are: those not among them are gone.
    pub fn all_pods(&mut self, pods: Vec<Arc<LeanPod>>, now: Instant) {
        let listed: HashSet<&str> = pods.iter().map(|pod| &*pod.uid).collect();
        let known = self.snapshot.placed_uids().chain(self.queue.uids());
        let gone: Vec<String> = known.filter(|uid| !listed.contains(uid.as_str())).cloned().collect();
        gone.iter().for_each(|uid| self.pod_gone(uid));
        pods.into_iter().for_each(|pod| self.pod(pod, now));
    }

    /// All Nodes there are.
    pub fn all_nodes(&mut self, nodes: Vec<Arc<Node>>) {
        let listed: HashSet<String> = nodes.iter().filter_map(|node| node.metadata.name.clone()).collect();
        let gone: Vec<String> =
            self.snapshot.node_names().filter(|name| !listed.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.node_gone(name));
        nodes.into_iter().for_each(|node| self.node(node));
    }

    /// Lets what changed since the last call reach the Pods that wait for it.
    pub fn settle(&mut self, now: Instant) {
        let changes = std::mem::take(&mut self.changes);
        self.queue.changed(changes, now);
        self.queue.wake(now);
    }

    /// The Pod counts on this Node from now on.
    pub fn assume(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.assumed.insert(pod.uid.to_string());
        self.snapshot.place(pod, node);
        self.changes |= Changes::POD_PLACED;
    }

    /// The binding was not written.
    pub fn forget(&mut self, uid: &str, again: bool, now: Instant) {
        if !self.assumed.remove(uid) {
            return;
        }
        self.snapshot.remove(uid);
        self.changes |= Changes::POD_REMOVED;
        if again {
            self.queue.retry(uid, now);
        } else {
            self.queue.remove(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{node, pod, pod_json};
    use crate::select::schedule_one;
    use serde_json::{Value, json};

    fn bound(name: &str, node: &str, phase: &str) -> Arc<LeanPod> {
        let mut object = pod_json(name, json!({"cpu": "3", "spec": {"nodeName": node}}));
        object["status"] = json!({"phase": phase});
        object["metadata"]["resourceVersion"] = json!(phase);
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn waiting(name: &str, more: Value) -> Arc<LeanPod> {
        pod(name, more).pod.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_goes_from_queue_to_assumed_to_placed_to_gone() {
        let (mut cluster, now) = (Cluster::new("default-scheduler".into()), Instant::now());
        cluster.node(node("a", json!({})));
        cluster.pod(waiting("p", json!({"cpu": "3"})), now);
        let next = cluster.queue.pop().unwrap();
        let choice = schedule_one(&next, &cluster.snapshot).unwrap();
        cluster.assume(next, &choice.node);
        cluster.pod(waiting("p", json!({"cpu": "3"})), now);
        assert!(cluster.queue.pop().is_none(), "what the watch says of an assumed pod is old");
        assert!(schedule_one(&pod("q", json!({"cpu": "2"})), &cluster.snapshot).is_err());

        cluster.pod(bound("p", "a", "Running"), now);
        assert_eq!(cluster.snapshot.node("a").unwrap().requested.cpu, 3000);
        assert!(!cluster.queue.contains("p"));
        cluster.pod(bound("p", "a", "Succeeded"), now);
        assert_eq!(cluster.snapshot.node("a").unwrap().requested.cpu, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_binding_frees_the_node_and_tries_again() {
        let (mut cluster, now) = (Cluster::new("default-scheduler".into()), Instant::now());
        cluster.node(node("a", json!({})));
        cluster.pod(waiting("p", json!({"cpu": "3"})), now);
        let next = cluster.queue.pop().unwrap();
        cluster.assume(next, "a");
        cluster.forget("p", true, now);
        assert_eq!(cluster.snapshot.node("a").unwrap().requested.cpu, 0);
        cluster.settle(now + std::time::Duration::from_secs(1));
        assert_eq!(&*cluster.queue.pop().unwrap().name, "p");
    }

    #[tokio::test(start_paused = true)]
    async fn a_freed_node_wakes_the_pod_that_waits_for_room() {
        let (mut cluster, now) = (Cluster::new("default-scheduler".into()), Instant::now());
        cluster.node(node("a", json!({})));
        cluster.pod(bound("first", "a", "Running"), now);
        cluster.pod(waiting("second", json!({"cpu": "3"})), now);
        cluster.settle(now);
        let next = cluster.queue.pop().unwrap();
        let refused = schedule_one(&next, &cluster.snapshot).unwrap_err();
        cluster.queue.refused("second", refused.changes, now);
        cluster.pod_gone("first");
        let later = now + std::time::Duration::from_secs(2);
        cluster.settle(later);
        assert_eq!(&*cluster.queue.pop().unwrap().name, "second");
    }

    #[tokio::test(start_paused = true)]
    async fn others_pods_and_gated_ones_are_left_alone_and_a_new_list_drops_the_missing() {
        let (mut cluster, now) = (Cluster::new("default-scheduler".into()), Instant::now());
        cluster.pod(waiting("other", json!({"spec": {"schedulerName": "mine"}})), now);
        cluster.pod(waiting("gated", json!({"spec": {"schedulingGates": [{"name": "g"}]}})), now);
        assert_eq!(cluster.queue.sizes(), [0, 0, 0]);
        cluster.pod(waiting("p", json!({})), now);
        cluster.pod(bound("b", "a", "Running"), now);
        cluster.all_pods(vec![waiting("new", json!({}))], now);
        assert_eq!(&*cluster.queue.pop().unwrap().name, "new");
        assert!(cluster.snapshot.placed("b").is_none());
    }
}
