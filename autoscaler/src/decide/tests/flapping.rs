//! A sawtooth load against both: what acts on each second must not turn around more
//! often than upstream's look each 15 s does on the same load.

use std::collections::HashMap;

use proptest::prelude::*;
use tiphys_api::ways::Ways;

use super::*;
use crate::{
    controller::Config,
    formula::{PodView, Question, Rules, Whole, propose},
    source::Reading,
};

/// Upstream's controller looks this often, and its metrics server averages over as long.
const LOOK: i64 = 15;

/// A load in thousandths, each second.
#[derive(Debug, Clone)]
struct Load {
    least: f64,
    most: f64,
    period: i64,
    shape: Shape,
    noise: f64,
    /// Where in its period it begins, and which noise it has.
    seed: i64,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    RisesSlowly,
    FallsSlowly,
    BothSlowly,
    Steps,
}

use Shape::{BothSlowly, FallsSlowly, RisesSlowly, Steps};

impl Load {
    fn steady(milli: f64) -> Self {
        Self { least: milli, most: milli, period: 60, shape: Steps, noise: 0.0, seed: 0 }
    }

    fn at(&self, second: i64) -> f64 {
        let part = (second + self.seed).rem_euclid(self.period) as f64 / self.period as f64;
        let part = match self.shape {
            RisesSlowly => part,
            FallsSlowly => 1.0 - part,
            BothSlowly => 1.0 - (2.0 * part - 1.0).abs(),
            Steps => f64::from(u8::from(part < 0.5)),
        };
        // A generator of its own: the same noise for both.
        let hash = ((second + self.seed) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let noise = 1.0 + self.noise * (hash as f64 / f64::from(1 << 24) - 0.5);
        (self.least + (self.most - self.least) * part) * noise
    }

    fn over(&self, second: i64, window: i64) -> f64 {
        (second - window + 1..=second).map(|second| self.at(second)).sum::<f64>() / window as f64
    }
}

/// What a load asks for where some replicas share it.
type Asks = fn(f64, i32) -> Asked;

/// As CPU of Pods that request half a core each, with a target of half of it.
fn as_cpu(load: f64, replicas: i32) -> Asked {
    let pod = |number: i32| PodView {
        name: format!("pod-{number}"),
        deleting: false,
        ended: false,
        pending: false,
        running: true,
        started: Some(-1_000_000 * SECOND),
        ready: Some((true, -1_000_000 * SECOND)),
        request: Ok(500),
    };
    let pods: Vec<_> = (0..replicas).map(pod).collect();
    let (each, more) = (load as i64 / i64::from(replicas), load as i64 % i64::from(replicas));
    let reading = |number: i64| {
        let milli = each + i64::from(number < more);
        Reading { milli, time: 0, window: SECOND, ways: Ways::default() }
    };
    let readings = (0..).zip(&pods).map(|(number, pod)| (pod.name.clone(), reading(number)));
    let readings: HashMap<_, _> = readings.collect();
    let (current_replicas, is_cpu, now, goal) = (replicas, true, 0, Goal::Utilization(50));
    let question =
        Question { current_replicas, goal, pods: &pods, readings: &readings, is_cpu, rules: RULES, now };
    Asked { metric: Some(cpu()), result: Ok(propose(&question).expect("a proposal")) }
}

/// As a figure of the outside, 0.25 of it a replica.
fn as_external(load: f64, replicas: i32) -> Asked {
    let whole = Whole {
        total: load as i64,
        current_replicas: replicas,
        status_replicas: replicas,
        pods: &[],
        rules: RULES,
        ways: Ways::default(),
    };
    let metric = Metric { goal: Goal::AverageValue(250), ..cpu() };
    Asked { metric: Some(metric), result: Ok(whole.propose_average(250)) }
}

const RULES: Rules = Rules {
    tolerance_up: 0.1,
    tolerance_down: 0.1,
    cpu_initialization: 300 * SECOND,
    initial_readiness: 30 * SECOND,
};

/// How the number of replicas went.
#[derive(Debug, Default, Clone, Copy)]
struct Turns {
    all: usize,
    /// Those after which it went down.
    falls: usize,
}

/// The number of replicas at the start, two, and at each second.
fn course(seconds: i64, mut step: impl FnMut(i64, i32) -> i32) -> Vec<i32> {
    let next = |replicas: &mut i32, second| {
        *replicas = step(second, *replicas);
        Some(*replicas)
    };
    std::iter::once(2).chain((0..seconds).scan(2, next)).collect()
}

fn turns(course: &[i32]) -> Turns {
    let (mut turns, mut direction) = (Turns::default(), 0);
    for pair in course.windows(2) {
        let now = (pair[1] - pair[0]).signum();
        if now != 0 && direction != 0 && now != direction {
            turns.all += 1;
        }
        if now < 0 && direction >= 0 {
            turns.falls += 1;
        }
        direction = if now == 0 { direction } else { now };
    }
    turns
}

/// Ours: each second over two, and what the course needs.
fn ours(load: &Load, spec: &Spec, asks: Asks, seconds: i64) -> Vec<i32> {
    let mut memory = Memory::default();
    course(seconds, |second, current| {
        let now = second * SECOND;
        let asked = [asks(load.over(second, 2), current)];
        let slow = memory.course.is_due(now).then(|| [asks(load.over(second, LOOK), current)]);
        let slow = slow.as_ref().map(<[Asked; 1]>::as_slice);
        let look = Look { slow, now, ..look(spec, current, &asked) };
        let next = decide(&look, &mut memory).decision.desired_replicas;
        memory.events.record(current, next, now);
        next
    })
}

/// Upstream's controller, as `horizontal.go` has it: a look each 15 s.
///
/// Without behaviour the highest recommendation of five minutes counts, and a look at most doubles
/// the replicas or makes four. With it, a window for each direction, and a policy (4 Pods or 100 %
/// up, 100 % down, within 15 s) that counts what was changed in its period.
fn upstreams(
    load: &Load,
    windows: Option<(i64, i64)>,
    (min, max): (i32, i32),
    asks: Asks,
    seconds: i64,
) -> Vec<i32> {
    let mut recommendations: Vec<(i64, i32)> = vec![(0, 2)];
    let mut changes: Vec<(i64, i32)> = Vec::new();
    course(seconds, |second, current| {
        if second % LOOK != 0 {
            return current;
        }
        let wanted = asks(load.over(second, LOOK), current).result.expect("a proposal").replicas;
        recommendations.push((second, wanted));
        let within = |window: i64| {
            let recent = recommendations.iter().filter(move |(time, _)| *time > second - window);
            recent.map(|(_, replicas)| *replicas).chain([wanted])
        };
        let Some((up, down)) = windows else {
            let stable = within(300).max().unwrap_or(wanted);
            return stable.max(min).min(max.min((2 * current).max(4)));
        };
        let lowest = within(up).min().unwrap_or(wanted);
        let highest = within(down).max().unwrap_or(wanted);
        let stable = current.max(lowest).min(highest);
        let recent = changes.iter().filter(|(time, _)| *time > second - 15);
        let start = current - recent.map(|(_, change)| change).sum::<i32>();
        let next = stable.max(min).min(max).min((start + 4).max(2 * start).max(current));
        changes.push((second, next - current));
        next
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
    Spec::of(&spec, &Config::default())
}

/// We fall no more often than upstream does, but for one peak that it did not see; and a rise that
/// it is yet to see may be ahead of it.
fn is_calmer(ours: Turns, theirs: Turns) -> bool {
    ours.falls <= theirs.falls + 1 && ours.all <= theirs.all + 3
}

fn compared(load: &Load, windows: Option<(i64, i64)>, asks: Asks, seconds: i64) -> (Turns, Turns) {
    let spec = windows.map_or_else(|| spec(1, 40), |(up, down)| with_windows(up, down));
    let ours = turns(&ours(load, &spec, asks, seconds));
    (ours, turns(&upstreams(load, windows, (1, 40), asks, seconds)))
}

#[test]
fn a_sawtooth_of_cpu_turns_it_around_no_more_often_than_upstream() {
    for (period, shape) in [
        (40, RisesSlowly),
        (70, FallsSlowly),
        (150, Steps),
        (290, BothSlowly),
        (47, FallsSlowly),
        (600, RisesSlowly),
    ] {
        for windows in [None, Some((0, 0)), Some((0, 30))] {
            for noise in [0.0, 0.3] {
                let load = Load { least: 300.0, most: 4000.0, period, shape, noise, seed: 7 };
                let (ours, theirs) = compared(&load, windows, as_cpu, 1200);
                assert!(is_calmer(ours, theirs), "{windows:?} {load:?}: {ours:?}, upstream {theirs:?}");
            }
        }
    }
}

fn loads() -> impl Strategy<Value = Load> {
    let period = prop_oneof![5i64..60, 5i64..600, (1i64..40).prop_map(|looks| looks * LOOK)];
    let shape = prop::sample::select(&[RisesSlowly, FallsSlowly, BothSlowly, Steps]);
    let noise = prop_oneof![Just(0.0), 0.0..0.4f64];
    (100.0..3000.0f64, 1.05..8.0f64, period, shape, noise, 0i64..10_000).prop_map(
        |(least, times, period, shape, noise, seed)| Load {
            least,
            most: least * times,
            period,
            shape,
            noise,
            seed,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_load_that_comes_and_goes_turns_it_around_more_often_than_upstream(
        load in loads(),
        windows in prop::sample::select(&[None, Some(0), Some(15), Some(30), Some(60), Some(300)]),
    ) {
        let windows = windows.map(|down| (0, down));
        let (ours, theirs) = compared(&load, windows, as_external, 3600);
        prop_assert!(is_calmer(ours, theirs), "{windows:?}: {ours:?}, upstream {theirs:?}");
    }

    /// Whatever was before, a step is answered by the second sample that has it.
    #[test]
    fn a_step_is_answered_by_the_second_sample(
        before in loads(),
        times in 1.5..4.0f64,
        at in 600i64..700,
        window in prop::sample::select(&[0, 30, 300]),
    ) {
        let (spec, mut memory, mut current) = (with_windows(0, window), Memory::default(), 2);
        // It comes and goes, then it is steady for so long that it is covered, then the step.
        let most = Load { seed: 0, ..Load::steady(before.most.min(2000.0)) };
        let load = |second: i64| match second {
            second if second < 300 => before.over(second, 2).min(2000.0),
            second if second < at => most.at(second),
            second if second == at => most.at(second) * (1.0 + times) / 2.0,
            _ => most.at(second) * times,
        };
        let mut answered = None;
        for second in 0..=at + 1 {
            let now = second * SECOND;
            let asked = [as_external(load(second), current)];
            let slow = memory.course.is_due(now).then_some(asked.as_slice());
            let look = Look { slow, now, ..look(&spec, current, &asked) };
            let next = decide(&look, &mut memory).decision.desired_replicas;
            memory.events.record(current, next, now);
            if second >= at && next > current && answered.is_none() {
                answered = Some(second - at);
            }
            current = next;
        }
        // Peaks of before may have left enough for the step as well.
        let covered = as_external(load(at + 1), current).result.expect("a proposal").replicas <= current;
        prop_assert!(answered.is_some() || covered, "{current} replicas");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// More load at every moment never leaves fewer replicas wanted at the end of a steady while.
    #[test]
    fn a_heavier_steady_load_ends_with_no_fewer_replicas(load in 100.0f64..6000.0, more in 1.0f64..2.0) {
        let spec = spec(1, 40);
        let ends = |milli: f64| {
            let load = Load::steady(milli);
            let (mut memory, mut replicas) = (Memory::default(), 1);
            for second in 0..700 {
                let asked = [as_cpu(load.at(second), replicas)];
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
