//! A sawtooth load against both: what acts on each second must not turn around more
//! often than upstream's look each 15 s does on the same load.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{
    formula::{PodView, Question, Rules, propose},
    source::Reading,
};

/// Upstream's controller looks this often, and its metrics server averages over as long.
const LOOK: i64 = 15;

/// A load in thousandths of a core, each second.
#[derive(Debug, Clone)]
struct Load {
    least: f64,
    most: f64,
    period: i64,
    /// Rises over the period and falls at once, or the other way round.
    falls_slowly: bool,
    noise: f64,
}

impl Load {
    fn at(&self, second: i64) -> f64 {
        let part = second.rem_euclid(self.period) as f64 / self.period as f64;
        let part = if self.falls_slowly { 1.0 - part } else { part };
        // A generator of its own: the same noise for both.
        let hash = (second as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let noise = 1.0 + self.noise * (hash as f64 / f64::from(1 << 24) - 0.5);
        (self.least + (self.most - self.least) * part) * noise
    }

    fn over(&self, second: i64, window: i64) -> f64 {
        (second - window + 1..=second).map(|second| self.at(second)).sum::<f64>() / window as f64
    }
}

/// What half a core requested a Pod, and a target of half of it, asks for.
fn asks(load: f64, replicas: i32, now: i64) -> Proposal {
    let pod = |number: i32| PodView {
        name: format!("pod-{number}"),
        deleting: false,
        failed: false,
        pending: false,
        running: true,
        started: Some(-1_000_000 * SECOND),
        ready: Some((true, -1_000_000 * SECOND)),
        request: Ok(500),
    };
    let pods: Vec<_> = (0..replicas).map(pod).collect();
    let milli = (load / f64::from(replicas)) as i64;
    let reading = Reading { milli, time: now, window: SECOND };
    let readings: HashMap<_, _> = pods.iter().map(|pod| (pod.name.clone(), reading)).collect();
    let rules = Rules {
        tolerance_up: 0.1,
        tolerance_down: 0.1,
        cpu_initialization: 300 * SECOND,
        initial_readiness: 30 * SECOND,
    };
    let goal = Goal::Utilization(50);
    let (current_replicas, is_cpu) = (replicas, true);
    propose(&Question { current_replicas, goal, pods: &pods, readings: &readings, is_cpu, rules, now })
        .expect("a proposal")
}

/// How often the number of replicas turned around within `seconds`.
fn turns(mut replicas: i32, seconds: i64, mut step: impl FnMut(i64, i32) -> i32) -> usize {
    let (mut turns, mut direction) = (0, 0);
    for second in 0..seconds {
        let next = step(second, replicas);
        let now = (next - replicas).signum();
        if now != 0 && direction != 0 && now != direction {
            turns += 1;
        }
        direction = if now == 0 { direction } else { now };
        replicas = next;
    }
    turns
}

/// Ours, each second over a window of two, or as often and over as long as upstream.
fn decided_turns(load: &Load, spec: &Spec, every: i64, window: i64, seconds: i64) -> usize {
    let mut memory = Memory::default();
    turns(2, seconds, |second, replicas| {
        if second % every != 0 {
            return replicas;
        }
        let now = second * SECOND;
        let result = Ok(asks(load.over(second, window), replicas, now));
        let asked = [Asked { metric: Some(cpu()), result }];
        let next = decided(spec, replicas, &asked, &mut memory, now).decision.desired_replicas;
        memory.events.record(replicas, next, now);
        next
    })
}

/// Upstream without behaviour: the highest recommendation of five minutes, at most twice the
/// replicas or four.
fn upstream_turns(load: &Load, spec: &Spec, seconds: i64) -> usize {
    let mut recommendations: Vec<(i64, i32)> = vec![(0, 2)];
    turns(2, seconds, |second, replicas| {
        if second % LOOK != 0 {
            return replicas;
        }
        let asked = asks(load.over(second, LOOK), replicas, second * SECOND).replicas;
        recommendations.push((second, asked));
        let recent = recommendations.iter().filter(|(time, _)| *time > second - 300);
        let stable = recent.map(|(_, replicas)| *replicas).max().unwrap_or(asked);
        stable.clamp(spec.min, spec.max.min((2 * replicas).max(4)))
    })
}

fn with_windows(up: i64, down: i64) -> Spec {
    let spec: HorizontalPodAutoscalerSpec = serde_json::from_value(serde_json::json!({
        "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 40,
        "behavior": {
            "scaleUp": {"stabilizationWindowSeconds": up},
            "scaleDown": {"stabilizationWindowSeconds": down},
        },
    }))
    .expect("a spec");
    Spec::of(&spec)
}

#[test]
fn a_sawtooth_turns_it_around_no_more_often_than_upstream() {
    let spec = spec(1, 40);
    for period in [40, 70, 150, 290, 450, 900] {
        for falls_slowly in [false, true] {
            for noise in [0.0, 0.3] {
                let load = Load { least: 300.0, most: 4000.0, period, falls_slowly, noise };
                let (ours, theirs) =
                    (decided_turns(&load, &spec, 1, 2, 3600), upstream_turns(&load, &spec, 3600));
                assert!(ours <= theirs, "{load:?}: {ours} turns, upstream {theirs}");
            }
        }
    }
}

#[test]
fn nor_where_nothing_but_the_look_holds_it_back() {
    // With longer ones a load that comes and goes within them is followed here, where upstream's
    // mean hides most of it.
    for window in [0, 5] {
        let spec = with_windows(0, window);
        for period in [40, 70, 150, 290, 450, 900] {
            for noise in [0.0, 0.3] {
                let load = Load { least: 300.0, most: 4000.0, period, falls_slowly: false, noise };
                let ours = decided_turns(&load, &spec, 1, 2, 3600);
                let theirs = decided_turns(&load, &spec, LOOK, LOOK, 3600);
                // One more, where the hour ends between what the two see.
                assert!(ours <= theirs + 1, "{window} s, {load:?}: {ours} turns, upstream {theirs}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// More load at every moment never leaves fewer replicas wanted at the end of a steady while.
    #[test]
    fn a_heavier_steady_load_ends_with_no_fewer_replicas(load in 100.0f64..6000.0, more in 1.0f64..2.0) {
        let spec = spec(1, 40);
        let ends = |milli: f64| {
            let load = Load { least: milli, most: milli, period: 60, falls_slowly: false, noise: 0.0 };
            let (mut memory, mut replicas) = (Memory::default(), 1);
            for second in 0..700 {
                let asked = [Asked { metric: Some(cpu()), result: Ok(asks(load.at(second), replicas, second * SECOND)) }];
                let next = decided(&spec, replicas, &asked, &mut memory, second * SECOND).decision.desired_replicas;
                memory.events.record(replicas, next, second * SECOND);
                replicas = next;
            }
            replicas
        };
        prop_assert!(ends(load * more) >= ends(load));
    }

    /// With any behaviour and any proposals: within min and max, in the direction of what is
    /// stabilized, and no faster than a policy of Pods allows.
    #[test]
    fn any_behaviour_holds_its_rules(
        up in 0i64..120,
        down in 0i64..400,
        pods in 1i32..6,
        proposals in prop::collection::vec((0i32..60, 1i64..40), 1..60),
    ) {
        let mut spec = with_windows(up, down);
        for direction in [&mut spec.up, &mut spec.down] {
            direction.policies =
                vec![crate::spec::Policy { measure: crate::spec::Measure::Pods, value: pods, period: 60 * SECOND }];
        }
        let (mut memory, mut current, mut now) = (Memory::default(), 5, 0);
        let mut changes: Vec<(i64, i32)> = Vec::new();
        for (wanted, seconds) in proposals {
            now += seconds * SECOND;
            let decision = decided(&spec, current, &[wants(wanted)], &mut memory, now).decision;
            let (desired, stabilized) = (decision.desired_replicas, decision.stabilized_replicas);
            prop_assert!((spec.min..=spec.max).contains(&desired));
            prop_assert!((desired - current).signum() * (stabilized - current).signum() >= 0);
            memory.events.record(current, desired, now);
            changes.push((now, desired - current));
            let within: i32 = changes.iter().filter(|(time, _)| *time > now - 60 * SECOND).map(|(_, by)| by).sum();
            // Measured from the replicas at the start of the minute, when something is changed.
            let change = (desired - current).signum();
            prop_assert!(change * within <= pods, "{within} in a minute");
            current = desired;
        }
    }
}
