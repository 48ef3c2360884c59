//! One autoscaler's decision: each metric's proposal, then stabilization,
//! policies and limits. Values in, values out; the caller reads and writes.

use tiphys_api::decisions::Decision;

use crate::{
    behaviour::{Events, limited},
    conditions::{self, Condition},
    course::Course,
    formula::Proposal,
    spec::{Metric, Spec},
    stabilize::{History, Windows},
    trouble::Trouble,
    wording, words,
};

/// What is remembered of an autoscaler between decisions.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// What the newest figures asked for, within the window of going up.
    pub history: History,
    pub events: Events,
    pub course: Course,
}

impl Memory {
    /// The clock was set by so much: what is remembered is as old as it was.
    pub fn shift(&mut self, by: i64) {
        self.history.shift(by);
        self.events.shift(by);
        self.course.shift(by);
    }
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
    /// The same over a quarter of a minute, where [`Course::is_due`].
    pub slow: Option<&'a [Asked]>,
    /// The target's selector can't be used; no metric was asked then.
    pub blocked: Option<Trouble>,
    /// What the same hours of past days ask for.
    pub forecast: Option<i32>,
    /// The autoscaler itself took the target's last replica.
    pub scaled_to_zero: bool,
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

const ABOVE: &str = "Current number of replicas above Spec.MaxReplicas";
const BELOW: &str = "Current number of replicas below Spec.MinReplicas";

/// Decides the number of replicas and says why.
pub fn decide(look: &Look<'_>, memory: &mut Memory) -> Verdict {
    memory.course.find(look.current, look.now);
    let verdict = decided(look, memory);
    memory.course.go(verdict.decision.desired_replicas, look.now);
    verdict
}

fn decided(look: &Look<'_>, memory: &mut Memory) -> Verdict {
    let Look { spec, current, now, .. } = *look;
    let mut verdict = begin(look);
    let because = match (current, spec.min) {
        (0, _) if !spec.wakes(look.scaled_to_zero) => {
            verdict.conditions.push(conditions::disabled());
            return finish(
                verdict,
                current,
                "disabled",
                "the target has 0 replicas, which switches the autoscaler off",
            );
        }
        (0, _) => None,
        (current, _) if current > spec.max => Some((spec.max, "maxReplicas", ABOVE)),
        (current, min) if current < min => Some((min, "minReplicas", BELOW)),
        _ => None,
    };
    if let Some((desired, limit, side)) = because {
        verdict.because = side.to_owned();
        verdict.decision.proposed_replicas = desired;
        verdict.decision.stabilized_replicas = desired;
        return finish(verdict, desired, limit, &format!("current number of replicas is outside {limit}"));
    }
    memory.history.begin(current, now);
    if let Some(slow) = look.slow {
        let proposed = highest_at(slow, look, memory.course.replicas());
        memory.course.look(spec, proposed, now);
    }
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
                // Where all ask for none, upstream names the last.
                if best.is_none_or(|(_, found)| found.replicas == 0 || proposal.replicas > found.replicas) {
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

/// The highest proposal of figures over a look, where another number of replicas than the present
/// one would be there.
fn highest_at(slow: &[Asked], look: &Look<'_>, replicas: i32) -> Option<i32> {
    let tolerance = (look.spec.up.tolerance, look.spec.down.tolerance);
    let of = |asked: &Asked| {
        let (metric, proposal) = (asked.metric.as_ref()?, asked.result.as_ref().ok()?);
        Some(if replicas == look.current {
            proposal.replicas
        } else {
            proposal.at(replicas, metric.goal, tolerance)
        })
    };
    let highest = slow.iter().filter_map(of).max()?;
    let all = slow.iter().all(|asked| asked.result.is_ok());
    Some(if all { highest } else { highest.max(replicas) }.max(look.forecast.unwrap_or(0)))
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
    let windows = Windows { up: spec.up.window, down: 0 };
    let (steady, rises) = memory.history.stabilize(current, proposed, windows, now);
    let stabilized = memory.course.follow(spec, current, steady, look.slow.is_some(), now);
    verdict.conditions.push(conditions::stabilized(stabilized, proposed, current));
    let (desired, limit, policy) = limited(spec, stabilized, current, &memory.events, now);
    verdict.conditions.push(conditions::limited(limit));
    // It had taken them all, and then its minimum was raised.
    let (desired, limit) = if current == 0 && desired < spec.min {
        if proposed == 0 {
            BELOW.clone_into(&mut verdict.because);
        }
        (spec.min, "minReplicas")
    } else {
        (desired, limit)
    };
    verdict.decision.proposed_replicas = proposed;
    verdict.decision.stabilized_replicas = stabilized;
    let limit = match limit {
        "" if stabilized != proposed => "stabilization",
        "" if proposed == current && tolerated(look.asked) => "tolerance",
        limit => limit,
    };
    verdict.decision.held_until = match limit {
        "stabilization" if proposed < current => Some(memory.course.until(spec, proposed, now)),
        "stabilization" => rises,
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
