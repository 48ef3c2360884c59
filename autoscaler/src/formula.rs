//! The formula: how many replicas one metric asks for.
//!
//! `ceil(replicas * current / target)`, with upstream's rules for Pods that are
//! not ready, not measured or going away: a missing Pod counts as having what it
//! asked for when scaling down and nothing when scaling up, an unready one as
//! nothing when scaling up; what would turn the direction around changes
//! nothing. Source: `pkg/controller/podautoscaler/replica_calculator.go` and the
//! algorithm's page in the Kubernetes documentation.

use std::collections::HashMap;

use crate::source::Reading;

/// A Pod as the formula sees it. Times in microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct PodView {
    pub name: String,
    pub deleting: bool,
    pub failed: bool,
    pub pending: bool,
    pub started: Option<i64>,
    /// Whether the condition Ready holds, and since when.
    pub ready: Option<(bool, i64)>,
    /// What the Pod (or the container looked at) requests, in thousandths.
    /// The sentence says which container requests nothing.
    pub request: Result<i64, String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Percent of the request.
    Utilization(i32),
    /// Thousandths a Pod.
    AverageValue(i64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// A ratio up to `1 + tolerance_up` or down to `1 - tolerance_down` changes nothing.
    pub tolerance_up: f64,
    pub tolerance_down: f64,
    /// How long after its start a Pod's CPU is taken with care, in microseconds.
    pub cpu_initialization: i64,
    /// How long after its start an unready Pod may never have been ready.
    pub initial_readiness: i64,
}

/// What one metric asks for, and from what.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub replicas: i32,
    /// Current use over target, before Pods without figures were filled in.
    pub ratio: f64,
    /// Percent of the requests, where the goal is one.
    pub utilization: Option<i32>,
    /// Thousandths a measured Pod.
    pub average: i64,
    pub counted: i32,
    pub missing: i32,
    pub unready: i32,
}

/// What the formula works from.
pub struct Question<'a> {
    pub current_replicas: i32,
    pub goal: Goal,
    pub pods: &'a [PodView],
    pub readings: &'a HashMap<String, Reading>,
    /// CPU has rules of its own for Pods that start.
    pub is_cpu: bool,
    pub rules: Rules,
    pub now: i64,
}

#[derive(Default)]
struct Groups<'a> {
    ready: Vec<(&'a PodView, i64)>,
    unready: Vec<&'a PodView>,
    missing: Vec<&'a PodView>,
}

/// The number of replicas that this metric asks for.
///
/// # Errors
/// No Pod has a figure, or a request that utilization needs is missing; a sentence for conditions and rows.
pub fn propose(question: &Question<'_>) -> Result<Proposal, String> {
    if question.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = group(question);
    if groups.ready.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let measured: i64 = groups.ready.iter().map(|(_, value)| value).sum();
    let count = count(groups.ready.len());
    let wanted = wanted(question.goal, groups.ready.iter().map(|(pod, _)| *pod))?;
    let ratio = divide(measured, wanted);
    let proposal = |replicas| Proposal {
        replicas,
        ratio,
        utilization: match question.goal {
            Goal::Utilization(percent) => Some((ratio * f64::from(percent)) as i32),
            Goal::AverageValue(_) => None,
        },
        average: measured / i64::from(count),
        counted: count,
        missing: self::count(groups.missing.len()),
        unready: self::count(groups.unready.len()),
    };
    let fill_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !fill_unready && groups.missing.is_empty() {
        let replicas = if within(question.rules, ratio) {
            question.current_replicas
        } else {
            round_up(ratio * f64::from(count))
        };
        return Ok(proposal(replicas));
    }
    Ok(proposal(filled_in(question, &groups, measured, ratio, fill_unready)?))
}

/// The proposal when Pods without a figure are counted with an assumed one.
fn filled_in(
    question: &Question<'_>,
    groups: &Groups<'_>,
    measured: i64,
    ratio: f64,
    fill_unready: bool,
) -> Result<i32, String> {
    let unready = if fill_unready { groups.unready.as_slice() } else { &[] };
    let assumed = if ratio < 1.0 { assumed_full(question.goal, &groups.missing)? } else { 0 };
    let all = groups.ready.iter().map(|(pod, _)| *pod);
    let all = all.chain(groups.missing.iter().copied()).chain(unready.iter().copied());
    let filled = divide(measured.saturating_add(assumed), wanted(question.goal, all)?);
    let turns_around = (ratio < 1.0 && filled > 1.0) || (ratio > 1.0 && filled < 1.0);
    if within(question.rules, filled) || turns_around {
        return Ok(question.current_replicas);
    }
    let counted = count(groups.ready.len() + groups.missing.len() + unready.len());
    let replicas = round_up(filled * f64::from(counted));
    let against = (filled < 1.0 && replicas > question.current_replicas)
        || (filled > 1.0 && replicas < question.current_replicas);
    Ok(if against { question.current_replicas } else { replicas })
}

/// What missing Pods are taken to use when scaling down.
fn assumed_full(goal: Goal, missing: &[&PodView]) -> Result<i64, String> {
    let mut sum = 0i64;
    for pod in missing {
        sum = sum.saturating_add(match goal {
            Goal::Utilization(percent) => pod.request.clone()? * i64::from(percent.max(100)) / 100,
            Goal::AverageValue(milli) => milli,
        });
    }
    Ok(sum)
}

/// The use at which these Pods would be exactly on target.
fn wanted<'a>(goal: Goal, pods: impl Iterator<Item = &'a PodView>) -> Result<f64, String> {
    let mut sum = 0.0;
    for pod in pods {
        sum += match goal {
            Goal::Utilization(percent) => pod.request.clone()? as f64 * f64::from(percent) / 100.0,
            Goal::AverageValue(milli) => milli as f64,
        };
    }
    Ok(sum)
}

fn group<'a>(question: &Question<'a>) -> Groups<'a> {
    let mut groups = Groups::default();
    for pod in question.pods {
        if pod.deleting || pod.failed {
            continue;
        }
        if pod.pending {
            groups.unready.push(pod);
            continue;
        }
        let Some(reading) = question.readings.get(&pod.name) else {
            groups.missing.push(pod);
            continue;
        };
        if question.is_cpu && is_starting(pod, reading, question) {
            groups.unready.push(pod);
        } else {
            groups.ready.push((pod, reading.milli));
        }
    }
    groups
}

/// Whether a Pod's CPU figure still tells of its start rather than of its load.
fn is_starting(pod: &PodView, reading: &Reading, question: &Question<'_>) -> bool {
    let (Some(started), Some((is_ready, since))) = (pod.started, pod.ready) else { return true };
    if started + question.rules.cpu_initialization > question.now {
        return !is_ready || reading.time < since + reading.window;
    }
    !is_ready && started + question.rules.initial_readiness > since
}

fn within(rules: Rules, ratio: f64) -> bool {
    // A ratio is a quotient of doubles: the bound itself must not fall to its last bit.
    const SLACK: f64 = 1e-9;
    ratio >= 1.0 - rules.tolerance_down - SLACK && ratio <= 1.0 + rules.tolerance_up + SLACK
}

fn divide(measured: i64, wanted: f64) -> f64 {
    if wanted > 0.0 { measured as f64 / wanted } else { 0.0 }
}

fn round_up(replicas: f64) -> i32 {
    // 3.0000000001 is 3: the product of a quotient and its divisor.
    (replicas - 1e-9).ceil().clamp(0.0, f64::from(i32::MAX)) as i32
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
