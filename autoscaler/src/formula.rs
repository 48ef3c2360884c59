//! The formula: how many replicas one metric asks for.
//!
//! `ceil(replicas * current / target)`, with upstream's rules for Pods that are
//! not ready, not measured or going away: a missing Pod counts as having what it
//! asked for when scaling down and nothing when scaling up, an unready one as
//! nothing when scaling up; what would turn the direction around changes
//! nothing. Utilization is whole percent, cut off, as upstream computes it.
//! Figures of objects and of the outside are in [`whole`]. Source:
//! `pkg/controller/podautoscaler/replica_calculator.go` and the algorithm's page
//! in the Kubernetes documentation.

mod whole;

use std::collections::HashMap;

use tiphys_api::ways::Ways;

use crate::source::Reading;
pub use whole::Whole;

/// A Pod as the formula sees it. Times in microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct PodView {
    pub name: String,
    pub deleting: bool,
    /// It has succeeded or failed, and runs no more.
    pub ended: bool,
    pub pending: bool,
    pub running: bool,
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
    /// Thousandths in all.
    Value(i64),
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

impl Rules {
    fn tolerance(self) -> (f64, f64) {
        (self.tolerance_up, self.tolerance_down)
    }
}

/// What one metric asks for, and from what.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proposal {
    pub replicas: i32,
    /// The same before tolerance, cut off percents and rounding.
    pub exact: f64,
    /// Current use over target, before Pods without figures were filled in.
    pub ratio: f64,
    /// Percent of the requests, where the goal is one.
    pub utilization: Option<i32>,
    /// Thousandths a measured Pod; of a figure that no Pods have, a replica.
    pub average: i64,
    /// Thousandths in all, where the goal is a value.
    pub value: Option<i64>,
    pub counted: i32,
    /// Pods without a figure, by name.
    pub missing: Vec<String>,
    /// Pods that start or are not ready, by name.
    pub unready: Vec<String>,
    /// Whether the ratio, as it counted in the end, was within the tolerance.
    pub tolerated: bool,
    /// By which ways the figures came.
    pub ways: Ways,
}

impl Proposal {
    /// What the same load asks for where there are `replicas` to share it.
    pub fn at(&self, replicas: i32, goal: Goal, (tolerance_up, tolerance_down): (f64, f64)) -> i32 {
        let shared = f64::from(replicas);
        if replicas == 0 {
            return round_up(self.exact);
        }
        let ratio = match goal {
            Goal::Utilization(percent) => {
                let percent = f64::from(percent);
                (self.exact / shared * percent + 1e-9).floor() / percent
            }
            Goal::AverageValue(_) | Goal::Value(_) => self.exact / shared,
        };
        if within((tolerance_up, tolerance_down), ratio) { replicas } else { round_up(ratio * shared) }
    }
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

/// Use added up over Pods.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    measured: i128,
    requested: i128,
    pods: i32,
}

impl Sum {
    fn add(&mut self, pod: &PodView, milli: i64) {
        self.measured += i128::from(milli);
        self.requested += i128::from(*pod.request.as_ref().unwrap_or(&0));
        self.pods = self.pods.saturating_add(1);
    }

    /// Whole percent of the requests.
    fn utilization(self) -> i32 {
        if self.requested == 0 {
            return 0;
        }
        i32::try_from(self.measured * 100 / self.requested).unwrap_or(i32::MAX)
    }

    fn average(self) -> i64 {
        i64::try_from(self.measured / i128::from(self.pods.max(1))).unwrap_or(i64::MAX)
    }

    /// How many replicas would be exactly on target.
    fn exact(self, goal: Goal) -> f64 {
        let pods = f64::from(self.pods);
        match goal {
            Goal::Utilization(percent) => {
                let target = self.requested as f64 * f64::from(percent) / 100.0;
                pods * divide(self.measured as f64, target)
            }
            Goal::AverageValue(milli) | Goal::Value(milli) => divide(self.measured as f64, milli as f64),
        }
    }

    fn ratio(self, goal: Goal) -> f64 {
        match goal {
            Goal::Utilization(percent) => divide(f64::from(self.utilization()), f64::from(percent)),
            Goal::AverageValue(milli) | Goal::Value(milli) => divide(self.average() as f64, milli as f64),
        }
    }
}

/// The number of replicas that this metric of Pods asks for.
///
/// # Errors
/// No Pod has a figure, or a request that utilization needs is missing; a sentence for conditions and rows.
pub fn propose(question: &Question<'_>) -> Result<Proposal, String> {
    if question.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = group(question);
    // Before requests are looked at, as upstream tells it.
    if groups.ready.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    if matches!(question.goal, Goal::Utilization(_)) {
        question.pods.iter().try_for_each(|pod| pod.request.clone().map(drop))?;
    }
    let mut sum = Sum::default();
    groups.ready.iter().for_each(|(pod, milli)| sum.add(pod, *milli));
    if matches!(question.goal, Goal::Utilization(_)) && sum.requested == 0 {
        return Err("no metrics returned matched known pods".to_owned());
    }
    let ratio = sum.ratio(question.goal);
    let names = |pods: &[&PodView]| pods.iter().map(|pod| pod.name.clone()).collect();
    let ways = question.readings.values().fold(Ways::default(), |ways, reading| ways.and(reading.ways));
    let (replicas, tolerated, exact) = replicas(question, &groups, sum, ratio);
    Ok(Proposal {
        replicas,
        exact,
        ratio,
        utilization: matches!(question.goal, Goal::Utilization(_)).then(|| sum.utilization()),
        average: sum.average(),
        value: None,
        counted: sum.pods,
        missing: names(&groups.missing),
        unready: names(&groups.unready),
        tolerated,
        ways,
    })
}

/// The proposal, whether tolerance made it, and what it is exactly; Pods without a figure count with
/// an assumed one.
fn replicas(question: &Question<'_>, groups: &Groups<'_>, measured: Sum, ratio: f64) -> (i32, bool, f64) {
    let current = question.current_replicas;
    let fill_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !fill_unready && groups.missing.is_empty() {
        let tolerated = within(question.rules.tolerance(), ratio);
        let replicas = if tolerated { current } else { round_up(ratio * f64::from(measured.pods)) };
        return (replicas, tolerated, measured.exact(question.goal));
    }
    // Upstream lets a missing Pod lower the count where the measured ones are exactly on target.
    if within((0.0, 0.0), ratio) {
        return (current, true, f64::from(current));
    }
    let mut filled = measured;
    for pod in &groups.missing {
        filled.add(pod, if ratio < 1.0 { assumed_full(question.goal, pod) } else { 0 });
    }
    if fill_unready {
        groups.unready.iter().for_each(|pod| filled.add(pod, 0));
    }
    let after = filled.ratio(question.goal);
    if within(question.rules.tolerance(), after) {
        return (current, true, filled.exact(question.goal));
    }
    let turns_around = (ratio < 1.0 && after > 1.0) || (ratio > 1.0 && after < 1.0);
    let replicas = round_up(after * f64::from(filled.pods));
    let against = (after < 1.0 && replicas > current) || (after > 1.0 && replicas < current);
    if turns_around || against {
        return (current, false, f64::from(current));
    }
    (replicas, false, filled.exact(question.goal))
}

/// What a missing Pod is taken to use when scaling down.
fn assumed_full(goal: Goal, pod: &PodView) -> i64 {
    match goal {
        Goal::Utilization(percent) => {
            let request = i128::from(*pod.request.as_ref().unwrap_or(&0));
            i64::try_from(request * i128::from(percent.max(100)) / 100).unwrap_or(i64::MAX)
        }
        Goal::AverageValue(milli) | Goal::Value(milli) => milli,
    }
}

fn group<'a>(question: &Question<'a>) -> Groups<'a> {
    let mut groups = Groups::default();
    for pod in question.pods {
        if pod.deleting || pod.ended {
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
    // What started at a time that is far from being reached, started before the clock was set back.
    if (question.now - started).abs() < question.rules.cpu_initialization {
        return !is_ready || reading.time < since + reading.window;
    }
    !is_ready && started + question.rules.initial_readiness > since
}

/// Whether a ratio is within the tolerances above and below.
fn within((up, down): (f64, f64), ratio: f64) -> bool {
    // A ratio is a quotient of doubles: the bound itself must not fall to its last bit.
    const SLACK: f64 = 1e-9;
    ratio >= 1.0 - down - SLACK && ratio <= 1.0 + up + SLACK
}

fn divide(measured: f64, wanted: f64) -> f64 {
    if wanted > 0.0 { measured / wanted } else { 0.0 }
}

fn round_up(replicas: f64) -> i32 {
    // 3.0000000001 is 3: the product of a quotient and its divisor.
    (replicas - 1e-9).ceil().clamp(0.0, f64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests;
