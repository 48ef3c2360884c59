//! An autoscaler's spec with upstream's defaults filled in, in the formula's units.

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget,
};
use tiphys_api::{quantity, selector::LabelSelector};

use crate::{
    controller::{Config, micros},
    formula::Goal,
    source::{Described, MetricName, Series},
    trouble::{Trouble, Type},
};

const SECOND: i64 = 1_000_000;

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
    /// None where no behaviour is given: then upstream's fixed rule holds.
    pub policies: Vec<Policy>,
    pub tolerance: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub name: MetricName,
    pub goal: Goal,
    /// As the spec has it, for the status.
    pub identifier: MetricIdentifier,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub min: i32,
    pub max: i32,
    pub up: Direction,
    pub down: Direction,
    /// A metric that can't be served says why.
    pub metrics: Vec<Result<Metric, Trouble>>,
}

impl Spec {
    pub fn of(spec: &HorizontalPodAutoscalerSpec, config: &Config) -> Self {
        let rules = spec
            .behavior
            .as_ref()
            .map(|behaviour| (behaviour.scale_up.as_ref(), behaviour.scale_down.as_ref()));
        let given = rules.is_some_and(|(up, down)| up.is_some() || down.is_some());
        let (up, down) = rules.unwrap_or_default();
        let default_metrics = [default_metric()];
        let metrics =
            spec.metrics.as_deref().filter(|metrics| !metrics.is_empty()).unwrap_or(&default_metrics);
        let of = |policies: &'static [(Measure, i32)]| if given { policies } else { &[] };
        Self {
            min: spec.min_replicas.unwrap_or(1),
            max: spec.max_replicas,
            up: direction(up, 0, config.tolerance, of(&[(Measure::Pods, 4), (Measure::Percent, 100)])),
            down: direction(
                down,
                micros(config.downscale_stabilization),
                config.tolerance,
                of(&[(Measure::Percent, 100)]),
            ),
            metrics: metrics.iter().map(metric).collect(),
        }
    }

    /// Whether metrics are asked for a target without replicas. `scaled_to_zero`: the autoscaler
    /// itself took them; who else did switched it off.
    pub fn wakes(&self, scaled_to_zero: bool) -> bool {
        let is_whole =
            |metric: &Metric| matches!(metric.name, MetricName::Object { .. } | MetricName::External(_));
        scaled_to_zero && (self.min != 0 || self.metrics.iter().flatten().any(is_whole))
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

/// The rules of a direction; `window` (microseconds) and `tolerance` where it has none of its own.
fn direction(
    rules: Option<&HPAScalingRules>,
    window: i64,
    tolerance: f64,
    policies: &[(Measure, i32)],
) -> Direction {
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
    let own = rules.and_then(|rules| rules.tolerance.as_ref()).and_then(|text| quantity::milli(&text.0));
    let seconds = rules.and_then(|rules| rules.stabilization_window_seconds);
    Direction {
        window: seconds.map_or(window, |seconds| i64::from(seconds) * SECOND),
        select: match rules.and_then(|rules| rules.select_policy.as_deref()) {
            Some("Min") => Select::Min,
            Some("Disabled") => Select::Disabled,
            _ => Select::Max,
        },
        policies,
        tolerance: own.map_or(tolerance, |milli| milli as f64 / 1000.0),
    }
}

fn metric(spec: &MetricSpec) -> Result<Metric, Trouble> {
    if let Some(source) = &spec.resource {
        let name = MetricName::Resource { resource: source.name.clone(), container: None };
        let goal = per_pod(&source.target).map_err(|why| Type::of(&name).refuse(why))?;
        return Ok(Metric { name, goal, identifier: MetricIdentifier::default() });
    }
    if let Some(source) = &spec.container_resource {
        let container = Some(source.container.clone());
        let name = MetricName::Resource { resource: source.name.clone(), container };
        let goal = per_pod(&source.target).map_err(|why| Type::of(&name).refuse(why))?;
        return Ok(Metric { name, goal, identifier: MetricIdentifier::default() });
    }
    let (identifier, target, kind) = if let Some(source) = &spec.pods {
        (&source.metric, &source.target, Type::Pods)
    } else if let Some(source) = &spec.object {
        (&source.metric, &source.target, Type::Object)
    } else if let Some(source) = &spec.external {
        (&source.metric, &source.target, Type::External(source.metric.name.clone()))
    } else {
        return Err(Type::Unknown.refuse(format!("unknown metric source type {:?}", spec.type_)));
    };
    let selector = identifier.selector.as_ref().map(LabelSelector::try_from).transpose();
    let selector = selector.map_err(|error| kind.refuse(error.to_string()))?.unwrap_or_default();
    let series = Series { name: identifier.name.clone(), selector };
    let name = match (&kind, &spec.object) {
        (Type::Object, Some(source)) => {
            let object = &source.described_object;
            let object = Described {
                api_version: object.api_version.clone().unwrap_or_default(),
                kind: object.kind.clone(),
                name: object.name.clone(),
            };
            MetricName::Object { object, series }
        }
        (Type::External(_), _) => MetricName::External(series),
        _ => MetricName::Pods(series),
    };
    let goal = match kind {
        Type::Pods => average(target),
        // A target of an Object counts by its type, of an External by what is filled in.
        Type::Object => match target.type_.as_str() {
            "Value" => value(target),
            "AverageValue" => average(target),
            _ => None,
        },
        _ => average(target).or_else(|| value(target)),
    };
    let goal = goal.ok_or_else(|| {
        let source = if matches!(kind, Type::Object) { "object" } else { "external" };
        kind.refuse(format!(
            "invalid {source} metric source: neither a value target nor an average value target was set"
        ))
    })?;
    Ok(Metric { name, goal, identifier: identifier.clone() })
}

fn per_pod(target: &MetricTarget) -> Result<Goal, String> {
    average(target).or_else(|| target.average_utilization.map(Goal::Utilization)).ok_or_else(|| {
        "invalid resource metric source: neither an average utilization target nor an average value (usage) \
         target was set"
            .to_owned()
    })
}

fn average(target: &MetricTarget) -> Option<Goal> {
    quantity::milli(&target.average_value.as_ref()?.0).map(Goal::AverageValue)
}

fn value(target: &MetricTarget) -> Option<Goal> {
    quantity::milli(&target.value.as_ref()?.0).map(Goal::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_spec_has_upstreams_defaults() {
        let spec = HorizontalPodAutoscalerSpec { max_replicas: 9, ..Default::default() };
        let spec = Spec::of(&spec, &Config::default());
        assert_eq!((spec.min, spec.max, spec.up.window, spec.down.window), (1, 9, 0, 300 * SECOND));
        assert_eq!((spec.up.policies.len(), spec.down.policies.len()), (0, 0));
        let cpu = MetricName::Resource { resource: "cpu".into(), container: None };
        let identifier = MetricIdentifier::default();
        assert_eq!(spec.metrics, [Ok(Metric { name: cpu, goal: Goal::Utilization(80), identifier })]);
    }

    #[test]
    fn one_direction_given_fills_in_the_other() {
        let spec: HorizontalPodAutoscalerSpec = serde_json::from_value(serde_json::json!({
            "maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "behavior": {"scaleDown": {"selectPolicy": "Disabled"}},
        }))
        .expect("a spec");
        let spec = Spec::of(&spec, &Config::default());
        assert_eq!((spec.up.policies.len(), spec.down.select), (2, Select::Disabled));
    }

    #[test]
    fn what_an_autoscaler_does_not_say_is_the_servers_to_say() {
        let seconds = std::time::Duration::from_secs;
        let config = Config { tolerance: 0.3, downscale_stabilization: seconds(60), ..Config::default() };
        let of = |behavior: serde_json::Value| {
            let spec: HorizontalPodAutoscalerSpec = serde_json::from_value(serde_json::json!({
                "maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                "behavior": behavior,
            }))
            .expect("a spec");
            let Spec { up, down, .. } = Spec::of(&spec, &config);
            ((up.window, down.window), (up.tolerance, down.tolerance))
        };
        assert_eq!(of(serde_json::Value::Null), ((0, 60 * SECOND), (0.3, 0.3)));
        assert_eq!(of(serde_json::json!({"scaleUp": {}})), ((0, 60 * SECOND), (0.3, 0.3)));
        let own = serde_json::json!({
            "scaleUp": {"stabilizationWindowSeconds": 7, "tolerance": "0"},
            "scaleDown": {"stabilizationWindowSeconds": 0, "tolerance": "500m"},
        });
        assert_eq!(of(own), ((7 * SECOND, 0), (0.0, 0.5)));
    }

    #[test]
    fn every_type_of_metric_has_its_goal_or_says_what_is_wrong() {
        let of = |json: serde_json::Value| {
            metric(&serde_json::from_value(json).expect("a metric")).map(|metric| metric.goal)
        };
        let named =
            |target: serde_json::Value| serde_json::json!({"metric": {"name": "q"}, "target": target});
        let value = || serde_json::json!({"type": "Value", "value": "2"});
        let average = || serde_json::json!({"type": "AverageValue", "averageValue": "1500m"});
        assert_eq!(
            of(serde_json::json!({"type": "External", "external": named(value())})),
            Ok(Goal::Value(2000))
        );
        let external = serde_json::json!({"type": "External", "external": named(average())});
        assert_eq!(of(external), Ok(Goal::AverageValue(1500)));
        let mut object = named(value());
        object["describedObject"] = serde_json::json!({"kind": "Service", "name": "web"});
        assert_eq!(of(serde_json::json!({"type": "Object", "object": object})), Ok(Goal::Value(2000)));
        let trouble = of(
            serde_json::json!({"type": "External", "external": named(serde_json::json!({"type": "Value"}))}),
        );
        let trouble = trouble.expect_err("no target");
        assert_eq!(trouble.reason, "FailedGetExternalMetric");
        assert!(
            trouble.message.starts_with("invalid external metric source: neither"),
            "{}",
            trouble.message
        );
        let trouble = of(serde_json::json!({"type": "Moon"})).expect_err("unknown");
        assert_eq!(trouble.message, "unknown metric source type \"Moon\"");
    }

    #[test]
    fn a_container_and_an_object_are_named_as_the_spec_names_them() {
        let of = |json: serde_json::Value| metric(&serde_json::from_value(json).expect("a metric"));
        let container = |target: serde_json::Value| {
            let source = serde_json::json!({"name": "memory", "container": "app", "target": target});
            of(serde_json::json!({"type": "ContainerResource", "containerResource": source}))
        };
        let memory =
            container(serde_json::json!({"type": "AverageValue", "averageValue": "64Mi"})).expect("sound");
        let name = MetricName::Resource { resource: "memory".into(), container: Some("app".into()) };
        assert_eq!((memory.name, memory.goal), (name, Goal::AverageValue(67_108_864_000)));
        let share = container(serde_json::json!({"type": "Utilization", "averageUtilization": 60}));
        assert_eq!(share.map(|metric| metric.goal), Ok(Goal::Utilization(60)));
        let trouble = container(serde_json::json!({"type": "Utilization"})).expect_err("no target");
        assert_eq!(trouble.reason, "FailedGetContainerResourceMetric");
        let object = |target: serde_json::Value| {
            let described =
                serde_json::json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"});
            let queue = serde_json::json!({"name": "hits", "selector": {"matchLabels": {"code": "200"}}});
            let source = serde_json::json!({"describedObject": described, "metric": queue, "target": target});
            of(serde_json::json!({"type": "Object", "object": source}))
        };
        let both = serde_json::json!({"type": "AverageValue", "averageValue": "2", "value": "9"});
        let found = object(both).expect("sound");
        let described = Described {
            api_version: "networking.k8s.io/v1".into(),
            kind: "Ingress".into(),
            name: "front".into(),
        };
        let selector = LabelSelector::parse("code=200").expect("a selector");
        let series = Series { name: "hits".into(), selector };
        assert_eq!(found.name, MetricName::Object { object: described, series });
        assert_eq!(found.goal, Goal::AverageValue(2000));
        let trouble =
            object(serde_json::json!({"type": "AverageValue", "value": "2"})).expect_err("no average");
        assert_eq!(trouble.reason, "FailedGetObjectMetric");
        // The type decides, not what else is filled in.
        let value = object(serde_json::json!({"type": "Value", "averageValue": "2", "value": "9"}));
        assert_eq!(value.map(|metric| metric.goal), Ok(Goal::Value(9000)));
        let trouble =
            object(serde_json::json!({"type": "Value", "averageValue": "2"})).expect_err("no value");
        assert_eq!(
            (trouble.reason, &*trouble.message),
            (
                "FailedGetObjectMetric",
                "invalid object metric source: neither a value target nor an average value target was set"
            )
        );
    }

    #[test]
    fn a_tolerance_of_its_own_replaces_the_default() {
        use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
        let rules = HPAScalingRules { tolerance: Some(Quantity("0.01".into())), ..Default::default() };
        assert!((direction(Some(&rules), 0, 0.1, &[]).tolerance - 0.01).abs() < 1e-9);
    }
}
