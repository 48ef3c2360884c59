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
    ContainerResource(String),
    Pods,
    Object,
    External(String),
    Unknown,
}

impl Type {
    pub fn of(name: &MetricName) -> Self {
        match name {
            MetricName::Resource { resource, container: None } => Self::Resource(resource.clone()),
            MetricName::Resource { resource, container: Some(_) } => {
                Self::ContainerResource(resource.clone())
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
            Self::Resource(resource) | Self::ContainerResource(resource) => {
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
            Self::ContainerResource(_) => "FailedGetContainerResourceMetric",
            Self::Pods => "FailedGetPodsMetric",
            Self::Object => "FailedGetObjectMetric",
            Self::External(_) => "FailedGetExternalMetric",
            Self::Unknown => "InvalidMetricSourceType",
        }
    }

    fn wrap(&self, inner: &str) -> String {
        match self {
            Self::Resource(resource) => format!("failed to get {resource} resource metric value: {inner}"),
            Self::ContainerResource(resource) => {
                format!("failed to get {resource} container metric value: {inner}")
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
    use crate::source::Series;

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
