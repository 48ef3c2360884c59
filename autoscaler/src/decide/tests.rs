//! Decisions as tables, and the bounds that no load can break.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec;
use proptest::prelude::*;

use super::*;
use crate::source::MetricName;

const SECOND: i64 = 1_000_000;

fn spec(min: i32, max: i32) -> Spec {
    let spec =
        HorizontalPodAutoscalerSpec { min_replicas: Some(min), max_replicas: max, ..Default::default() };
    Spec::of(&spec)
}

fn wants(replicas: i32) -> Asked {
    Asked {
        metric: Some(Metric {
            name: MetricName::Resource { resource: "cpu".into(), container: None },
            goal: Goal::Utilization(50),
        }),
        result: Ok(Proposal {
            replicas,
            ratio: 2.0,
            utilization: Some(100),
            average: 500,
            counted: 1,
            missing: 0,
            unready: 0,
        }),
    }
}

fn broken() -> Asked {
    Asked { result: Err("no figures".into()), ..wants(0) }
}

fn outcome(spec: &Spec, current: i32, asked: &[Asked], memory: &mut Memory, now: i64) -> (i32, String) {
    let decision = decide(spec, current, asked, memory, now).expect("decided");
    (decision.desired_replicas, decision.limited_by)
}

#[test]
fn limits_name_themselves() {
    let table = [
        (1, 3, 3, ""),
        (1, 9, 5, "scaleUpPolicy"),
        (8, 30, 10, "maxReplicas"),
        (12, 4, 10, "maxReplicas"),
        (1, 1, 1, "tolerance"),
    ];
    for (current, wanted, desired, limit) in table {
        let result = outcome(&spec(1, 10), current, &[wants(wanted)], &mut Memory::default(), 0);
        assert_eq!(result, (desired, limit.to_owned()), "{current} {wanted}");
    }
    let below = outcome(&spec(2, 10), 1, &[wants(1)], &mut Memory::default(), 0);
    assert_eq!(below, (2, "minReplicas".to_owned()));
}

#[test]
fn scaling_down_waits_for_its_window() {
    let mut memory = Memory::default();
    assert_eq!(outcome(&spec(1, 10), 5, &[wants(5)], &mut memory, 0).0, 5);
    assert_eq!(
        outcome(&spec(1, 10), 5, &[wants(1)], &mut memory, 10 * SECOND),
        (5, "stabilization".to_owned())
    );
    assert_eq!(outcome(&spec(1, 10), 5, &[wants(1)], &mut memory, 301 * SECOND).0, 1);
}

#[test]
fn the_highest_metric_wins_and_a_broken_one_forbids_scaling_down() {
    let spec = spec(1, 10);
    assert_eq!(outcome(&spec, 3, &[wants(2), wants(4)], &mut Memory::default(), 0).0, 4);
    assert_eq!(outcome(&spec, 3, &[broken(), wants(4)], &mut Memory::default(), 0).0, 4);
    let refused = decide(&spec, 3, &[broken(), wants(2)], &mut Memory::default(), 0);
    assert_eq!(refused, Err(Refusal::NoMetric("no figures".into())));
}

#[test]
fn a_target_without_replicas_is_left_alone() {
    let refused = decide(&spec(1, 10), 0, &[wants(2)], &mut Memory::default(), 0);
    assert_eq!(refused, Err(Refusal::Disabled));
}

#[test]
fn the_reason_is_a_sentence() {
    let decision = decide(&spec(1, 4), 1, &[wants(9)], &mut Memory::default(), 0).expect("decided");
    assert_eq!(
        decision.reason,
        "scale up from 1 to 4: cpu is at 100% of requests, target 50% over 1 Pod, limited by maxReplicas (wanted 9)"
    );
}

proptest! {
    #[test]
    fn never_outside_the_limits_and_never_against_the_proposal(
        min in 1i32..5,
        span in 0i32..20,
        proposals in prop::collection::vec((0i32..40, 1i64..60), 1..40),
    ) {
        let spec = spec(min, min + span);
        let mut memory = Memory::default();
        let (mut current, mut now) = (min, 0);
        for (wanted, seconds) in proposals {
            now += seconds * SECOND;
            let decision = decide(&spec, current, &[wants(wanted)], &mut memory, now).expect("decided");
            let desired = decision.desired_replicas;
            prop_assert!((spec.min..=spec.max).contains(&desired));
            if desired > current { prop_assert!(wanted > current); }
            memory.events.record(current, desired, now);
            current = desired;
        }
    }
}
