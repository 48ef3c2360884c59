//! The Pod's conditions. Pure. What others wrote stays.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ContainerStatus, Pod, PodCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::spec;

/// The conditions that are the kubelet's to write.
const OWN: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Whether a condition is the kubelet's to write.
pub fn is_own(kind: &str) -> bool {
    OWN.contains(&kind)
}

/// Our own conditions as we know them, those of others as the newest object has them.
pub fn joined(own: &[PodCondition], newest: &[PodCondition]) -> Vec<PodCondition> {
    let foreign = newest.iter().filter(|condition| !is_own(&condition.type_));
    foreign.chain(own.iter().filter(|condition| is_own(&condition.type_))).cloned().collect()
}

/// Whether the object shows the kubelet's conditions other than the kubelet has them:
/// somebody else wrote them. Times don't count.
pub fn are_contradicted(own: &Pod, shown: &Pod) -> bool {
    let said = |pod: &Pod| -> BTreeSet<[Option<String>; 4]> {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let own = conditions.filter(|condition| is_own(&condition.type_)).cloned();
        own.map(|own| [Some(own.type_), Some(own.status), own.reason, own.message]).collect()
    };
    said(own) != said(shown)
}

/// What the conditions follow from.
pub struct Facts<'a> {
    pub phase: &'a str,
    /// The sandbox is up, with its network.
    pub sandbox_ready: bool,
    pub incomplete_init: Vec<&'a str>,
    /// Of the containers that must be ready: main ones and sidecars.
    pub statuses: &'a [&'a ContainerStatus],
    pub now: Timestamp,
}

/// A condition's status with the reason and message for a false one.
type Verdict = Result<(), (&'static str, String)>;

pub fn conditions(pod: &Pod, facts: &Facts<'_>) -> Vec<PodCondition> {
    let before = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let containers = containers_ready(facts);
    let ready = containers.clone().and_then(|()| gates(pod, before));
    let sandbox = if facts.sandbox_ready { Ok(()) } else { Err(("", String::new())) };
    let verdicts: [Verdict; 5] = [sandbox, initialized(facts), ready, containers, Ok(())];
    let mut conditions: Vec<PodCondition> =
        before.iter().filter(|condition| !is_own(&condition.type_)).cloned().collect();
    for (kind, verdict) in OWN.iter().zip(verdicts) {
        let old = before.iter().find(|condition| condition.type_ == *kind);
        conditions.push(condition(kind, verdict, old, pod, facts.now));
    }
    conditions
}

fn condition(
    kind: &str,
    verdict: Verdict,
    old: Option<&PodCondition>,
    pod: &Pod,
    now: Timestamp,
) -> PodCondition {
    let status = if verdict.is_ok() { "True" } else { "False" };
    let (reason, message) = match verdict {
        Ok(()) => (None, None),
        Err((reason, message)) => {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            (some(reason), some(&message))
        }
    };
    let unchanged = old.filter(|old| old.status == status);
    let since = unchanged.and_then(|old| old.last_transition_time.clone()).unwrap_or(Time(now));
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason,
        message,
        last_transition_time: Some(since),
        observed_generation: pod.metadata.generation,
        ..Default::default()
    }
}

fn initialized(facts: &Facts<'_>) -> Verdict {
    if facts.phase == "Succeeded" || facts.incomplete_init.is_empty() {
        return Ok(());
    }
    let names = facts.incomplete_init.join(" ");
    Err(("ContainersNotInitialized", format!("containers with incomplete status: [{names}]")))
}

fn containers_ready(facts: &Facts<'_>) -> Verdict {
    match facts.phase {
        "Succeeded" => return Err(("PodCompleted", String::new())),
        "Failed" => return Err(("PodFailed", String::new())),
        _ => {}
    }
    let unready = facts.statuses.iter().filter(|status| !status.ready).map(|status| status.name.as_str());
    let unready: Vec<&str> = unready.collect();
    if unready.is_empty() {
        return Ok(());
    }
    Err(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))))
}

/// Conditions of others that the Pod's spec makes part of its readiness.
fn gates(pod: &Pod, before: &[PodCondition]) -> Verdict {
    for gate in spec::of(pod).readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match before.iter().find(|condition| condition.type_ == *kind) {
            Some(condition) if condition.status == "True" => {}
            Some(_) => {
                let message =
                    format!("the status of pod readiness gate {kind:?} is not \"True\", but \"False\"");
                return Err(("ReadinessGatesNotReady", message));
            }
            None => {
                let message =
                    format!("corresponding condition of pod readiness gate {kind:?} does not exist.");
                return Err(("ReadinessGatesNotReady", message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_others_are_those_of_the_newest_object() {
        let condition = |kind: &str, status: &str| PodCondition {
            type_: kind.into(),
            status: status.into(),
            ..PodCondition::default()
        };
        let own = [condition("Ready", "True"), condition("gone", "True"), condition("gate", "False")];
        let newest =
            [condition("gate", "True"), condition("DisruptionTarget", "True"), condition("Ready", "False")];
        let expected =
            [condition("gate", "True"), condition("DisruptionTarget", "True"), condition("Ready", "True")];
        assert_eq!(joined(&own, &newest), expected);
    }
}
