//! An autoscaler's conditions, as upstream words them, and how they replace old ones.

use k8s_openapi::{
    api::autoscaling::v2::HorizontalPodAutoscalerCondition, apimachinery::pkg::apis::meta::v1::Time,
};

use crate::trouble::Trouble;

/// The state of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub kind: &'static str,
    pub holds: bool,
    pub reason: &'static str,
    pub message: String,
}

const ABLE: &str = "AbleToScale";
const ACTIVE: &str = "ScalingActive";
const LIMITED: &str = "ScalingLimited";
/// Also read again: where it holds, a target without replicas is not switched off.
pub const SCALED_TO_ZERO: &str = "ScaledToZero";

fn condition(kind: &'static str, holds: bool, reason: &'static str, message: impl Into<String>) -> Condition {
    Condition { kind, holds, reason, message: message.into() }
}

pub fn scale_was_read() -> Condition {
    let text = "the HPA controller was able to get the target's current scale";
    condition(ABLE, true, "SucceededGetScale", text)
}

pub fn scale_was_not_read(why: &str) -> Condition {
    let text = format!("the HPA controller was unable to get the target's current scale: {why}");
    condition(ABLE, false, "FailedGetScale", text)
}

pub fn rescaled(replicas: i32) -> Condition {
    let text = format!("the HPA controller was able to update the target scale to {replicas}");
    condition(ABLE, true, "SucceededRescale", text)
}

pub fn not_rescaled(why: &str) -> Condition {
    let text = format!("the HPA controller was unable to update the target scale: {why}");
    condition(ABLE, false, "FailedUpdateScale", text)
}

/// Whether the target has no replicas because of the autoscaler, after a rescale.
pub fn scaled_to_zero(holds: bool) -> Condition {
    let (reason, text) = match holds {
        true => ("ScaledToZero", "the HPA controller scaled the workload to zero"),
        false => ("NotScaledToZero", "the HPA controller did not scale the workload to zero"),
    };
    condition(SCALED_TO_ZERO, holds, reason, text)
}

pub fn disabled() -> Condition {
    let text = "scaling is disabled since the replica count of the target is zero";
    condition(ACTIVE, false, "ScalingDisabled", text)
}

pub fn inactive(reason: &'static str, message: String) -> Condition {
    condition(ACTIVE, false, reason, message)
}

pub fn unable(trouble: &Trouble) -> Condition {
    let text = format!("the HPA was unable to compute the replica count: {}", trouble.message);
    condition(ACTIVE, false, trouble.reason, text)
}

pub fn active(metric: &str) -> Condition {
    let text = format!("the HPA was able to successfully calculate a replica count from {metric}");
    condition(ACTIVE, true, "ValidMetricFound", text)
}

pub fn stabilized(stabilized: i32, proposed: i32, current: i32) -> Condition {
    let (reason, text) = if stabilized == proposed {
        ("ReadyForNewScale", "recommended size matches current size")
    } else if proposed >= current {
        (
            "ScaleUpStabilized",
            "recent recommendations were lower than current one, applying the lowest recent recommendation",
        )
    } else {
        (
            "ScaleDownStabilized",
            "recent recommendations were higher than current one, applying the highest recent recommendation",
        )
    };
    condition(ABLE, true, reason, text)
}

/// By what [`tiphys_api::decisions::Decision::limited_by`] calls it; "" is nothing.
pub fn limited(by: &str) -> Condition {
    let (reason, text) = match by {
        "maxReplicas" => {
            ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
        }
        "minReplicas" => {
            ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
        }
        "scaleUpPolicy" => {
            ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
        }
        "scaleDownPolicy" => {
            ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
        }
        _ => ("DesiredWithinRange", "the desired count is within the acceptable range"),
    };
    condition(LIMITED, reason != "DesiredWithinRange", reason, text)
}

/// The conditions put over the old ones in order; a transition time moves only with the status.
pub fn merge(
    old: &[HorizontalPodAutoscalerCondition],
    new: &[Condition],
    now: &Time,
) -> Vec<HorizontalPodAutoscalerCondition> {
    let mut merged = old.to_vec();
    for Condition { kind, holds, reason, message } in new {
        let status = if *holds { "True" } else { "False" };
        let found = merged.iter().position(|condition| condition.type_ == *kind);
        // The old one's: of two new ones the first must not count as a transition.
        let before = old.iter().find(|condition| condition.type_ == *kind && condition.status == status);
        let since = before.map_or_else(|| Some(now.clone()), |before| before.last_transition_time.clone());
        let condition = HorizontalPodAutoscalerCondition {
            type_: (*kind).to_owned(),
            status: status.to_owned(),
            reason: Some((*reason).to_owned()),
            message: Some(message.clone()),
            last_transition_time: since,
            observed_generation: None,
        };
        match found {
            Some(at) => merged[at] = condition,
            None => merged.push(condition),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let at = |second| Time(Timestamp::from_second(second).expect("a time"));
        let first = merge(&[], &[scale_was_read(), stabilized(1, 1, 1)], &at(1));
        assert_eq!((first.len(), first[0].reason.as_deref()), (1, Some("ReadyForNewScale")));
        let same = merge(&first, &[scale_was_read(), rescaled(3)], &at(2));
        assert_eq!(
            (same[0].last_transition_time.clone(), same[0].reason.as_deref()),
            (Some(at(1)), Some("SucceededRescale"))
        );
        let other = merge(&same, &[scale_was_not_read("gone")], &at(3));
        assert_eq!(other[0].last_transition_time, Some(at(3)));
    }
}
