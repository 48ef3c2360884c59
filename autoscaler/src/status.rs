//! An autoscaler's status: current metrics as upstream writes them, and when a new
//! status is worth a write.

use k8s_openapi::{
    api::autoscaling::v2::{
        ContainerResourceMetricStatus, CrossVersionObjectReference, ExternalMetricStatus,
        HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, MetricStatus, MetricValueStatus,
        ObjectMetricStatus, PodsMetricStatus, ResourceMetricStatus,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{conditions::SCALED_TO_ZERO, decide::Asked, formula::Goal, source::MetricName};

/// The current value of each metric, in the order of the spec. One that could not be read has
/// an empty place: `kubectl` goes by position.
pub fn current_metrics(asked: &[Asked]) -> Vec<MetricStatus> {
    asked.iter().map(|asked| metric_status(asked).unwrap_or_default()).collect()
}

fn metric_status(asked: &Asked) -> Option<MetricStatus> {
    let (metric, proposal) = (asked.metric.as_ref()?, asked.result.as_ref().ok()?);
    let is_value = matches!(metric.goal, Goal::Value(_));
    let current = MetricValueStatus {
        average_utilization: proposal.utilization,
        average_value: (!is_value).then(|| quantity(proposal.average)),
        value: proposal.value.filter(|_| is_value).map(quantity),
    };
    let identifier = metric.identifier.clone();
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
        MetricName::Pods(_) => MetricStatus {
            type_: "Pods".to_owned(),
            pods: Some(PodsMetricStatus { metric: identifier, current }),
            ..MetricStatus::default()
        },
        MetricName::Object { object, .. } => MetricStatus {
            type_: "Object".to_owned(),
            object: Some(ObjectMetricStatus {
                described_object: CrossVersionObjectReference {
                    api_version: Some(object.api_version.clone()).filter(|version| !version.is_empty()),
                    kind: object.kind.clone(),
                    name: object.name.clone(),
                },
                metric: identifier,
                current,
            }),
            ..MetricStatus::default()
        },
        MetricName::External(_) => MetricStatus {
            type_: "External".to_owned(),
            external: Some(ExternalMetricStatus { metric: identifier, current }),
            ..MetricStatus::default()
        },
    })
}

/// In decimal units, bytes too: upstream makes these quantities from thousandths as DecimalSI,
/// whatever the target was written in.
fn quantity(milli: i64) -> Quantity {
    Quantity(tiphys_api::quantity::Quantity::from_millis(milli).to_string())
}

/// Whether an autoscaler's conditions say that it took the target's last replica.
pub fn scaled_to_zero(scaler: &HorizontalPodAutoscaler) -> bool {
    let mut conditions = scaler.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|one| one.type_ == SCALED_TO_ZERO && one.status == "True")
}

/// Whether a status tells other figures, or the same states in other words.
pub fn reads_differently(
    old: Option<&HorizontalPodAutoscalerStatus>,
    new: &HorizontalPodAutoscalerStatus,
) -> bool {
    let words = |status: &HorizontalPodAutoscalerStatus| -> Vec<Option<String>> {
        status.conditions.iter().flatten().map(|one| one.message.clone()).collect()
    };
    old.is_none_or(|old| old.current_metrics != new.current_metrics || words(old) != words(new))
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

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::conditions::{self, Condition};

    /// Bytes and cores as upstream prints DecimalSI quantities that it made from thousandths.
    #[test]
    fn amounts_are_canonical_decimal_quantities() {
        for (milli, expected) in [
            (0, "0"),
            (60, "60m"),
            (1500, "1500m"),
            (250_000, "250"),
            (2_000_000, "2k"),
            (8_441_856_000, "8441856"),
            (64 * 1024 * 1024 * 1000, "67108864"),
            (20_480_000_000, "20480k"),
        ] {
            assert_eq!(quantity(milli).0, expected);
        }
    }

    fn of(conditions: &[Condition]) -> HorizontalPodAutoscalerStatus {
        let conditions = conditions::merge(&[], conditions, &Time(Default::default()));
        HorizontalPodAutoscalerStatus { conditions: Some(conditions), ..Default::default() }
    }

    #[test]
    fn other_words_for_the_same_state_are_a_change_of_the_words_only() {
        let failed = |why: &str| of(&[conditions::inactive("FailedGetResourceMetric", why.to_owned())]);
        let (old, same) = (failed("no metrics"), failed("no metrics"));
        assert!(!differs(Some(&old), &same) && !reads_differently(Some(&old), &same));
        let new = failed("missing request");
        assert!(!differs(Some(&old), &new) && reads_differently(Some(&old), &new));
        let other = of(&[conditions::inactive("FailedGetPodsMetric", "no metrics".to_owned())]);
        assert!(differs(Some(&old), &other));
        let figures = HorizontalPodAutoscalerStatus {
            current_metrics: Some(vec![MetricStatus::default()]),
            ..failed("no metrics")
        };
        assert!(!differs(Some(&old), &figures) && reads_differently(Some(&old), &figures));
        assert!(differs(None, &old) && reads_differently(None, &old));
    }

    #[test]
    fn who_took_the_last_replica_is_read_from_the_conditions() {
        let of = |status: Option<HorizontalPodAutoscalerStatus>| {
            scaled_to_zero(&HorizontalPodAutoscaler { status, ..Default::default() })
        };
        let told = |holds| Some(self::of(&[conditions::scale_was_read(), conditions::scaled_to_zero(holds)]));
        assert_eq!([of(None), of(told(false)), of(told(true))], [false, false, true]);
        assert!(!of(Some(self::of(&[conditions::scale_was_read()]))));
    }
}
