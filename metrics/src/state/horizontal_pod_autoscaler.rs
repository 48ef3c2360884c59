//! HorizontalPodAutoscalers.

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, MetricStatus, MetricTarget, MetricValueStatus,
};

use super::{
    Name,
    rows::{Rows, number},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_horizontalpodautoscaler_info", Gauge, "An autoscaler, with what it scales"),
    ("kube_horizontalpodautoscaler_created", Gauge, "When it was made, since the Unix epoch"),
    (
        "kube_horizontalpodautoscaler_deletion_timestamp",
        Gauge,
        "When its end was ordered, since the Unix epoch",
    ),
    ("kube_horizontalpodautoscaler_metadata_generation", Gauge, "The version of its spec"),
    ("kube_horizontalpodautoscaler_spec_min_replicas", Gauge, "Pods at least"),
    ("kube_horizontalpodautoscaler_spec_max_replicas", Gauge, "Pods at most"),
    (
        "kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance",
        Gauge,
        "How far beyond its target a metric may be before there are more Pods, as a share",
    ),
    (
        "kube_horizontalpodautoscaler_spec_behavior_scale_down_tolerance",
        Gauge,
        "How far below its target a metric may be before there are fewer Pods, as a share",
    ),
    ("kube_horizontalpodautoscaler_spec_target_metric", Gauge, "What a metric is to be"),
    ("kube_horizontalpodautoscaler_status_target_metric", Gauge, "What a metric is"),
    ("kube_horizontalpodautoscaler_status_current_replicas", Gauge, "Pods that there are"),
    ("kube_horizontalpodautoscaler_status_desired_replicas", Gauge, "Pods that it wants"),
    ("kube_horizontalpodautoscaler_status_condition", Gauge, "A condition in each of its states"),
];

pub fn tell(object: &HorizontalPodAutoscaler) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("horizontalpodautoscaler", meta);
    rows.time("kube_horizontalpodautoscaler_created", meta.creation_timestamp.as_ref());
    rows.time("kube_horizontalpodautoscaler_deletion_timestamp", meta.deletion_timestamp.as_ref());
    rows.whole("kube_horizontalpodautoscaler_metadata_generation", meta.generation);
    let spec = &object.spec;
    let target = &spec.scale_target_ref;
    let info = [
        ("scaletargetref_api_version", target.api_version.as_deref().unwrap_or_default()),
        ("scaletargetref_kind", &target.kind),
        ("scaletargetref_name", &target.name),
    ];
    rows.with("kube_horizontalpodautoscaler_info", &info, 1.0);
    rows.put("kube_horizontalpodautoscaler_spec_min_replicas", spec.min_replicas.unwrap_or(1));
    rows.put("kube_horizontalpodautoscaler_spec_max_replicas", spec.max_replicas);
    if let Some(behavior) = &spec.behavior {
        let tolerance = |rules: Option<&HPAScalingRules>| rules?.tolerance.as_ref().and_then(number);
        let up = tolerance(behavior.scale_up.as_ref());
        rows.some("kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance", up);
        let down = tolerance(behavior.scale_down.as_ref());
        rows.some("kube_horizontalpodautoscaler_spec_behavior_scale_down_tolerance", down);
    }
    for metric in spec.metrics.iter().flatten() {
        let named = [
            metric.resource.as_ref().map(|it| (it.name.as_str(), &it.target)),
            metric.container_resource.as_ref().map(|it| (it.name.as_str(), &it.target)),
            metric.pods.as_ref().map(|it| (it.metric.name.as_str(), &it.target)),
            metric.object.as_ref().map(|it| (it.metric.name.as_str(), &it.target)),
            metric.external.as_ref().map(|it| (it.metric.name.as_str(), &it.target)),
        ];
        for (name, target) in named.into_iter().flatten() {
            wanted(&mut rows, name, target);
        }
    }
    let Some(status) = &object.status else { return rows };
    rows.some("kube_horizontalpodautoscaler_status_current_replicas", status.current_replicas);
    rows.put("kube_horizontalpodautoscaler_status_desired_replicas", status.desired_replicas);
    status.current_metrics.iter().flatten().for_each(|metric| found(&mut rows, metric));
    for condition in status.conditions.iter().flatten() {
        let labels = [("condition", condition.type_.as_str())];
        rows.condition("kube_horizontalpodautoscaler_status_condition", &labels, &condition.status);
    }
    rows
}

fn wanted(rows: &mut Rows, name: &str, target: &MetricTarget) {
    let values = [
        ("utilization", target.average_utilization.map(f64::from)),
        ("average", target.average_value.as_ref().and_then(number)),
        ("value", target.value.as_ref().and_then(number)),
    ];
    values_of(rows, "kube_horizontalpodautoscaler_spec_target_metric", name, values);
}

fn found(rows: &mut Rows, metric: &MetricStatus) {
    let named: [Option<(&str, &MetricValueStatus)>; 5] = [
        metric.resource.as_ref().map(|it| (it.name.as_str(), &it.current)),
        metric.container_resource.as_ref().map(|it| (it.name.as_str(), &it.current)),
        metric.pods.as_ref().map(|it| (it.metric.name.as_str(), &it.current)),
        metric.object.as_ref().map(|it| (it.metric.name.as_str(), &it.current)),
        metric.external.as_ref().map(|it| (it.metric.name.as_str(), &it.current)),
    ];
    for (name, current) in named.into_iter().flatten() {
        let values = [
            ("utilization", current.average_utilization.map(f64::from)),
            ("average", current.average_value.as_ref().and_then(number)),
            ("value", current.value.as_ref().and_then(number)),
        ];
        values_of(rows, "kube_horizontalpodautoscaler_status_target_metric", name, values);
    }
}

fn values_of(rows: &mut Rows, row: &'static str, metric: &str, values: [(&str, Option<f64>); 3]) {
    for (kind, value) in values {
        if let Some(value) = value {
            rows.with(row, &[("metric_name", metric), ("metric_target_type", kind)], value);
        }
    }
}
