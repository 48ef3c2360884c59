//! The status of a ReplicaSet or ReplicationController out of its Pods. Pure.

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

use tiphys_client::LeanPod;

use super::kinds::Replicated;
use crate::{object, pod};

/// Why the last try to reach the wanted number failed: `FailedCreate` or `FailedDelete`, and the error.
pub type Failure = (&'static str, String);

/// The status that follows from `pods` (all of the set's own) and the last try.
pub fn status<'a, K: Replicated>(
    set: &K,
    pods: impl IntoIterator<Item = &'a LeanPod>,
    failure: Option<Failure>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let min_ready = set.min_ready_seconds();
    let template = set.template().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    let old = set.status().unwrap_or_default();
    let (mut replicas, mut labeled, mut ready, mut available, mut terminating) = (0, 0, 0, 0, 0);
    for pod in pods {
        if pod.finished() {
            continue;
        }
        if object::deleting(pod) {
            terminating += 1;
            continue;
        }
        let labels = object::labels(pod);
        replicas += 1;
        labeled += i32::from(
            template.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value.as_str())),
        );
        ready += i32::from(pod::ready(pod));
        available += i32::from(pod::available(pod, min_ready, now));
    }
    ReplicaSetStatus {
        replicas,
        fully_labeled_replicas: Some(labeled),
        ready_replicas: Some(ready),
        available_replicas: Some(available),
        terminating_replicas: Some(terminating),
        observed_generation: set.meta().generation,
        conditions: conditions(old.conditions, failure, now),
    }
}

fn conditions(
    old: Option<Vec<ReplicaSetCondition>>,
    failure: Option<Failure>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let is_failure = |condition: &&ReplicaSetCondition| condition.type_.as_deref() == Some("ReplicaFailure");
    let mut conditions = old.unwrap_or_default();
    let before = conditions.iter().find(is_failure).cloned();
    conditions.retain(|condition| condition.type_.as_deref() != Some("ReplicaFailure"));
    if let Some((reason, message)) = failure {
        let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
        let since = before.and_then(|before| before.last_transition_time);
        conditions.push(ReplicaSetCondition {
            type_: Some("ReplicaFailure".to_owned()),
            status: Some("True".to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(since.unwrap_or(now)),
        });
    }
    Some(conditions).filter(|conditions| !conditions.is_empty())
}

/// Whether writing `new` would change anything; absent figures are zeros.
pub fn differs(old: Option<&ReplicaSetStatus>, new: &ReplicaSetStatus) -> bool {
    let plain = |status: &ReplicaSetStatus| {
        let n = |figure: Option<i32>| figure.unwrap_or(0);
        let figures = (
            status.replicas,
            n(status.fully_labeled_replicas),
            n(status.ready_replicas),
            n(status.available_replicas),
            n(status.terminating_replicas),
        );
        (figures, status.observed_generation, status.conditions.clone().unwrap_or_default())
    };
    old.is_none_or(|old| plain(old) != plain(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::ReplicationController};
    use serde_json::json;

    fn pod(phase: &str, ready_ago: Option<i64>, deleting: bool) -> LeanPod {
        let ready = ready_ago.map(|ago| {
            let at = Timestamp::from_second(1000 - ago).unwrap().to_string();
            json!({"type": "Ready", "status": "True", "lastTransitionTime": at})
        });
        serde_json::from_value(json!({
            "metadata": {"labels": {"app": "web"}, "deletionTimestamp": deleting.then(object::now)},
            "status": {"phase": phase, "conditions": Vec::from_iter(ready)},
        }))
        .unwrap()
    }

    fn five_pods() -> [LeanPod; 5] {
        [
            pod("Running", Some(60), false),
            pod("Running", Some(5), false),
            pod("Pending", None, false),
            pod("Running", Some(60), true),
            pod("Failed", None, false),
        ]
    }

    fn counted<K: Replicated>(set: &K) -> ReplicaSetStatus {
        let now = Timestamp::from_second(1000).unwrap();
        status(set, &five_pods(), Some(("FailedCreate", "quota".into())), now)
    }

    #[test]
    fn counts_ready_available_and_terminating_pods() {
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"generation": 3},
            "spec": {"minReadySeconds": 10, "selector": {}, "template": {"metadata": {"labels": {"app": "web"}}}},
        }))
        .unwrap();
        let status = counted(&set);
        assert_eq!(status.replicas, 3);
        assert_eq!(status.fully_labeled_replicas, Some(3));
        assert_eq!(status.ready_replicas, Some(2));
        assert_eq!(status.available_replicas, Some(1));
        assert_eq!(status.terminating_replicas, Some(1));
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(status.conditions.as_ref().unwrap()[0].reason.as_deref(), Some("FailedCreate"));
        assert!(!differs(Some(&status), &status));
    }

    #[test]
    fn a_replication_controller_counts_alike_and_has_no_word_for_terminating_pods() {
        let set: ReplicationController = serde_json::from_value(json!({
            "metadata": {"generation": 3},
            "spec": {"minReadySeconds": 10, "template": {"metadata": {"labels": {"app": "web"}}}},
        }))
        .unwrap();
        let written = set.with_status(counted(&set));
        assert_eq!(
            serde_json::to_value(written.status.as_ref().unwrap()).unwrap(),
            json!({
                "replicas": 3, "fullyLabeledReplicas": 3, "readyReplicas": 2, "availableReplicas": 1,
                "observedGeneration": 3,
                "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                    "message": "quota", "lastTransitionTime": "1970-01-01T00:16:40Z"}],
            })
        );
        let again = written.with_status(counted(&written));
        assert!(!differs(written.status().as_ref(), &again.status().unwrap()), "nothing to write");
    }
}
