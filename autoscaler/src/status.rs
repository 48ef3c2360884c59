//! An autoscaler's status: conditions and current metrics, as upstream words them.

use k8s_openapi::{
    api::autoscaling::v2::{
        ContainerResourceMetricStatus, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
        MetricIdentifier, MetricStatus, MetricValueStatus, PodsMetricStatus, ResourceMetricStatus,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time},
};
use tiphys_api::decisions::Decision;

use crate::{
    decide::{Asked, Refusal},
    source::MetricName,
};

/// The state of a condition: type, whether it holds, reason, message.
pub type Condition = (&'static str, bool, &'static str, String);

/// The conditions after a decision.
pub fn conditions(decision: &Result<Decision, Refusal>) -> Vec<Condition> {
    let decision = match decision {
        Ok(decision) => decision,
        Err(Refusal::Disabled) => {
            let text = "scaling is disabled since the replica count of the target is zero";
            return vec![("ScalingActive", false, "ScalingDisabled", text.to_owned())];
        }
        Err(Refusal::NoMetric(why)) => {
            return vec![(
                "ScalingActive",
                false,
                "FailedGetMetrics",
                format!("no metric could be used: {why}"),
            )];
        }
    };
    let able = if decision.scaled {
        (
            "AbleToScale",
            true,
            "SucceededRescale",
            format!("the target was scaled to {}", decision.desired_replicas),
        )
    } else if decision.limited_by == "stabilization" {
        let text =
            "recent recommendations were higher than current one, applying the highest recent recommendation";
        ("AbleToScale", true, "ScaleDownStabilized", text.to_owned())
    } else {
        let text = "recommended size matches current size";
        ("AbleToScale", true, "ReadyForNewScale", text.to_owned())
    };
    let names: Vec<_> = decision.metrics.iter().map(|metric| metric.name.as_str()).collect();
    let active = format!("the HPA was able to calculate a replica count from {}", names.join(", "));
    let limited = match decision.limited_by.as_str() {
        "maxReplicas" => (
            "ScalingLimited",
            true,
            "TooManyReplicas",
            "the desired replica count is more than the maximum replica count",
        ),
        "minReplicas" => (
            "ScalingLimited",
            true,
            "TooFewReplicas",
            "the desired replica count is less than the minimum replica count",
        ),
        "scaleUpPolicy" => (
            "ScalingLimited",
            true,
            "ScaleUpLimit",
            "the desired replica count is increasing faster than the maximum scale rate",
        ),
        "scaleDownPolicy" => (
            "ScalingLimited",
            true,
            "ScaleDownLimit",
            "the desired replica count is decreasing faster than the maximum scale rate",
        ),
        _ => (
            "ScalingLimited",
            false,
            "DesiredWithinRange",
            "the desired count is within the acceptable range",
        ),
    };
    vec![
        able,
        ("ScalingActive", true, "ValidMetricFound", active),
        (limited.0, limited.1, limited.2, limited.3.to_owned()),
    ]
}

/// The conditions put over the old ones; a transition time moves only with the status.
pub fn merge(
    old: &[HorizontalPodAutoscalerCondition],
    new: &[Condition],
    now: &Time,
) -> Vec<HorizontalPodAutoscalerCondition> {
    let mut merged = old.to_vec();
    for (kind, holds, reason, message) in new {
        let status = if *holds { "True" } else { "False" };
        let condition = HorizontalPodAutoscalerCondition {
            type_: (*kind).to_owned(),
            status: status.to_owned(),
            reason: Some((*reason).to_owned()),
            message: Some(message.clone()),
            last_transition_time: Some(now.clone()),
            observed_generation: None,
        };
        match merged.iter_mut().find(|condition| condition.type_ == *kind) {
            Some(old) => {
                let since =
                    if old.status == status { old.last_transition_time.clone() } else { Some(now.clone()) };
                *old = HorizontalPodAutoscalerCondition { last_transition_time: since, ..condition };
            }
            None => merged.push(condition),
        }
    }
    merged
}

/// The current value of each metric that could be read.
pub fn current_metrics(asked: &[Asked]) -> Vec<MetricStatus> {
    asked.iter().filter_map(metric_status).collect()
}

fn metric_status(asked: &Asked) -> Option<MetricStatus> {
    let (metric, proposal) = (asked.metric.as_ref()?, asked.result.as_ref().ok()?);
    let current = MetricValueStatus {
        average_utilization: proposal.utilization,
        average_value: Some(quantity(proposal.average)),
        value: None,
    };
    Some(match &metric.name {
        MetricName::Resource { resource, container: None } => MetricStatus {
            type_: "Resource".to_owned(),
            resource: Some(ResourceMetricStatus { name: resource.clone(), current }),
            ..MetricStatus::default()
        },
        MetricName::Resource { resource, container: Some(container) } => MetricStatus {
            type_: "ContainerResource".to_owned(),
            container_resource: Some(ContainerResourceMetricStatus {
                name: resource.clone(),
                container: container.clone(),
                current,
            }),
            ..MetricStatus::default()
        },
        MetricName::Pods { name } => MetricStatus {
            type_: "Pods".to_owned(),
            pods: Some(PodsMetricStatus {
                metric: MetricIdentifier { name: name.clone(), selector: None },
                current,
            }),
            ..MetricStatus::default()
        },
    })
}

fn quantity(milli: i64) -> Quantity {
    Quantity(if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") })
}

/// Whether a status says something new beside the figures, which change with every sample.
pub fn differs(old: Option<&HorizontalPodAutoscalerStatus>, new: &HorizontalPodAutoscalerStatus) -> bool {
    let Some(old) = old else { return true };
    let states = |status: &HorizontalPodAutoscalerStatus| -> Vec<(String, String, Option<String>)> {
        let conditions = status.conditions.iter().flatten();
        conditions.map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone())).collect()
    };
    old.current_replicas != new.current_replicas
        || old.desired_replicas != new.desired_replicas
        || old.observed_generation != new.observed_generation
        || states(old) != states(new)
}
