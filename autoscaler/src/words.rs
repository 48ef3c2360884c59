//! A decision for people and for rows: its sentence, and each metric's reading.

use tiphys_api::decisions::{Decision, MetricReading, NAMES};

use crate::{
    amount::amount,
    decide::Asked,
    formula::{Goal, Proposal},
    source::MetricName,
    spec::Metric,
};

/// What is done, and because of what.
pub fn reason(decision: &Decision, because: &str) -> String {
    let desired = decision.desired_replicas;
    let action = match desired - decision.current_replicas {
        0 => format!("stay at {desired}"),
        change if change > 0 => format!("scale up from {} to {desired}", decision.current_replicas),
        _ => format!("scale down from {} to {desired}", decision.current_replicas),
    };
    let limit = match decision.limited_by.as_str() {
        "" | "failure" | "disabled" => String::new(),
        limit => format!(", limited by {limit} (wanted {})", decision.proposed_replicas),
    };
    format!("{action}: {because}{limit}")
}

/// What a metric is at: `cpu is at 100% of requests, target 50% over 1 Pod`.
pub fn sentence(metric: &Metric, proposal: &Proposal) -> String {
    let missing = match (proposal.missing.len(), proposal.unready.len()) {
        (0, 0) => String::new(),
        (missing, unready) => format!(" ({missing} without figures, {unready} not ready)"),
    };
    let pods = if proposal.counted == 1 { "Pod" } else { "Pods" };
    let over = format!("over {} {pods}{missing}", proposal.counted);
    let name = metric.name.to_string();
    let quantity = |milli| amount(&name, milli);
    match (metric.goal, proposal.utilization) {
        (Goal::Utilization(target), current) => {
            format!("{name} is at {}% of requests, target {target}% {over}", current.unwrap_or_default())
        }
        (Goal::AverageValue(target), _) if is_whole(&metric.name) => {
            let (average, target) = (quantity(proposal.average), quantity(target));
            format!("{name} is at {average} a replica, target {target}")
        }
        (Goal::AverageValue(target), _) => {
            format!("{name} is at {} a Pod, target {} {over}", quantity(proposal.average), quantity(target))
        }
        (Goal::Value(target), _) => {
            let value = proposal.value.unwrap_or_default();
            format!("{name} is at {}, target {}", quantity(value), quantity(target))
        }
    }
}

/// Whether no single Pod has the figure.
fn is_whole(name: &MetricName) -> bool {
    matches!(name, MetricName::Object { .. } | MetricName::External(_))
}

/// What a row has of a metric.
pub fn reading(asked: &Asked) -> MetricReading {
    let error = asked.result.as_ref().err().map(|trouble| trouble.message.clone()).unwrap_or_default();
    let Some(metric) = &asked.metric else { return MetricReading { error, ..MetricReading::default() } };
    let (target_type, target) = match metric.goal {
        Goal::Utilization(percent) => ("Utilization", f64::from(percent)),
        Goal::AverageValue(milli) => ("AverageValue", milli as f64 / 1000.0),
        Goal::Value(milli) => ("Value", milli as f64 / 1000.0),
    };
    let row = MetricReading {
        name: metric.name.to_string(),
        target_type: target_type.to_owned(),
        target,
        error,
        ..MetricReading::default()
    };
    let Ok(proposal) = &asked.result else { return row };
    let current = match metric.goal {
        Goal::Utilization(_) => proposal.utilization.map(f64::from),
        Goal::AverageValue(_) => Some(proposal.average as f64 / 1000.0),
        Goal::Value(_) => proposal.value.map(|value| value as f64 / 1000.0),
    };
    let count = |pods: &[String]| i32::try_from(pods.len()).unwrap_or(i32::MAX);
    let names = |pods: &[String]| pods.iter().take(NAMES).cloned().collect();
    MetricReading {
        current,
        ratio: Some(proposal.ratio),
        proposal: Some(proposal.replicas),
        pods_counted: if is_whole(&metric.name) { 0 } else { proposal.counted },
        pods_missing: count(&proposal.missing),
        pods_unready: count(&proposal.unready),
        missing: names(&proposal.missing),
        unready: names(&proposal.unready),
        sources: proposal.ways.names(),
        ..row
    }
}
