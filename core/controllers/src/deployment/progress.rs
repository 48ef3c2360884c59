//! The status of a Deployment and its conditions. Pure.
//!
//! `kubectl rollout status` and Helm read observedGeneration, the figures and
//! the condition Progressing with its reasons, so those are upstream's.

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet},
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{View, rollout, status_of};
use crate::object;

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const FAILURE: &str = "ReplicaFailure";
const DONE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// The status as it should be now.
pub fn status(view: &View, now: Timestamp) -> DeploymentStatus {
    let deployment = &*view.deployment;
    let old = status_of(deployment);
    let mut status = figures(view);
    let mut conditions = Conditions { all: old.conditions.clone().unwrap_or_default(), now };
    available(&mut conditions, deployment, &status);
    if deadline(deployment).is_none() {
        conditions.remove(PROGRESSING);
    } else if rollout::paused(deployment) {
        paused(&mut conditions);
    } else if !object::deleting(deployment) {
        progressing(&mut conditions, view, &old, &status);
    }
    match view.all().find_map(|set| failure(set)) {
        Some((reason, message)) => conditions.set(FAILURE, "True", &reason, message),
        None => conditions.remove(FAILURE),
    }
    status.conditions = Some(conditions.all).filter(|all| !all.is_empty());
    status
}

/// The numbers alone.
pub fn figures(view: &View) -> DeploymentStatus {
    let count = |figure: fn(&ReplicaSet) -> i32| -> i32 { view.all().map(|set| figure(set)).sum() };
    let available = count(rollout::available);
    let total = count(rollout::size);
    DeploymentStatus {
        observed_generation: view.deployment.metadata.generation,
        replicas: Some(count(actual)),
        updated_replicas: Some(view.new.as_ref().map_or(0, |set| actual(set))),
        ready_replicas: Some(count(|set| {
            figure(set.status.as_ref().and_then(|status| status.ready_replicas))
        })),
        available_replicas: Some(available),
        unavailable_replicas: Some((total - available).max(0)),
        terminating_replicas: Some(count(|set| {
            figure(set.status.as_ref().and_then(|status| status.terminating_replicas))
        })),
        collision_count: status_of(&view.deployment).collision_count,
        conditions: None,
    }
}

fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

fn figure(value: Option<i32>) -> i32 {
    value.unwrap_or(0)
}

fn deadline(deployment: &Deployment) -> Option<i64> {
    let seconds = deployment.spec.progress_deadline_seconds?;
    // The largest number means: no deadline.
    (seconds != i32::MAX).then_some(i64::from(seconds))
}

/// All Pods are of the new template and available.
pub fn complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = Some(rollout::wanted(deployment));
    status.updated_replicas == wanted
        && status.replicas == wanted
        && status.available_replicas == wanted
        && status.observed_generation.unwrap_or(0) >= object::generation(deployment)
}

fn available(conditions: &mut Conditions, deployment: &Deployment, status: &DeploymentStatus) {
    let least = rollout::wanted(deployment) - rollout::bounds(deployment).1;
    if figure(status.available_replicas) >= least {
        let message = "Deployment has minimum availability.".to_owned();
        conditions.set(AVAILABLE, "True", "MinimumReplicasAvailable", message);
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        conditions.set(AVAILABLE, "False", "MinimumReplicasUnavailable", message);
    }
}

fn paused(conditions: &mut Conditions) {
    if conditions.get(PROGRESSING).is_some_and(|now| now.reason.as_deref() == Some(TIMED_OUT)) {
        return;
    }
    conditions.set(PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused".to_owned());
}

fn progressing(conditions: &mut Conditions, view: &View, old: &DeploymentStatus, new: &DeploymentStatus) {
    let deployment = &*view.deployment;
    let current = conditions.get(PROGRESSING).cloned();
    let reason = current.as_ref().and_then(|current| current.reason.clone()).unwrap_or_default();
    let subject = match &view.new {
        Some(new) => format!("ReplicaSet \"{}\"", object::name(&**new)),
        None => format!("Deployment \"{}\"", object::name(deployment)),
    };
    let done_before = new.replicas == new.updated_replicas && reason == DONE;
    if done_before {
        return;
    }
    if complete(deployment, new) {
        conditions.set(PROGRESSING, "True", DONE, format!("{subject} has successfully progressed."));
    } else if current.is_none() {
        let what = if view.new.is_some() { "NewReplicaSetCreated" } else { "ReplicaSetUpdated" };
        let message = match &view.new {
            Some(new) => format!("Created new replica set \"{}\"", object::name(&**new)),
            None => format!("{subject} is progressing."),
        };
        conditions.set(PROGRESSING, "True", what, message);
    } else if reason == "DeploymentPaused" {
        conditions.set(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed".to_owned());
    } else if progressed(old, new) || reason == DONE {
        conditions.touch(PROGRESSING, "True", "ReplicaSetUpdated", format!("{subject} is progressing."));
    } else if overdue(deployment, current.as_ref(), conditions.now) {
        conditions.set(PROGRESSING, "False", TIMED_OUT, format!("{subject} has timed out progressing."));
    }
}

fn progressed(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let stale = |status: &DeploymentStatus| figure(status.replicas) - figure(status.updated_replicas);
    figure(new.updated_replicas) > figure(old.updated_replicas)
        || stale(new) < stale(old)
        || figure(new.ready_replicas) > figure(old.ready_replicas)
        || figure(new.available_replicas) > figure(old.available_replicas)
}

fn overdue(deployment: &Deployment, current: Option<&DeploymentCondition>, now: Timestamp) -> bool {
    let Some(current) = current else { return false };
    match current.reason.as_deref() {
        Some(TIMED_OUT) => true,
        Some(DONE) => false,
        _ => remaining(deployment, current, now).is_some_and(|seconds| seconds <= 0),
    }
}

fn remaining(deployment: &Deployment, current: &DeploymentCondition, now: Timestamp) -> Option<i64> {
    let since = current.last_update_time.as_ref()?.0;
    Some(since.as_second() + deadline(deployment)? - now.as_second())
}

/// In how many seconds the status must be looked at again, should nothing change until then.
pub fn deadline_in(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<u64> {
    if rollout::paused(deployment) || object::deleting(deployment) || complete(deployment, status) {
        return None;
    }
    let current = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_.as_deref() == Some(PROGRESSING))?;
    if matches!(current.reason.as_deref(), Some(TIMED_OUT | DONE)) {
        return None;
    }
    remaining(deployment, current, now).map(|seconds| seconds.max(0) as u64 + 1)
}

fn failure(set: &ReplicaSet) -> Option<(String, String)> {
    let conditions = set.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions.iter().find(|condition| condition.type_.as_deref() == Some(FAILURE))?;
    Some((failure.reason.clone().unwrap_or_default(), failure.message.clone().unwrap_or_default()))
}

/// Whether writing `new` would change anything; absent figures are zeros.
pub fn differs(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let plain = |status: &DeploymentStatus| DeploymentStatus {
        replicas: Some(figure(status.replicas)),
        updated_replicas: Some(figure(status.updated_replicas)),
        ready_replicas: Some(figure(status.ready_replicas)),
        available_replicas: Some(figure(status.available_replicas)),
        unavailable_replicas: Some(figure(status.unavailable_replicas)),
        terminating_replicas: Some(figure(status.terminating_replicas)),
        conditions: Some(status.conditions.clone().unwrap_or_default()),
        ..status.clone()
    };
    plain(old) != plain(new)
}

struct Conditions {
    all: Vec<DeploymentCondition>,
    now: Timestamp,
}

impl Conditions {
    fn get(&self, kind: &str) -> Option<&DeploymentCondition> {
        self.all.iter().find(|condition| condition.type_.as_deref() == Some(kind))
    }

    fn remove(&mut self, kind: &str) {
        self.all.retain(|condition| condition.type_.as_deref() != Some(kind));
    }

    /// Changes nothing when status and reason are the same.
    fn set(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        let same = |now: &DeploymentCondition| {
            now.status.as_deref() == Some(status) && now.reason.as_deref() == Some(reason)
        };
        if !self.get(kind).is_some_and(same) {
            self.touch(kind, status, reason, message);
        }
    }

    /// Renews the update time too; the transition time only with the status.
    fn touch(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        let now = Time(Timestamp::from_second(self.now.as_second()).unwrap_or(self.now));
        let kept = self.get(kind).filter(|before| before.status.as_deref() == Some(status));
        let transition = kept.and_then(|before| before.last_transition_time.clone());
        let condition = DeploymentCondition {
            type_: Some(kind.to_owned()),
            status: Some(status.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_update_time: Some(now.clone()),
            last_transition_time: Some(transition.unwrap_or(now)),
        };
        match self.all.iter_mut().find(|before| before.type_.as_deref() == Some(kind)) {
            Some(before) => *before = condition,
            None => self.all.push(condition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::sample::{Set, deployment, view};
    use serde_json::json;
    use std::sync::Arc;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn reason(status: &DeploymentStatus) -> String {
        let conditions = status.conditions.as_ref().unwrap();
        conditions
            .iter()
            .find(|one| one.type_.as_deref() == Some(PROGRESSING))
            .unwrap()
            .reason
            .clone()
            .unwrap()
    }

    #[test]
    fn a_rollout_is_created_updated_done_and_then_left_alone() {
        let mut deployment = deployment(2, json!(1), json!(0));
        let mut check = |available: i32, second: i64, expected: &str, expected_available: &str| {
            let status = status(&view(&deployment, &[Set::new("web-1", 2, available)]), at(second));
            assert_eq!(reason(&status), expected);
            assert_eq!(status.conditions.as_ref().unwrap()[0].status.as_deref(), Some(expected_available));
            assert_eq!(status.unavailable_replicas, Some(2 - available));
            Arc::make_mut(&mut deployment).status = Some(status.clone());
            status
        };
        check(0, 100, "NewReplicaSetCreated", "False");
        check(1, 110, "ReplicaSetUpdated", "False");
        let done = check(2, 120, DONE, "True");
        let again = check(2, 9999, DONE, "True");
        assert!(!differs(&done, &again));
    }

    #[test]
    fn no_progress_until_the_deadline_times_out() {
        let mut deployment = deployment(2, json!(1), json!(0));
        let sets = [Set::new("web-1", 2, 0)];
        let first = status(&view(&deployment, &sets), at(100));
        Arc::make_mut(&mut deployment).status = Some(first.clone());
        assert_eq!(deadline_in(&deployment, &first, at(400)), Some(301));
        assert_eq!(reason(&status(&view(&deployment, &sets), at(699))), "NewReplicaSetCreated");
        let late = status(&view(&deployment, &sets), at(700));
        assert_eq!(reason(&late), TIMED_OUT);
        assert_eq!(deadline_in(&deployment, &late, at(700)), None);
    }

    #[test]
    fn pausing_and_resuming_show_in_the_condition() {
        let mut deployment = deployment(2, json!(1), json!(0));
        let sets = [Set::new("web-1", 2, 1)];
        let set_paused = |deployment: &mut Arc<Deployment>, paused| {
            Arc::make_mut(deployment).spec.paused = Some(paused);
        };
        set_paused(&mut deployment, true);
        let paused = status(&view(&deployment, &sets), at(100));
        assert_eq!(reason(&paused), "DeploymentPaused");
        set_paused(&mut deployment, false);
        Arc::make_mut(&mut deployment).status = Some(paused);
        assert_eq!(reason(&status(&view(&deployment, &sets), at(101))), "DeploymentResumed");
    }
}
