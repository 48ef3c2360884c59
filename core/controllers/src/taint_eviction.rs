//! Evicts Pods from Nodes whose NoExecute taints they don't tolerate, or no
//! longer: `tolerationSeconds` count from when the taint was added.
//!
//! Node lifecycle sets the taints; here only Pods are deleted.
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions>

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
};
use tiphys_api::placement::tolerates;

use tiphys_client::{Events, LeanPod};

use crate::{
    context::Context,
    error::{Error, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

struct Evictions {
    client: Client,
    events: Events,
    nodes: Watched<Node>,
    pods: Watched<LeanPod>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let (nodes, pods) = (context.caches.nodes.clone(), context.caches.pods.clone());
    let (keys, placed) = (queue.clone(), pods.clone());
    nodes.subscribe(move |before, after| {
        let taints = |node: Option<&Arc<Node>>| node.map(|node| no_execute(node)).unwrap_or_default();
        let (before, now) = (taints(before), taints(after));
        if let Some(node) = after
            && before != now
        {
            placed.in_group(object::name(&**node)).iter().for_each(|pod| keys.add(Key::of(&**pod)));
        }
    });
    let (keys, known) = (queue.clone(), nodes.clone());
    pods.subscribe(move |before, after| {
        let Some(after) = after else { return };
        let facts = |pod: &LeanPod| (pod.node.clone(), tolerations(pod).to_vec());
        let changed = before.is_none_or(|before| facts(before) != facts(after));
        let node = known.get(&Key::cluster(&*after.node));
        if changed && node.is_some_and(|node| !no_execute(&node).is_empty()) {
            keys.add(Key::of(&**after));
        }
    });
    context.run(Controller {
        name: "taint-eviction",
        workers: 4,
        queue,
        synced: vec![nodes.synced(), pods.synced()],
        reconciler: Arc::new(Evictions {
            client: context.client.clone(),
            events: context.events.of("taint-eviction-controller"),
            nodes,
            pods,
        }),
    });
}

fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node.spec.iter().filter_map(|spec| spec.taints.as_ref()).flatten();
    taints.filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

fn tolerations(pod: &LeanPod) -> &[Toleration] {
    pod.spec.tolerations.as_deref().unwrap_or_default()
}

/// What happens to a Pod on a Node with these NoExecute taints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    GoesAt(Timestamp),
}

fn fate(taints: &[Taint], tolerations: &[Toleration], now: Timestamp) -> Fate {
    let mut fate = Fate::Stays;
    for taint in taints {
        let since = taint.time_added.as_ref().map_or(now, |time| time.0);
        let covering = || tolerations.iter().filter(|toleration| tolerates(toleration, taint));
        let end = if covering().next().is_none() {
            Some(now)
        } else {
            let seconds = covering().filter_map(|toleration| toleration.toleration_seconds).min();
            seconds.map(|seconds| since + Duration::from_secs(seconds.max(0) as u64))
        };
        fate = match (fate, end) {
            (fate, None) => fate,
            (Fate::Stays, Some(end)) => Fate::GoesAt(end),
            (Fate::GoesAt(earlier), Some(end)) => Fate::GoesAt(earlier.min(end)),
        };
    }
    fate
}

#[async_trait]
impl Reconciler for Evictions {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(pod) = self.pods.get(key).filter(|pod| !object::deleting(&**pod)) else {
            return Ok(Requeue::No);
        };
        let Some(node) = self.nodes.get(&Key::cluster(&*pod.node)) else { return Ok(Requeue::No) };
        let now = Timestamp::now();
        let end = match fate(&no_execute(&node), tolerations(&pod), now) {
            Fate::Stays => return Ok(Requeue::No),
            Fate::GoesAt(end) => end,
        };
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        if !left.is_zero() {
            return Ok(Requeue::After(left));
        }
        let message = format!("Marking for deletion Pod {key}");
        self.events.normal(&*pod, "TaintManagerEviction", message);
        let only_this = Preconditions { uid: Some(object::uid(&*pod).to_owned()), resource_version: None };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        found(api.delete(&key.name, &DeleteParams::default().preconditions(only_this)).await.map(|_| ()))?;
        Ok(Requeue::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn pods_go_when_the_shortest_toleration_of_a_taint_ends() {
        let taint = |key: &str, since| Taint {
            key: key.into(),
            effect: "NoExecute".into(),
            value: None,
            time_added: Some(Time(at(since))),
        };
        let down = || vec![taint("down", 100)];
        for (why, taints, tolerations, expected) in [
            ("no taint", vec![], json!([]), Fate::Stays),
            ("not tolerated", down(), json!([]), Fate::GoesAt(at(1000))),
            ("for ever", down(), json!([{"operator": "Exists"}]), Fate::Stays),
            (
                "for 300 s",
                down(),
                json!([{"key": "down", "operator": "Exists", "tolerationSeconds": 300}]),
                Fate::GoesAt(at(400)),
            ),
            (
                "the shortest counts",
                down(),
                json!([{"operator": "Exists"}, {"operator": "Exists", "tolerationSeconds": 5}]),
                Fate::GoesAt(at(105)),
            ),
            (
                "one of two isn't tolerated",
                vec![taint("down", 100), taint("gone", 100)],
                json!([{"key": "down", "operator": "Exists", "tolerationSeconds": 3000}]),
                Fate::GoesAt(at(1000)),
            ),
        ] {
            let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
            assert_eq!(fate(&taints, &tolerations, at(1000)), expected, "{why}");
        }
    }
}
