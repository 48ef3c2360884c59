//! An autoscaler's spec with upstream's defaults filled in, in the formula's units.

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
};
use tiphys_api::quantity;

use crate::{formula::Goal, source::MetricName};

const SECOND: i64 = 1_000_000;
const DEFAULT_TOLERANCE: f64 = 0.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    Max,
    Min,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Pods,
    Percent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub measure: Measure,
    pub value: i32,
    /// Microseconds.
    pub period: i64,
}

/// The rules of one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// Stabilization window, microseconds.
    pub window: i64,
    pub select: Select,
    pub policies: Vec<Policy>,
    pub tolerance: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub name: MetricName,
    pub goal: Goal,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub min: i32,
    pub max: i32,
    pub up: Direction,
    pub down: Direction,
    /// A metric that can't be served says why.
    pub metrics: Vec<Result<Metric, String>>,
}

impl Spec {
    pub fn of(spec: &HorizontalPodAutoscalerSpec) -> Self {
        let behaviour = spec.behavior.as_ref();
        let default_metrics = [default_metric()];
        let metrics =
            spec.metrics.as_deref().filter(|metrics| !metrics.is_empty()).unwrap_or(&default_metrics);
        Self {
            min: spec.min_replicas.unwrap_or(1),
            max: spec.max_replicas,
            up: direction(
                behaviour.and_then(|behaviour| behaviour.scale_up.as_ref()),
                0,
                &[(Measure::Pods, 4), (Measure::Percent, 100)],
            ),
            down: direction(
                behaviour.and_then(|behaviour| behaviour.scale_down.as_ref()),
                300,
                &[(Measure::Percent, 100)],
            ),
            metrics: metrics.iter().map(metric).collect(),
        }
    }
}

/// What upstream assumes where no metric is named: 80 % of the CPU request.
fn default_metric() -> MetricSpec {
    use k8s_openapi::api::autoscaling::v2::ResourceMetricSource;
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(80),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

fn direction(rules: Option<&HPAScalingRules>, window: i64, policies: &[(Measure, i32)]) -> Direction {
    let given = rules.and_then(|rules| rules.policies.as_deref()).filter(|policies| !policies.is_empty());
    let policies = match given {
        Some(given) => given
            .iter()
            .map(|policy| Policy {
                measure: if policy.type_ == "Pods" { Measure::Pods } else { Measure::Percent },
                value: policy.value,
                period: i64::from(policy.period_seconds) * SECOND,
            })
            .collect(),
        None => policies
            .iter()
            .map(|(measure, value)| Policy { measure: *measure, value: *value, period: 15 * SECOND })
            .collect(),
    };
    let tolerance =
        rules.and_then(|rules| rules.tolerance.as_ref()).and_then(|text| quantity::milli(&text.0));
    Direction {
        window: rules.and_then(|rules| rules.stabilization_window_seconds).map_or(window, i64::from) * SECOND,
        select: match rules.and_then(|rules| rules.select_policy.as_deref()) {
            Some("Min") => Select::Min,
            Some("Disabled") => Select::Disabled,
            _ => Select::Max,
        },
        policies,
        tolerance: tolerance.map_or(DEFAULT_TOLERANCE, |milli| milli as f64 / 1000.0),
    }
}

fn metric(spec: &MetricSpec) -> Result<Metric, String> {
    if let Some(source) = &spec.resource {
        let name = MetricName::Resource { resource: source.name.clone(), container: None };
        return Ok(Metric { name, goal: goal(&source.target)? });
    }
    if let Some(source) = &spec.container_resource {
        let container = Some(source.container.clone());
        let name = MetricName::Resource { resource: source.name.clone(), container };
        return Ok(Metric { name, goal: goal(&source.target)? });
    }
    if let Some(source) = &spec.pods {
        let name = MetricName::Pods { name: source.metric.name.clone() };
        return Ok(Metric { name, goal: goal(&source.target)? });
    }
    Err(format!("metrics of type {} are not served; use Resource, ContainerResource or Pods", spec.type_))
}

fn goal(target: &MetricTarget) -> Result<Goal, String> {
    if let Some(percent) = target.average_utilization {
        return Ok(Goal::Utilization(percent));
    }
    let milli = target.average_value.as_ref().and_then(|value| quantity::milli(&value.0));
    milli
        .map(Goal::AverageValue)
        .ok_or_else(|| format!("a target of type {} needs averageUtilization or averageValue", target.type_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_spec_has_upstreams_defaults() {
        let spec = Spec::of(&HorizontalPodAutoscalerSpec { max_replicas: 9, ..Default::default() });
        assert_eq!((spec.min, spec.max, spec.up.window, spec.down.window), (1, 9, 0, 300 * SECOND));
        assert_eq!(spec.up.policies.len(), 2);
        let cpu = MetricName::Resource { resource: "cpu".into(), container: None };
        assert_eq!(spec.metrics, [Ok(Metric { name: cpu, goal: Goal::Utilization(80) })]);
    }

    #[test]
    fn a_tolerance_of_its_own_replaces_the_default() {
        use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
        let rules = HPAScalingRules { tolerance: Some(Quantity("0.01".into())), ..Default::default() };
        assert!((direction(Some(&rules), 0, &[]).tolerance - 0.01).abs() < 1e-9);
    }
}
