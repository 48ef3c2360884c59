//! One autoscaler's decision: each metric's proposal, then stabilization,
//! policies and limits. Values in, values out; the caller reads and writes.

use std::cmp::Ordering;

use tiphys_api::decisions::Decision;

use crate::{
    behaviour::{Events, Limit, limit_down, limit_up},
    conditions::{self, Condition},
    formula::Proposal,
    spec::{Metric, Spec},
    stabilize::{History, Windows},
    trouble::Trouble,
    wording, words,
};

/// Upstream looks each 15 s. Who looks more often waits as long before going down, so that
/// acting sooner does not mean turning around more often.
const LEAST_DOWN: i64 = 15 * 1_000_000;

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
    pub result: Result<Proposal, Trouble>,
}

/// What a decision is made from.
pub struct Look<'a> {
    pub spec: &'a Spec,
    /// `spec.replicas` of the target's scale.
    pub current: i32,
    pub asked: &'a [Asked],
    /// The target's selector can't be used; no metric was asked then.
    pub blocked: Option<Trouble>,
    /// What the same hours of past days ask for.
    pub forecast: Option<i32>,
    pub now: i64,
}

/// What was decided, and how it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub decision: Decision,
    pub conditions: Vec<Condition>,
    /// Reason and sentence of each Warning event.
    pub warnings: Vec<(&'static str, String)>,
    /// Why it rescales, in upstream's words.
    pub because: String,
    /// Whether the status's numbers are to be left as they are.
    pub failed: bool,
}

/// Decides the number of replicas and says why.
pub fn decide(look: &Look<'_>, memory: &mut Memory) -> Verdict {
    let Look { spec, current, now, .. } = *look;
    let mut verdict = begin(look);
    let because = match (current, spec.min) {
        (0, min) if min != 0 => {
            verdict.conditions.push(conditions::disabled());
            return finish(
                verdict,
                current,
                "disabled",
                "the target has 0 replicas, which switches the autoscaler off",
            );
        }
        (current, _) if current > spec.max => Some((spec.max, "maxReplicas", "above Spec.MaxReplicas")),
        (current, min) if current < min => Some((min, "minReplicas", "below Spec.MinReplicas")),
        _ => None,
    };
    if let Some((desired, limit, side)) = because {
        verdict.because = format!("Current number of replicas {side}");
        verdict.decision.proposed_replicas = desired;
        verdict.decision.stabilized_replicas = desired;
        return finish(verdict, desired, limit, &format!("current number of replicas is outside {limit}"));
    }
    memory.history.begin(current, now);
    let (proposed, because) = match highest(look, &mut verdict) {
        Ok(highest) => highest,
        Err(failure) => {
            verdict.failed = true;
            verdict.decision.failure.clone_from(&failure);
            verdict.decision.proposed_replicas = current;
            verdict.decision.stabilized_replicas = current;
            verdict.warnings.push(("FailedComputeMetricsReplicas", failure.clone()));
            return finish(verdict, current, "failure", &failure);
        }
    };
    settle(look, verdict, proposed, &because, memory)
}

fn begin(look: &Look<'_>) -> Verdict {
    let Look { spec, asked, .. } = look;
    let decision = Decision {
        time: look.now,
        current_replicas: look.current,
        min_replicas: spec.min,
        max_replicas: spec.max,
        metrics: asked.iter().map(words::reading).collect(),
        tolerance_up: spec.up.tolerance,
        tolerance_down: spec.down.tolerance,
        forecast: look.forecast,
        ..Decision::default()
    };
    Verdict {
        decision,
        conditions: vec![conditions::scale_was_read()],
        warnings: Vec::new(),
        because: String::new(),
        failed: false,
    }
}

/// The highest proposal, and why. One that scales down counts only if every metric could be read.
fn highest(look: &Look<'_>, verdict: &mut Verdict) -> Result<(i32, String), String> {
    if let Some(trouble) = &look.blocked {
        verdict.conditions.push(conditions::inactive(trouble.reason, trouble.message.clone()));
        let event = if trouble.wrapped == trouble.message { trouble.reason } else { "SelectorRequired" };
        verdict.warnings.push((event, trouble.wrapped.clone()));
        return Err(trouble.wrapped.clone());
    }
    let mut best: Option<(&Metric, &Proposal)> = None;
    let mut troubles = Vec::new();
    for asked in look.asked {
        match (&asked.metric, &asked.result) {
            (Some(metric), Ok(proposal)) => {
                if best.is_none_or(|(_, found)| proposal.replicas > found.replicas) {
                    best = Some((metric, proposal));
                }
            }
            (_, Err(trouble)) => troubles.push(trouble),
            (None, Ok(_)) => {}
        }
    }
    verdict.warnings.extend(troubles.iter().map(|trouble| (trouble.reason, trouble.message.clone())));
    let failure = troubles.first().map(|first| {
        let (wrong, all) = (troubles.len(), look.asked.len());
        format!("invalid metrics ({wrong} invalid out of {all}), first error is: {}", first.wrapped)
    });
    match (best, failure) {
        (Some((metric, proposal)), failure) if failure.is_none() || proposal.replicas >= look.current => {
            verdict.conditions.push(conditions::active(&wording::of(metric)));
            verdict.because = format!("{} above target", wording::of(metric));
            verdict.decision.failure = failure.unwrap_or_default();
            Ok((proposal.replicas, words::sentence(metric, proposal)))
        }
        (_, failure) => {
            if let Some(first) = troubles.first() {
                verdict.conditions.push(conditions::unable(first));
            }
            Err(failure.unwrap_or_else(|| "no metric is named".to_owned()))
        }
    }
}

/// From what the metrics ask for to what is done.
fn settle(look: &Look<'_>, mut verdict: Verdict, asked: i32, because: &str, memory: &mut Memory) -> Verdict {
    let Look { spec, current, now, .. } = *look;
    let mut because = because.to_owned();
    let mut proposed = asked;
    if let Some(forecast) = look.forecast.filter(|forecast| *forecast > asked) {
        proposed = forecast;
        because = format!("the same hours of past days asked for {forecast}; now {because}");
        verdict.because = "forecast from past days above target".to_owned();
    }
    if proposed < current {
        verdict.because = "All metrics below target".to_owned();
    }
    let windows = Windows { up: spec.up.window, down: spec.down.window.max(LEAST_DOWN) };
    let (stabilized, stable_until) = memory.history.stabilize(current, proposed, windows, now);
    verdict.conditions.push(conditions::stabilized(stabilized, proposed, current));
    let (desired, limit, policy) = limited(look, stabilized, memory);
    verdict.conditions.push(conditions::limited(limit));
    verdict.decision.proposed_replicas = proposed;
    verdict.decision.stabilized_replicas = stabilized;
    let limit = match limit {
        "" if stabilized != proposed => "stabilization",
        "" if proposed == current && tolerated(look.asked) => "tolerance",
        limit => limit,
    };
    verdict.decision.held_until = match limit {
        "stabilization" => stable_until,
        "scaleUpPolicy" | "scaleDownPolicy" => {
            // A change made now counts from now on.
            let period = if desired == current { None } else { shortest(spec, desired > current) };
            policy.until.or(period.map(|period| now + period))
        }
        _ => None,
    };
    if matches!(limit, "scaleUpPolicy" | "scaleDownPolicy") {
        verdict.decision.policy = policy.policy;
    }
    finish(verdict, desired, limit, &because)
}

fn shortest(spec: &Spec, up: bool) -> Option<i64> {
    let direction = if up { &spec.up } else { &spec.down };
    direction.policies.iter().map(|policy| policy.period).min().or(Some(15_000_000))
}

fn limited(look: &Look<'_>, wanted: i32, memory: &Memory) -> (i32, &'static str, Limit) {
    let Look { spec, current, now, .. } = *look;
    match wanted.cmp(&current) {
        Ordering::Greater => {
            let policy = limit_up(&spec.up, &memory.events, current, now);
            let (most, limit) = if policy.replicas < spec.max {
                (policy.replicas, "scaleUpPolicy")
            } else {
                (spec.max, "maxReplicas")
            };
            if wanted > most { (most.max(current), limit, policy) } else { (wanted, "", policy) }
        }
        Ordering::Less => {
            let policy = limit_down(&spec.down, &memory.events, current, now);
            let (fewest, limit) = if policy.replicas > spec.min {
                (policy.replicas, "scaleDownPolicy")
            } else {
                (spec.min, "minReplicas")
            };
            if wanted < fewest { (fewest.min(current), limit, policy) } else { (wanted, "", policy) }
        }
        Ordering::Equal => (wanted, "", Limit::default()),
    }
}

/// Whether a metric would have asked for a change, had its ratio been outside the tolerance.
fn tolerated(asked: &[Asked]) -> bool {
    let off_target = |proposal: &Proposal| proposal.tolerated && (proposal.ratio - 1.0).abs() > 1e-9;
    asked.iter().any(|asked| asked.result.as_ref().is_ok_and(off_target))
}

fn finish(mut verdict: Verdict, desired: i32, limit: &str, because: &str) -> Verdict {
    let decision = &mut verdict.decision;
    decision.desired_replicas = desired;
    limit.clone_into(&mut decision.limited_by);
    decision.reason = words::reason(decision, because);
    verdict
}

#[cfg(test)]
mod tests;
