//! Decisions as tables, and the bounds that no load can break.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec;
use proptest::prelude::*;

use super::*;
use crate::{
    controller::Config,
    formula::Goal,
    source::{MetricName, Series},
    trouble::Type,
};

mod flapping;
mod zero;

const SECOND: i64 = 1_000_000;

fn spec(min: i32, max: i32) -> Spec {
    let spec =
        HorizontalPodAutoscalerSpec { min_replicas: Some(min), max_replicas: max, ..Default::default() };
    Spec::of(&spec, &Config::default())
}

fn cpu() -> Metric {
    Metric {
        name: MetricName::Resource { resource: "cpu".into(), container: None },
        goal: Goal::Utilization(50),
        identifier: Default::default(),
    }
}

fn wants(replicas: i32) -> Asked {
    let proposal = Proposal {
        replicas,
        exact: f64::from(replicas),
        ratio: 2.0,
        utilization: Some(100),
        average: 500,
        counted: 1,
        tolerated: true,
        ..Proposal::default()
    };
    Asked { metric: Some(cpu()), result: Ok(proposal) }
}

fn broken() -> Asked {
    let trouble = Type::of(&cpu().name).failed(&cpu().name, cpu().goal, "no figures");
    Asked { result: Err(trouble), ..wants(0) }
}

/// A first look, at so many replicas that nobody took away.
fn look<'a>(spec: &'a Spec, current: i32, asked: &'a [Asked]) -> Look<'a> {
    Look { spec, current, asked, slow: None, blocked: None, forecast: None, scaled_to_zero: false, now: 0 }
}

fn decided(spec: &Spec, current: i32, asked: &[Asked], memory: &mut Memory, now: i64) -> Verdict {
    let slow = memory.course.is_due(now).then_some(asked);
    decide(&Look { slow, now, ..look(spec, current, asked) }, memory)
}

fn outcome(spec: &Spec, current: i32, asked: &[Asked], memory: &mut Memory, now: i64) -> (i32, String) {
    let decision = decided(spec, current, asked, memory, now).decision;
    (decision.desired_replicas, decision.limited_by)
}

fn reasons(verdict: &Verdict) -> Vec<(&'static str, bool, &'static str)> {
    verdict.conditions.iter().map(|one| (one.kind, one.holds, one.reason)).collect()
}

#[test]
fn limits_name_themselves() {
    let table = [
        (1, 3, 3, ""),
        (1, 9, 4, "scaleUpPolicy"),
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
fn scaling_down_waits_for_its_window_and_says_until_when() {
    let mut memory = Memory::default();
    assert_eq!(outcome(&spec(1, 10), 5, &[wants(5)], &mut memory, 0).0, 5);
    let held = decided(&spec(1, 10), 5, &[wants(1)], &mut memory, 10 * SECOND);
    assert_eq!((held.decision.desired_replicas, &*held.decision.limited_by), (5, "stabilization"));
    assert_eq!(held.decision.held_until, Some(300 * SECOND));
    assert_eq!(
        reasons(&held)[2..],
        [("AbleToScale", true, "ScaleDownStabilized"), ("ScalingLimited", false, "DesiredWithinRange")]
    );
    assert_eq!(outcome(&spec(1, 10), 5, &[wants(1)], &mut memory, 301 * SECOND).0, 1);
}

#[test]
fn the_highest_metric_wins_and_a_broken_one_forbids_scaling_down() {
    let spec = spec(1, 10);
    assert_eq!(outcome(&spec, 3, &[wants(2), wants(4)], &mut Memory::default(), 0).0, 4);
    let partly = decided(&spec, 3, &[broken(), wants(4)], &mut Memory::default(), 0);
    assert_eq!((partly.decision.desired_replicas, partly.failed), (4, false));
    assert!(partly.decision.failure.starts_with("invalid metrics (1 invalid out of 2)"), "{partly:?}");
    assert_eq!(partly.warnings.len(), 1);
    let failed = decided(&spec, 3, &[broken(), wants(2)], &mut Memory::default(), 0);
    assert_eq!(
        (failed.decision.desired_replicas, failed.failed, &*failed.decision.limited_by),
        (3, true, "failure")
    );
    assert_eq!(reasons(&failed)[1], ("ScalingActive", false, "FailedGetResourceMetric"));
    let condition = &failed.conditions[1].message;
    assert_eq!(
        condition,
        "the HPA was unable to compute the replica count: failed to get cpu utilization: no figures"
    );
    let (reason, message) = failed.warnings.last().expect("an event");
    assert_eq!(*reason, "FailedComputeMetricsReplicas");
    assert_eq!(
        message,
        "invalid metrics (1 invalid out of 2), first error is: failed to get cpu resource metric value: \
         failed to get cpu utilization: no figures"
    );
}

/// With a metric that has figures without Pods too.
fn whole(min: i32) -> Spec {
    let series = Series { name: "orders".into(), selector: Default::default() };
    let metric = Metric { name: MetricName::External(series), goal: Goal::AverageValue(1000), ..cpu() };
    Spec { metrics: vec![Ok(metric)], ..spec(min, 10) }
}

/// What is decided for a target without replicas, held back by what, and why it rescales.
fn at_zero(spec: &Spec, wanted: i32, scaled_to_zero: bool) -> (i32, String, String) {
    let asked = [wants(wanted)];
    let look = Look { scaled_to_zero, ..look(spec, 0, &asked) };
    let verdict = decide(&look, &mut Memory::default());
    (verdict.decision.desired_replicas, verdict.decision.limited_by, verdict.because)
}

#[test]
fn a_target_without_replicas_is_left_alone_unless_the_autoscaler_took_them() {
    let off = decided(&spec(1, 10), 0, &[wants(2)], &mut Memory::default(), 0);
    assert_eq!((off.decision.desired_replicas, &*off.decision.limited_by), (0, "disabled"));
    assert_eq!(reasons(&off)[1], ("ScalingActive", false, "ScalingDisabled"));
    let above = "cpu resource utilization (percentage of request) above target";
    for (spec, wanted, scaled_to_zero, desired, limit, because) in [
        (whole(0), 2, true, 2, "", above),
        (whole(0), 0, true, 0, "tolerance", above),
        // Somebody else took them.
        (whole(0), 2, false, 0, "disabled", ""),
        (whole(3), 2, false, 0, "disabled", ""),
        // No Pod, no figure of one.
        (spec(0, 10), 2, true, 0, "disabled", ""),
        // The minimum was raised while there were none.
        (whole(3), 2, true, 3, "minReplicas", above),
        (whole(3), 0, true, 3, "minReplicas", "Current number of replicas below Spec.MinReplicas"),
        (whole(3), 4, true, 4, "", above),
    ] {
        let expected = (desired, limit.to_owned(), because.to_owned());
        assert_eq!(
            at_zero(&spec, wanted, scaled_to_zero),
            expected,
            "{} {wanted} {scaled_to_zero}",
            spec.min
        );
    }
    let mut memory = Memory::default();
    outcome(&spec(0, 10), 2, &[wants(2)], &mut memory, 0);
    assert_eq!(outcome(&spec(0, 10), 2, &[wants(0)], &mut memory, 301 * SECOND).0, 0);
}

#[test]
fn of_metrics_that_ask_for_as_many_the_first_is_named_and_of_those_that_ask_for_none_the_last() {
    let orders = |replicas| {
        let series = Series { name: "orders".into(), selector: Default::default() };
        let metric = Metric { name: MetricName::Pods(series), ..cpu() };
        Asked { metric: Some(metric), ..wants(replicas) }
    };
    let (cpu, orders_are) = ("cpu resource utilization (percentage of request)", "pods metric orders");
    for (first, second, named) in
        [(3, 3, cpu), (3, 4, orders_are), (4, 3, cpu), (0, 0, orders_are), (2, 0, cpu)]
    {
        let asked = [wants(first), orders(second)];
        let verdict = decided(&spec(1, 10), 3, &asked, &mut Memory::default(), 0);
        let expected = format!("the HPA was able to successfully calculate a replica count from {named}");
        assert_eq!(verdict.conditions[1].message, expected, "{first} {second}");
    }
}

#[test]
fn conditions_say_what_upstreams_say() {
    let messages = |verdict: &Verdict| -> Vec<String> {
        verdict.conditions.iter().map(|one| one.message.clone()).collect()
    };
    let up = decided(&spec(1, 10), 1, &[wants(9)], &mut Memory::default(), 0);
    assert_eq!(
        messages(&up),
        [
            "the HPA controller was able to get the target's current scale",
            "the HPA was able to successfully calculate a replica count from cpu resource utilization \
             (percentage of request)",
            "recommended size matches current size",
            "the desired replica count is increasing faster than the maximum scale rate",
        ]
    );
    let mut memory = Memory::default();
    decided(&spec(1, 10), 5, &[wants(5)], &mut memory, 0);
    let held = decided(&spec(1, 10), 5, &[wants(1)], &mut memory, 10 * SECOND);
    assert_eq!(
        messages(&held)[2..],
        [
            "recent recommendations were higher than current one, applying the highest recent recommendation",
            "the desired count is within the acceptable range",
        ]
    );
    let off = decided(&spec(1, 10), 0, &[], &mut Memory::default(), 0);
    assert_eq!(messages(&off)[1], "scaling is disabled since the replica count of the target is zero");
    for (current, min, because) in [
        (12, 1, "Current number of replicas above Spec.MaxReplicas"),
        (1, 2, "Current number of replicas below Spec.MinReplicas"),
    ] {
        let outside = decided(&spec(min, 10), current, &[], &mut Memory::default(), 0);
        // What metrics and limits were said to be before stays.
        assert_eq!((reasons(&outside).len(), &*outside.because), (1, because));
    }
}

#[test]
fn conditions_and_reasons_are_upstreams() {
    let up = decided(&spec(1, 10), 1, &[wants(3)], &mut Memory::default(), 0);
    let expected = [
        ("AbleToScale", true, "SucceededGetScale"),
        ("ScalingActive", true, "ValidMetricFound"),
        ("AbleToScale", true, "ReadyForNewScale"),
        ("ScalingLimited", false, "DesiredWithinRange"),
    ];
    assert_eq!(reasons(&up), expected);
    assert_eq!(up.because, "cpu resource utilization (percentage of request) above target");
    let most = decided(&spec(1, 10), 8, &[wants(30)], &mut Memory::default(), 0);
    assert_eq!(reasons(&most)[3], ("ScalingLimited", true, "TooManyReplicas"));
    let fast = decided(&spec(1, 10), 1, &[wants(9)], &mut Memory::default(), 0);
    assert_eq!(reasons(&fast)[3], ("ScalingLimited", true, "ScaleUpLimit"));
    let mut memory = Memory::default();
    decided(&spec(2, 10), 3, &[wants(3)], &mut memory, 0);
    let down = decided(&spec(2, 10), 3, &[wants(0)], &mut memory, 301 * SECOND);
    assert_eq!(reasons(&down)[3], ("ScalingLimited", true, "TooFewReplicas"));
    assert_eq!((down.decision.desired_replicas, &*down.because), (2, "All metrics below target"));
}

#[test]
fn a_selector_of_two_autoscalers_stops_both() {
    let trouble = crate::selectors::ambiguous("shop", "app=web", &["a".into(), "b".into()]);
    let spec = spec(1, 10);
    let look = Look { blocked: Some(trouble), ..look(&spec, 3, &[]) };
    let verdict = decide(&look, &mut Memory::default());
    assert_eq!((verdict.decision.desired_replicas, verdict.failed), (3, true));
    assert_eq!(reasons(&verdict)[1], ("ScalingActive", false, "AmbiguousSelector"));
    let events: Vec<_> = verdict.warnings.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(events, ["AmbiguousSelector", "FailedComputeMetricsReplicas"]);
}

#[test]
fn a_forecast_only_raises() {
    let spec = spec(1, 10);
    for (now, forecast, desired) in [(2, 4, 4), (4, 2, 4), (2, 2, 2)] {
        let asked = [wants(now)];
        let look = Look { forecast: Some(forecast), ..look(&spec, 2, &asked) };
        let found = decide(&look, &mut Memory::default()).decision.desired_replicas;
        assert_eq!(found, desired, "{now} {forecast}");
    }
}

#[test]
fn a_forecast_stands_in_the_row_and_in_its_sentence() {
    let (spec, asked) = (spec(1, 10), [wants(2)]);
    let look = Look { forecast: Some(4), ..look(&spec, 2, &asked) };
    let verdict = decide(&look, &mut Memory::default());
    let decision = &verdict.decision;
    assert_eq!((decision.forecast, decision.proposed_replicas), (Some(4), 4));
    assert_eq!(
        decision.reason,
        "scale up from 2 to 4: the same hours of past days asked for 4; now cpu is at 100% of requests, \
         target 50% over 1 Pod"
    );
    assert_eq!(verdict.because, "forecast from past days above target");
    // What the metrics themselves asked for is what later days are foretold from.
    assert_eq!(decision.metrics[0].proposal, Some(2));
}

#[test]
fn the_reason_is_a_sentence() {
    let decision = decided(&spec(1, 4), 1, &[wants(9)], &mut Memory::default(), 0).decision;
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
            let decision = decided(&spec, current, &[wants(wanted)], &mut memory, now).decision;
            let desired = decision.desired_replicas;
            prop_assert!((spec.min..=spec.max).contains(&desired));
            if desired > current { prop_assert!(wanted > current); }
            memory.events.record(current, desired, now);
            current = desired;
        }
    }
}
