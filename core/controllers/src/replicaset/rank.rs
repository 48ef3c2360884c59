//! Which Pods go first when there are too many. Pure.
//!
//! The order is upstream's: those that serve least go first; among equals, those
//! on a node with many of their kind; among equals, the younger.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset>

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use jiff::Timestamp;
use tiphys_client::{DELETION_COST, LeanPod, Phase};

use crate::{object, pod};

/// The `count` Pods of `pods` to delete. `related` are all active Pods of the
/// same workload (a Deployment's other ReplicaSets included): they say how
/// crowded a node is.
pub fn to_delete<'a>(
    pods: &'a [Arc<LeanPod>],
    related: &[Arc<LeanPod>],
    count: usize,
    now: Timestamp,
) -> Vec<&'a LeanPod> {
    let mut crowd: HashMap<&str, usize> = HashMap::new();
    for other in related.iter().filter(|pod| pod::active(pod)) {
        *crowd.entry(&*other.node).or_default() += 1;
    }
    let crowded = |pod: &LeanPod| crowd.get(&*pod.node).copied().unwrap_or_default();
    let mut ranked: Vec<&LeanPod> = pods.iter().map(|pod| &**pod).collect();
    if count < ranked.len() {
        ranked.sort_by_cached_key(|pod| rank(pod, crowded(pod), now));
    }
    ranked.truncate(count);
    ranked
}

/// Smaller goes first.
fn rank(pod: &LeanPod, crowded: usize, now: Timestamp) -> impl Ord + use<> {
    let phase = match pod.status.phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        _ => 2,
    };
    let ready = pod::ready(pod);
    (
        !&pod.node.is_empty(),
        phase,
        ready,
        deletion_cost(pod),
        Reverse(crowded),
        if ready { magnitude(pod::ready_since(pod), now) } else { 0 },
        Reverse(pod.status.restarts),
        magnitude(Some(object::created(pod)), now),
        object::uid(pod).to_owned(),
    )
}

/// Ages count by their order of magnitude, so that the choice isn't biased by seconds.
fn magnitude(since: Option<Timestamp>, now: Timestamp) -> u32 {
    let seconds = since.map_or(0, |since| (now.as_second() - since.as_second()).max(0));
    u64::BITS - (seconds as u64).leading_zeros()
}

fn deletion_cost(pod: &LeanPod) -> i32 {
    object::annotation(pod, DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: i64 = 1_000_000;

    fn pod(name: &str, more: Value) -> Arc<LeanPod> {
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": at(1000)},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": at(900)}]},
        });
        for (pointer, value) in more.as_object().unwrap() {
            *pod.pointer_mut(pointer).unwrap() = value.clone();
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn at(ago: i64) -> String {
        Timestamp::from_second(NOW - ago).unwrap().to_string()
    }

    #[test]
    fn the_least_useful_pod_goes_first() {
        let plain = || pod("plain", json!({}));
        let not_ready = json!({"/status/conditions/0/status": "False"});
        for (why, first) in [
            ("unassigned", pod("p", json!({"/spec": {"containers": []}}))),
            ("pending", pod("p", json!({"/status": {"phase": "Pending"}}))),
            ("not ready", pod("p", not_ready)),
            (
                "cheap",
                pod(
                    "p",
                    json!({"/metadata": {"name": "p", "uid": "p", "creationTimestamp": at(1000),
                "annotations": {DELETION_COST: "-1"}}}),
                ),
            ),
            (
                "ready for a shorter time",
                pod("p", json!({"/status/conditions/0/lastTransitionTime": at(10)})),
            ),
            (
                "restarted",
                pod(
                    "p",
                    json!({"/status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(900)}],
                "containerStatuses": [{"name": "c", "restartCount": 3, "ready": true, "image": "", "imageID": ""}]}}),
                ),
            ),
            ("younger", pod("p", json!({"/metadata/creationTimestamp": at(100)}))),
        ] {
            let pods = [plain(), first];
            let now = Timestamp::from_second(NOW).unwrap();
            let chosen = to_delete(&pods, &pods, 1, now);
            assert_eq!(object::name(chosen[0]), "p", "{why}");
        }
    }

    #[test]
    fn a_crowded_node_gives_first() {
        let (here, alone) = (pod("a", json!({})), pod("b", json!({"/spec/nodeName": "n2"})));
        let other = pod("c", json!({}));
        let pods = [alone, here];
        let related = [pods[0].clone(), pods[1].clone(), other];
        let now = Timestamp::from_second(NOW).unwrap();
        assert_eq!(object::name(to_delete(&pods, &related, 1, now)[0]), "a");
        assert_eq!(to_delete(&pods, &related, 5, now).len(), 2);
    }
}
