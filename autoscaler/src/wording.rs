//! Upstream's names of metrics, as its events and conditions have them.

use std::fmt::Write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::{formula::Goal, source::MetricName, spec::Metric};

/// `cpu resource utilization (percentage of request)`, `pods metric requests` and so on.
pub fn of(metric: &Metric) -> String {
    let selector = metric.identifier.selector.as_ref();
    match &metric.name {
        MetricName::Resource { resource, container } => match (metric.goal, container) {
            (Goal::Utilization(_), None) => {
                format!("{resource} resource utilization (percentage of request)")
            }
            (Goal::Utilization(_), Some(_)) => {
                format!("{resource} container resource utilization (percentage of request)")
            }
            _ => format!("{resource} resource"),
        },
        MetricName::Pods(series) => format!("pods metric {}", series.name),
        MetricName::Object { object, series } => match metric.goal {
            Goal::Value(_) => format!("{} metric {}", object.kind, series.name),
            // Upstream calls it so.
            _ => format!("external metric {}({})", series.name, go_syntax(selector)),
        },
        MetricName::External(series) => {
            format!("external metric {}({})", series.name, go_syntax(selector))
        }
    }
}

/// A selector as Go prints it, which is how upstream's sentences have it.
pub fn go_syntax(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".to_owned() };
    let mut text = "&LabelSelector{MatchLabels:map[string]string{".to_owned();
    for (key, value) in selector.match_labels.iter().flatten() {
        let _ = write!(text, "{key}: {value},");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for one in selector.match_expressions.iter().flatten() {
        let values = one.values.as_deref().unwrap_or_default().join(" ");
        let _ = write!(
            text,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            one.key, one.operator
        );
    }
    text.push_str("},}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::source::{Described, Series};

    #[test]
    fn metrics_are_called_as_upstream_calls_them() {
        let series = || Series { name: "orders".into(), selector: Default::default() };
        let cpu = |container: Option<&str>| MetricName::Resource {
            resource: "cpu".into(),
            container: container.map(Into::into),
        };
        let desk = || Described { api_version: "v1".into(), kind: "Service".into(), name: "desk".into() };
        let object = || MetricName::Object { object: desk(), series: series() };
        let (share, average, value) = (Goal::Utilization(50), Goal::AverageValue(1), Goal::Value(1));
        for (name, goal, expected) in [
            (cpu(None), share, "cpu resource utilization (percentage of request)"),
            (cpu(Some("app")), share, "cpu container resource utilization (percentage of request)"),
            (cpu(None), average, "cpu resource"),
            (cpu(Some("app")), average, "cpu resource"),
            (MetricName::Pods(series()), average, "pods metric orders"),
            (object(), value, "Service metric orders"),
            (object(), average, "external metric orders(nil)"),
            (MetricName::External(series()), value, "external metric orders(nil)"),
            (MetricName::External(series()), average, "external metric orders(nil)"),
        ] {
            assert_eq!(of(&Metric { name, goal, identifier: Default::default() }), expected);
        }
    }

    #[test]
    fn selectors_read_as_upstream_prints_them() {
        let selector: LabelSelector = serde_json::from_value(json!({
            "matchLabels": {"queue": "mail"},
            "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}],
        }))
        .expect("a selector");
        assert_eq!(
            go_syntax(Some(&selector)),
            "&LabelSelector{MatchLabels:map[string]string{queue: mail,},MatchExpressions:\
             []LabelSelectorRequirement{LabelSelectorRequirement{Key:zone,Operator:In,Values:[a b],},},}"
        );
        assert_eq!(go_syntax(None), "nil");
    }
}
