//! One autoscaler's decision: each metric's proposal, then stabilization,
//! policies and limits. Values in, values out; the caller reads and writes.

use tiphys_api::decisions::{Decision, MetricReading};

use crate::{
    behaviour::{Events, limit_down, limit_up},
    formula::{Goal, Proposal},
    spec::{Metric, Spec},
    stabilize::{History, Windows},
};

/// What is remembered of an autoscaler between decisions.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub history: History,
    pub events: Events,
}

/// One metric and what it asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub metric: Option<Metric>,
    pub result: Result<Proposal, String>,
}

/// Why the autoscaler does nothing at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The target has 0 replicas: switched off by hand.
    Disabled,
    /// No metric could be used; the first one's reason.
    NoMetric(String),
}

/// Decides the number of replicas and says why.
///
/// # Errors
/// Nothing can be decided; the target stays as it is.
pub fn decide(
    spec: &Spec,
    current: i32,
    asked: &[Asked],
    memory: &mut Memory,
    now: i64,
) -> Result<Decision, Refusal> {
    if current == 0 && spec.min != 0 {
        return Err(Refusal::Disabled);
    }
    let mut decision = Decision {
        time: now,
        current_replicas: current,
        min_replicas: spec.min,
        max_replicas: spec.max,
        metrics: asked.iter().map(reading).collect(),
        ..Decision::default()
    };
    if current > spec.max || current < spec.min {
        let (desired, limit) =
            if current > spec.max { (spec.max, "maxReplicas") } else { (spec.min, "minReplicas") };
        decision.proposed_replicas = desired;
        decision.stabilized_replicas = desired;
        return Ok(finish(
            decision,
            desired,
            limit,
            format!("current number of replicas is outside {limit}"),
        ));
    }
    memory.history.begin(current, now);
    let (proposed, because) = highest(asked, current).map_err(Refusal::NoMetric)?;
    let windows = Windows { up: spec.up.window, down: spec.down.window };
    let stabilized = memory.history.stabilize(current, proposed, windows, now);
    decision.proposed_replicas = proposed;
    decision.stabilized_replicas = stabilized;
    let (desired, limit) = limited(spec, current, stabilized, memory, now);
    let limit = match limit {
        "" if stabilized != proposed => "stabilization",
        "" if proposed == current && any_within_tolerance(asked) => "tolerance",
        limit => limit,
    };
    Ok(finish(decision, desired, limit, because))
}

/// The highest proposal. One that scales down counts only if every metric could be read.
fn highest(asked: &[Asked], current: i32) -> Result<(i32, String), String> {
    let best = asked
        .iter()
        .filter_map(|asked| Some((asked.metric.as_ref()?, asked.result.as_ref().ok()?)))
        .max_by_key(|(_, proposal)| proposal.replicas);
    let broken = asked.iter().find_map(|asked| asked.result.as_ref().err());
    match (best, broken) {
        (None, error) => Err(error.cloned().unwrap_or_else(|| "no metric is named".to_owned())),
        (Some((_, proposal)), Some(error)) if proposal.replicas < current => Err(error.clone()),
        (Some((metric, proposal)), _) => Ok((proposal.replicas, sentence(metric, proposal))),
    }
}

fn limited(spec: &Spec, current: i32, wanted: i32, memory: &Memory, now: i64) -> (i32, &'static str) {
    if wanted > current {
        let policy = limit_up(&spec.up, &memory.events, current, now);
        let (most, limit) =
            if policy < spec.max { (policy, "scaleUpPolicy") } else { (spec.max, "maxReplicas") };
        if wanted > most { (most.max(current), limit) } else { (wanted, "") }
    } else if wanted < current {
        let policy = limit_down(&spec.down, &memory.events, current, now);
        let (fewest, limit) =
            if policy > spec.min { (policy, "scaleDownPolicy") } else { (spec.min, "minReplicas") };
        if wanted < fewest { (fewest.min(current), limit) } else { (wanted, "") }
    } else {
        (wanted, "")
    }
}

fn any_within_tolerance(asked: &[Asked]) -> bool {
    asked.iter().any(|asked| asked.result.as_ref().is_ok_and(|proposal| (proposal.ratio - 1.0).abs() > 1e-9))
}

fn finish(mut decision: Decision, desired: i32, limit: &str, because: String) -> Decision {
    decision.desired_replicas = desired;
    limit.clone_into(&mut decision.limited_by);
    let action = match desired - decision.current_replicas {
        0 => format!("stay at {desired}"),
        change if change > 0 => format!("scale up from {} to {desired}", decision.current_replicas),
        _ => format!("scale down from {} to {desired}", decision.current_replicas),
    };
    let limit = match limit {
        "" => String::new(),
        limit => format!(", limited by {limit} (wanted {})", decision.proposed_replicas),
    };
    decision.reason = format!("{action}: {because}{limit}");
    decision
}

fn sentence(metric: &Metric, proposal: &Proposal) -> String {
    let missing = match (proposal.missing, proposal.unready) {
        (0, 0) => String::new(),
        (missing, unready) => format!(" ({missing} without figures, {unready} not ready)"),
    };
    let figure = match (metric.goal, proposal.utilization) {
        (Goal::Utilization(target), current) => {
            format!("{}% of requests, target {target}%", current.unwrap_or_default())
        }
        (Goal::AverageValue(target), _) => {
            format!("{} a Pod, target {}", quantity(proposal.average), quantity(target))
        }
    };
    format!(
        "{} is at {figure} over {} {}{missing}",
        metric.name,
        proposal.counted,
        if proposal.counted == 1 { "Pod" } else { "Pods" }
    )
}

/// Thousandths as a person reads them.
fn quantity(milli: i64) -> String {
    if milli % 1000 == 0 || milli.abs() >= 100_000 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

fn reading(asked: &Asked) -> MetricReading {
    let Some(metric) = &asked.metric else {
        let error = asked.result.as_ref().err().cloned().unwrap_or_default();
        return MetricReading { error, ..MetricReading::default() };
    };
    let (target_type, target) = match metric.goal {
        Goal::Utilization(percent) => ("Utilization", f64::from(percent)),
        Goal::AverageValue(milli) => ("AverageValue", milli as f64 / 1000.0),
    };
    let mut row = MetricReading {
        name: metric.name.to_string(),
        target_type: target_type.to_owned(),
        target,
        ..MetricReading::default()
    };
    match &asked.result {
        Ok(proposal) => {
            row.current = Some(proposal.utilization.map_or(proposal.average as f64 / 1000.0, f64::from));
            row.ratio = Some(proposal.ratio);
            row.proposal = Some(proposal.replicas);
            row.pods_counted = proposal.counted;
            row.pods_missing = proposal.missing;
            row.pods_unready = proposal.unready;
        }
        Err(error) => row.error.clone_from(error),
    }
    row
}

#[cfg(test)]
mod tests;
