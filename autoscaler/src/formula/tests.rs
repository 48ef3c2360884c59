//! The formula as tables, and what must hold for any load.

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;
const NOW: i64 = 10_000 * SECOND;

fn rules() -> Rules {
    Rules {
        tolerance_up: 0.1,
        tolerance_down: 0.1,
        cpu_initialization: 300 * SECOND,
        initial_readiness: 30 * SECOND,
    }
}

/// A Pod that has long been ready and requests a core.
fn pod(number: usize) -> PodView {
    PodView {
        name: format!("pod-{number}"),
        deleting: false,
        ended: false,
        pending: false,
        running: true,
        started: Some(0),
        ready: Some((true, SECOND)),
        request: Ok(1000),
    }
}

fn reading(milli: i64) -> Reading {
    Reading { milli, time: NOW, window: SECOND, ways: Ways::default() }
}

/// Pods with these figures (`None`: not measured), asked for `percent` of their request.
fn ask(
    current: i32,
    percent: i32,
    loads: &[Option<i64>],
    change: impl Fn(usize, &mut PodView),
) -> Result<Proposal, String> {
    let mut pods: Vec<_> = (0..loads.len()).map(pod).collect();
    pods.iter_mut().enumerate().for_each(|(number, pod)| change(number, pod));
    let readings = loads
        .iter()
        .enumerate()
        .filter_map(|(number, load)| Some((format!("pod-{number}"), reading((*load)?))))
        .collect();
    propose(&Question {
        current_replicas: current,
        goal: Goal::Utilization(percent),
        pods: &pods,
        readings: &readings,
        is_cpu: true,
        rules: rules(),
        now: NOW,
    })
}

fn replicas(current: i32, percent: i32, loads: &[Option<i64>]) -> i32 {
    ask(current, percent, loads, |_, _| {}).expect("a proposal").replicas
}

#[test]
fn replicas_follow_the_ratio_outside_the_tolerance() {
    let table: &[(i32, i32, &[Option<i64>], i32)] = &[
        (1, 50, &[Some(1000)], 2),
        (2, 50, &[Some(500), Some(500)], 2),
        // 55 % of 50 %: exactly the tolerance.
        (2, 50, &[Some(550), Some(550)], 2),
        (2, 50, &[Some(560), Some(560)], 3),
        (2, 50, &[Some(450), Some(450)], 2),
        (3, 30, &[Some(300), Some(500), Some(700)], 5),
        (5, 50, &[Some(100), Some(100), Some(100), Some(100), Some(100)], 1),
        (4, 50, &[Some(0), Some(0), Some(0), Some(0)], 0),
    ];
    for (current, percent, loads, expected) in table {
        assert_eq!(replicas(*current, *percent, loads), *expected, "{current} {percent} {loads:?}");
    }
}

#[test]
fn a_missing_pod_counts_full_downwards_and_nothing_upwards() {
    // Down: 0.2 + 1.0 over a goal of 0.5 a Pod is above 1: turned around, so nothing changes.
    assert_eq!(replicas(2, 50, &[Some(200), None]), 2);
    // Down, still under the target with the missing one counted full: (0.1 * 4 + 1.0) / 2.5 = 0.56.
    assert_eq!(replicas(5, 50, &[Some(100), Some(100), Some(100), Some(100), None]), 3);
    // Up: (1.0 + 1.0 + 0) / 1.5.
    assert_eq!(replicas(3, 50, &[Some(1000), Some(1000), None]), 4);
    // A target above the request: the missing one counts as the target.
    assert_eq!(replicas(2, 150, &[Some(600), None]), 2);
}

#[test]
fn an_unready_pod_counts_nothing_upwards() {
    let proposal = ask(3, 30, &[Some(300), Some(500), Some(700)], |number, pod| {
        if number == 0 {
            pod.ready = Some((false, SECOND));
            pod.started = Some(NOW - 10 * SECOND);
        }
    })
    .expect("a proposal");
    assert_eq!((proposal.replicas, proposal.unready.len(), proposal.counted), (4, 1, 2));
}

#[test]
fn the_cpu_of_a_starting_pod_waits_for_a_whole_window_after_readiness() {
    let started = |ready_for: i64| {
        ask(1, 50, &[Some(1000), Some(1000)], move |number, pod| {
            if number == 1 {
                pod.started = Some(NOW - 20 * SECOND);
                pod.ready = Some((true, NOW - ready_for));
            }
        })
        .expect("a proposal")
        .unready
        .len()
    };
    assert_eq!(started(SECOND / 2), 1);
    assert_eq!(started(SECOND), 0);
}

#[test]
fn a_pod_that_started_before_the_clock_was_set_back_counts() {
    let asked = |ahead: i64| {
        ask(1, 50, &[Some(1000)], move |_, pod| {
            pod.started = Some(NOW + ahead);
            pod.ready = Some((true, NOW + ahead + SECOND));
        })
        .map(|proposal| proposal.replicas)
    };
    assert_eq!(asked(3600 * SECOND), Ok(2));
    // It has just started, by another machine's clock.
    assert!(asked(2 * SECOND).is_err());
}

#[test]
fn pods_that_go_away_do_not_count() {
    let leaves = |number: usize, pod: &mut PodView| pod.deleting = number == 1;
    let has_ended = |number: usize, pod: &mut PodView| pod.ended = number == 1;
    for change in [leaves as fn(usize, &mut PodView), has_ended] {
        for other in [Some(9000), None] {
            let proposal = ask(2, 50, &[Some(1000), other], change).expect("a proposal");
            assert_eq!((proposal.replicas, proposal.counted, proposal.missing.len()), (2, 1, 0));
        }
    }
}

#[test]
fn the_same_load_on_another_number_of_replicas_asks_by_its_goal() {
    let of =
        |exact: f64, replicas, goal| Proposal { exact, ..Proposal::default() }.at(replicas, goal, (0.1, 0.1));
    for goal in [Goal::Value(7), Goal::AverageValue(7)] {
        let at = |exact, replicas| of(exact, replicas, goal);
        assert_eq!([at(6.0, 3), at(6.0, 6), at(6.0, 0)], [6, 6, 6]);
        // 5.7 of 6 and 5.5 of 5 are tolerated; 5.7 of 5 is not.
        assert_eq!([at(5.7, 6), at(5.5, 5), at(5.7, 5)], [6, 5, 6]);
        assert_eq!(at(4.42, 5), 5);
    }
    // Whole percent, cut off: 8.84 % of 10 % are 8.
    assert_eq!(of(4.42, 5, Goal::Utilization(10)), 4);
    assert_eq!(of(4.42, 5, Goal::Utilization(100)), 5);
}

#[test]
fn nothing_is_proposed_from_nothing() {
    let none = ask(1, 50, &[], |_, _| {});
    assert_eq!(none, Err("no pods returned by selector while calculating replica count".to_owned()));
    let unmeasured = "did not receive metrics for targeted pods (pods might be unready)";
    assert_eq!(ask(1, 50, &[None], |_, _| {}), Err(unmeasured.to_owned()));
    // What comes first upstream is told first.
    let both = ask(1, 50, &[None], |_, pod| pod.request = Err("missing request for cpu".into()));
    assert_eq!(both, Err(unmeasured.to_owned()));
    let missing = ask(1, 50, &[Some(1)], |_, pod| pod.request = Err("missing request for cpu".into()));
    assert_eq!(missing, Err("missing request for cpu".to_owned()));
}

proptest! {
    #[test]
    fn more_load_never_asks_for_fewer_replicas(
        loads in prop::collection::vec(prop::option::of(0i64..4000), 1..12),
        more in 0i64..2000,
        percent in 1i32..200,
    ) {
        let current = i32::try_from(loads.len()).expect("few");
        let heavier: Vec<_> = loads.iter().map(|load| load.map(|load| load + more)).collect();
        if let (Ok(before), Ok(after)) = (ask(current, percent, &loads, |_, _| {}), ask(current, percent, &heavier, |_, _| {})) {
            prop_assert!(after.replicas >= before.replicas, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_direction_is_that_of_the_ratio(
        loads in prop::collection::vec(prop::option::of(0i64..4000), 1..12),
        percent in 1i32..200,
    ) {
        let current = i32::try_from(loads.len()).expect("few");
        if let Ok(proposal) = ask(current, percent, &loads, |_, _| {}) {
            if proposal.ratio > 1.0 { prop_assert!(proposal.replicas >= current); }
            if proposal.ratio < 1.0 { prop_assert!(proposal.replicas <= current); }
        }
    }
}
