//! What a PodDisruptionBudget's status says of its Pods. Pure.
//!
//! ```text
//! expected   minAvailable as a number: the Pods; else what their owners are scaled to
//! desired    minAvailable, or expected - maxUnavailable; percentages are rounded up
//! healthy    Pods that are ready, neither going nor about to go
//! allowed    healthy - desired
//! ```
//!
//! An eviction takes one of the allowed and names its Pod in `disruptedPods`: the Pod
//! counts as gone from then on, though its deletion is seen later. One that is still
//! there after two minutes was not deleted after all.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus},
    apimachinery::pkg::{
        apis::meta::v1::{Condition, Time},
        util::intstr::IntOrString,
    },
};

use tiphys_client::LeanPod;

use crate::{deployment::resolve_share, object, pod};

const CONDITION: &str = "DisruptionAllowed";
/// How long an evicted Pod may take until its deletion shows.
const DELETED_WITHIN: Duration = Duration::from_secs(120);

/// The status, and what follows from the time that has passed.
#[derive(Debug)]
pub struct Verdict {
    pub status: PodDisruptionBudgetStatus,
    /// When it is to be decided again, if nothing happens before.
    pub again: Option<Duration>,
    /// Names of Pods whose eviction came to nothing.
    pub stayed: Vec<String>,
}

/// Whether the budget asks what the Pods' owners are scaled to.
pub fn needs_scale(spec: &PodDisruptionBudgetSpec) -> bool {
    spec.max_unavailable.is_some() || matches!(spec.min_available, Some(IntOrString::String(_)))
}

/// The verdict over the Pods that the budget selects; `scale` counts where [`needs_scale`].
pub fn decide(budget: &PodDisruptionBudget, pods: &[&LeanPod], scale: i32, now: Timestamp) -> Verdict {
    let spec = budget.spec.clone().unwrap_or_default();
    let before = budget.status.clone().unwrap_or_default();
    let (disrupted, again, stayed) = disrupted(&before, pods, now);
    let healthy = pods.iter().filter(|pod| {
        pod::ready(pod) && !object::deleting(**pod) && !disrupted.contains_key(object::name(**pod))
    });
    let healthy = healthy.count() as i32;
    let (expected, desired) = figures(&spec, pods.len() as i32, scale);
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let (verdict, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let generation = budget.metadata.generation;
    let condition = condition(&before, generation, verdict, reason, String::new(), now);
    let status = PodDisruptionBudgetStatus {
        conditions: Some(condition),
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        disrupted_pods: Some(disrupted).filter(|pods| !pods.is_empty()),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(expected),
        observed_generation: generation,
    };
    Verdict { status, again, stayed }
}

/// The status of a budget that can't be decided: nothing is allowed.
pub fn failed(budget: &PodDisruptionBudget, why: String, now: Timestamp) -> PodDisruptionBudgetStatus {
    let before = budget.status.clone().unwrap_or_default();
    let generation = budget.metadata.generation;
    let conditions = condition(&before, generation, "False", "SyncFailed", why, now);
    PodDisruptionBudgetStatus {
        conditions: Some(conditions),
        disruptions_allowed: Some(0),
        observed_generation: generation,
        ..before
    }
}

/// How many are expected, and how many must stay healthy.
fn figures(spec: &PodDisruptionBudgetSpec, pods: i32, scale: i32) -> (i32, i32) {
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(unavailable), _) => (scale, (scale - resolve_share(unavailable, scale, true)).max(0)),
        (None, Some(share @ IntOrString::String(_))) => (scale, resolve_share(share, scale, true)),
        (None, Some(IntOrString::Int(number))) => (pods, (*number).max(0)),
        (None, None) => (0, 0),
    }
}

/// Evicted Pods whose deletion is to come, when the first of them is late, and who is.
fn disrupted(
    before: &PodDisruptionBudgetStatus,
    pods: &[&LeanPod],
    now: Timestamp,
) -> (BTreeMap<String, Time>, Option<Duration>, Vec<String>) {
    let (mut coming, mut again, mut stayed) = (BTreeMap::new(), None::<Duration>, Vec::new());
    for (name, since) in before.disrupted_pods.iter().flatten() {
        let there = pods.iter().find(|pod| object::name(**pod) == name);
        if there.is_none_or(|pod| object::deleting(*pod)) {
            continue;
        }
        let passed = Duration::from_secs(u64::try_from(now.as_second() - since.0.as_second()).unwrap_or(0));
        match DELETED_WITHIN.checked_sub(passed).filter(|left| !left.is_zero()) {
            Some(left) => {
                again = Some(again.map_or(left, |soonest| soonest.min(left)));
                coming.insert(name.clone(), since.clone());
            }
            None => stayed.push(name.clone()),
        }
    }
    (coming, again, stayed)
}

/// The conditions with this one; its time changes with its status only.
fn condition(
    before: &PodDisruptionBudgetStatus,
    generation: Option<i64>,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> Vec<Condition> {
    let mut all = before.conditions.clone().unwrap_or_default();
    let known = all.iter().find(|one| one.type_ == CONDITION && one.status == status);
    let since = known.map_or(Time(now), |known| known.last_transition_time.clone());
    all.retain(|one| one.type_ != CONDITION);
    all.push(Condition {
        type_: CONDITION.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    });
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    fn pod(name: &str, ready: bool) -> LeanPod {
        let ready = if ready { "True" } else { "False" };
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
        let object = json!({"metadata": {"name": "b", "generation": 3}, "spec": spec, "status": status});
        serde_json::from_value(object).unwrap()
    }

    /// Of so many Pods so many ready, owned by what is scaled to `scale`.
    fn figures_of(spec: Value, pods: usize, ready: usize, scale: i32) -> (i32, i32, i32, i32) {
        let pods: Vec<LeanPod> = (0..pods).map(|number| pod(&number.to_string(), number < ready)).collect();
        let status = decide(&budget(spec, json!({})), &pods.iter().collect::<Vec<_>>(), scale, now()).status;
        let figure = |figure: Option<i32>| figure.unwrap();
        (
            figure(status.expected_pods),
            figure(status.desired_healthy),
            figure(status.current_healthy),
            figure(status.disruptions_allowed),
        )
    }

    #[test]
    fn figures_follow_the_spec() {
        // spec, Pods, ready, scale => expected, desired, healthy, allowed
        let table = [
            (json!({"minAvailable": 2}), 3, 3, 0, (3, 2, 3, 1)),
            (json!({"minAvailable": 2}), 3, 2, 0, (3, 2, 2, 0)),
            (json!({"minAvailable": 5}), 3, 3, 0, (3, 5, 3, 0)),
            (json!({"minAvailable": 0}), 0, 0, 0, (0, 0, 0, 0)),
            (json!({"minAvailable": "50%"}), 5, 5, 5, (5, 3, 5, 2)),
            (json!({"maxUnavailable": 1}), 3, 3, 3, (3, 2, 3, 1)),
            (json!({"maxUnavailable": 1}), 3, 1, 3, (3, 2, 1, 0)),
            (json!({"maxUnavailable": "30%"}), 5, 5, 5, (5, 3, 5, 2)),
            (json!({"maxUnavailable": 7}), 3, 3, 3, (3, 0, 3, 3)),
            // More is wanted than is there: what is missing counts as unavailable.
            (json!({"maxUnavailable": 1}), 3, 3, 4, (4, 3, 3, 0)),
        ];
        for (spec, pods, ready, scale, expected) in table {
            assert_eq!(
                figures_of(spec.clone(), pods, ready, scale),
                expected,
                "{spec} {pods} {ready} {scale}"
            );
        }
    }

    #[test]
    fn an_evicted_pod_counts_as_gone_until_it_is_late() {
        let pods = [pod("a", true), pod("b", true), pod("c", true)];
        let pods: Vec<&LeanPod> = pods.iter().collect();
        let evicted = |at: &str| json!({"disruptedPods": {"a": at, "gone": at}});
        let spec = json!({"minAvailable": 1});
        let fresh = decide(&budget(spec.clone(), evicted("2026-01-01T00:09:30Z")), &pods, 0, now());
        assert_eq!(fresh.status.disruptions_allowed, Some(1));
        let names: Vec<&str> =
            fresh.status.disrupted_pods.iter().flatten().map(|(name, _)| &**name).collect();
        assert_eq!((names, fresh.again), (vec!["a"], Some(Duration::from_secs(90))));
        let late = decide(&budget(spec, evicted("2026-01-01T00:08:00Z")), &pods, 0, now());
        assert_eq!((late.status.disruptions_allowed, late.status.disrupted_pods), (Some(2), None));
        assert_eq!((late.stayed, late.again), (vec!["a".to_owned()], None));
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_does() {
        let condition = json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let budget = budget(json!({"minAvailable": 1}), json!({"conditions": [condition]}));
        let time = |status: &PodDisruptionBudgetStatus| {
            status.conditions.as_ref().unwrap()[0].last_transition_time.0
        };
        let still = failed(&budget, "no owner".to_owned(), now());
        assert_eq!(time(&still), "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(still.observed_generation, Some(3));
        let (a, b) = (pod("a", true), pod("b", true));
        assert_eq!(time(&decide(&budget, &[&a, &b], 0, now()).status), now());
    }
}
