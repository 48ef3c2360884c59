//! The status of a StatefulSet out of its Pods. Pure.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSetStatus;

use super::{
    identity,
    plan::{View, running_and_ready},
};
use crate::{
    history::{REVISION, Revised},
    object, pod,
};

/// The status that follows; `outdated` of the Pods are being deleted for an update.
pub fn status(view: &View<'_>, outdated: i32) -> StatefulSetStatus {
    let set = view.set;
    let (mut replicas, mut ready, mut available, mut current, mut updated) = (0, 0, 0, 0, 0);
    for pod in view.pods.values() {
        replicas += 1;
        if running_and_ready(pod) {
            ready += 1;
            available += i32::from(view.available(pod));
        }
        if !object::deleting(&**pod) {
            let revision = object::labels(&**pod).get(REVISION);
            current += i32::from(revision == Some(view.current));
            updated += i32::from(revision == Some(view.newest));
        }
    }
    let mut status = StatefulSetStatus {
        replicas,
        ready_replicas: Some(ready),
        available_replicas: Some(available),
        current_replicas: Some((current - outdated).max(0)),
        updated_replicas: Some(updated),
        current_revision: Some(view.current.to_owned()),
        update_revision: Some(view.newest.to_owned()),
        observed_generation: set.metadata.generation,
        collision_count: Some(set.collisions()),
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
    };
    let wanted = identity::replicas(set);
    if view.rolls() && [replicas, ready, updated] == [wanted; 3] {
        // The update is through.
        status.current_replicas = Some(updated);
        status.current_revision = Some(view.newest.to_owned());
    }
    status
}

/// When the next of the ready Pods becomes available.
pub fn available_in(view: &View<'_>) -> Option<Duration> {
    let waiting = view.pods.values().filter(|pod| running_and_ready(pod) && !view.available(pod));
    let left = waiting.filter_map(|pod| {
        let since = pod::ready_since(pod)?.as_second();
        Some((i64::from(view.min_ready()) - (view.now.as_second() - since)).max(1))
    });
    left.min().map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
}

/// Whether writing `new` would change anything; absent figures are zeros.
pub fn differs(old: Option<&StatefulSetStatus>, new: &StatefulSetStatus) -> bool {
    let plain = |status: &StatefulSetStatus| StatefulSetStatus {
        ready_replicas: Some(status.ready_replicas.unwrap_or(0)),
        available_replicas: Some(status.available_replicas.unwrap_or(0)),
        current_replicas: Some(status.current_replicas.unwrap_or(0)),
        updated_replicas: Some(status.updated_replicas.unwrap_or(0)),
        collision_count: Some(status.collision_count.unwrap_or(0)),
        ..status.clone()
    };
    old.is_none_or(|old| plain(old) != plain(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statefulset::sample::{
        Stage::{Pending, Ready, Running},
        pod, set, view,
    };
    use serde_json::json;

    #[test]
    fn counts_pods_by_readiness_and_revision() {
        let set = set(json!({"replicas": 5, "minReadySeconds": 10}));
        let view = view(
            &set,
            vec![
                pod("web-0", "old", Ready(60), false),
                pod("web-1", "old", Ready(5), false),
                pod("web-2", "other", Running, false),
                pod("web-3", "new", Ready(60), true),
                pod("web-4", "new", Pending, false),
            ],
        );
        let status = status(&view, 1);
        assert_eq!(
            (status.replicas, status.ready_replicas, status.available_replicas),
            (5, Some(3), Some(2))
        );
        assert_eq!((status.current_replicas, status.updated_replicas), (Some(1), Some(1)));
        assert_eq!(status.current_revision.as_deref(), Some("old"));
        assert_eq!(status.update_revision.as_deref(), Some("new"));
        assert_eq!((status.observed_generation, status.collision_count), (Some(1), Some(0)));
        assert_eq!(available_in(&view), Some(Duration::from_secs(5)));
        assert!(!differs(Some(&status), &status));
        assert!(differs(None, &status));
    }

    #[test]
    fn an_update_is_through_when_all_are_ready_and_new() {
        for (strategy, stage, through) in [
            ("RollingUpdate", Ready(0), true),
            ("RollingUpdate", Running, false),
            ("OnDelete", Ready(0), false),
        ] {
            let set = set(json!({"replicas": 2, "updateStrategy": {"type": strategy}}));
            let pods = vec![pod("web-0", "new", Ready(0), false), pod("web-1", "new", stage, false)];
            let status = status(&view(&set, pods), 0);
            let expected = if through { (Some("new"), Some(2)) } else { (Some("old"), Some(0)) };
            assert_eq!(
                (status.current_revision.as_deref(), status.current_replicas),
                expected,
                "{strategy} {stage:?}"
            );
        }
    }
}
