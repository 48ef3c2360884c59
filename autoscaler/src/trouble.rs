//! What is wrong with one metric, in upstream's words: the condition's reason, the
//! sentence of its event and condition, and the longer one of the whole decision.

use crate::{formula::Goal, source::MetricName};

/// Why a metric gave no proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Of the condition ScalingActive and of the event.
    pub reason: &'static str,
    pub message: String,
    /// As the decision's failure repeats it.
    pub wrapped: String,
}

/// The types of metrics, as far as words depend on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Resource(String),
    ContainerResource { resource: String, container: String },
    Pods,
    Object,
    External(String),
    Unknown,
}

impl Type {
    pub fn of(name: &MetricName) -> Self {
        match name {
            MetricName::Resource { resource, container: None } => Self::Resource(resource.clone()),
            MetricName::Resource { resource, container: Some(container) } => {
                Self::ContainerResource { resource: resource.clone(), container: container.clone() }
            }
            MetricName::Pods(_) => Self::Pods,
            MetricName::Object { .. } => Self::Object,
            MetricName::External(series) => Self::External(series.name.clone()),
        }
    }

    /// The spec itself is wrong.
    pub fn refuse(&self, message: String) -> Trouble {
        let wrapped = self.wrap(&message);
        Trouble { reason: self.reason(), message, wrapped }
    }

    /// The metric could not be read, or gave no proposal.
    pub fn failed(&self, name: &MetricName, goal: Goal, why: &str) -> Trouble {
        let per_pod = matches!(goal, Goal::AverageValue(_));
        // Which part of a resource's use, told in its event too.
        let message = match self {
            Self::Resource(resource) | Self::ContainerResource { resource, .. } => {
                let part = if per_pod { "usage" } else { "utilization" };
                format!("failed to get {resource} {part}: {why}")
            }
            _ => why.to_owned(),
        };
        let inner = match (self, name) {
            (Self::Object, MetricName::Object { series, .. }) if per_pod => {
                format!("failed to get {} object metric: {why}", series.name)
            }
            (Self::External(name), _) if per_pod => format!("failed to get {name} external metric: {why}"),
            (Self::External(name), _) => format!("failed to get external metric {name}: {why}"),
            _ => message.clone(),
        };
        Trouble { reason: self.reason(), message, wrapped: self.wrap(&inner) }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Resource(_) => "FailedGetResourceMetric",
            Self::ContainerResource { .. } => "FailedGetContainerResourceMetric",
            Self::Pods => "FailedGetPodsMetric",
            Self::Object => "FailedGetObjectMetric",
            Self::External(_) => "FailedGetExternalMetric",
            Self::Unknown => "InvalidMetricSourceType",
        }
    }

    fn wrap(&self, inner: &str) -> String {
        match self {
            Self::Resource(resource) => format!("failed to get {resource} resource metric value: {inner}"),
            // Upstream names the container here, not the resource.
            Self::ContainerResource { container, .. } => {
                format!("failed to get {container} container metric value: {inner}")
            }
            Self::Pods => format!("failed to get pods metric value: {inner}"),
            Self::Object => format!("failed to get object metric value: {inner}"),
            Self::External(name) => format!("failed to get {name} external metric value: {inner}"),
            Self::Unknown => inner.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Described, Series};

    #[test]
    fn each_type_of_metric_is_wrapped_as_upstream_wraps_it() {
        let series = || Series { name: "orders".into(), selector: Default::default() };
        let described =
            || Described { api_version: "v1".into(), kind: "Service".into(), name: "desk".into() };
        let app = MetricName::Resource { resource: "memory".into(), container: Some("app".into()) };
        let object = || MetricName::Object { object: described(), series: series() };
        let (average, value) = (Goal::AverageValue(1), Goal::Value(1));
        // The event and the condition, and what the decision's failure wraps around it.
        for (name, goal, reason, message, wrapped) in [
            (
                app.clone(),
                average,
                "FailedGetContainerResourceMetric",
                "failed to get memory usage: gone",
                "failed to get app container metric value: failed to get memory usage: gone",
            ),
            (
                app,
                Goal::Utilization(50),
                "FailedGetContainerResourceMetric",
                "failed to get memory utilization: gone",
                "failed to get app container metric value: failed to get memory utilization: gone",
            ),
            (
                MetricName::Pods(series()),
                average,
                "FailedGetPodsMetric",
                "gone",
                "failed to get pods metric value: gone",
            ),
            (object(), value, "FailedGetObjectMetric", "gone", "failed to get object metric value: gone"),
            (
                object(),
                average,
                "FailedGetObjectMetric",
                "gone",
                "failed to get object metric value: failed to get orders object metric: gone",
            ),
            (
                MetricName::External(series()),
                average,
                "FailedGetExternalMetric",
                "gone",
                "failed to get orders external metric value: failed to get orders external metric: gone",
            ),
        ] {
            let trouble = Type::of(&name).failed(&name, goal, "gone");
            let told = (trouble.reason, &*trouble.message, &*trouble.wrapped);
            assert_eq!(told, (reason, message, wrapped));
        }
    }

    #[test]
    fn troubles_are_worded_as_upstream_words_them() {
        let cpu = MetricName::Resource { resource: "cpu".into(), container: None };
        let why = "missing request for cpu in container main of Pod web-1";
        let trouble = Type::of(&cpu).failed(&cpu, Goal::Utilization(50), why);
        assert_eq!(trouble.reason, "FailedGetResourceMetric");
        assert_eq!(trouble.message, format!("failed to get cpu utilization: {why}"));
        assert_eq!(
            trouble.wrapped,
            format!("failed to get cpu resource metric value: failed to get cpu utilization: {why}")
        );
        let queue = MetricName::External(Series { name: "queue".into(), selector: Default::default() });
        let trouble = Type::of(&queue).failed(&queue, Goal::Value(1), "gone");
        assert_eq!((trouble.reason, &*trouble.message), ("FailedGetExternalMetric", "gone"));
        assert_eq!(
            trouble.wrapped,
            "failed to get queue external metric value: failed to get external metric queue: gone"
        );
    }
}
