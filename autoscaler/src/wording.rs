//! Upstream's names of metrics, as its events and conditions have them.

use std::fmt::Write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::{formula::Goal, source::MetricName, spec::Metric};

/// `cpu resource utilization (percentage of request)`, `pods metric requests` and so on.
pub fn of(metric: &Metric) -> String {
    let selector = metric.identifier.selector.as_ref();
    match &metric.name {
        MetricName::Resource { resource, .. } => match metric.goal {
            Goal::Utilization(_) => format!("{resource} resource utilization (percentage of request)"),
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
