//! Who takes the last replica, over several looks: the autoscaler, which then brings it back, or a
//! hand, which switches it off until a hand makes one.

use k8s_openapi::{
    api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};

use super::*;
use crate::{status, zero::ScaledToZero};

/// Longer than the window of going down.
const STEP: i64 = 301 * SECOND;

/// An autoscaler with the target that it scales, as its worker has them, but for the API.
struct Scaled {
    spec: Spec,
    scaler: HorizontalPodAutoscaler,
    zero: ScaledToZero,
    memory: Memory,
    replicas: i32,
    now: i64,
}

impl Scaled {
    fn new(replicas: i32) -> Self {
        Self {
            spec: whole(0),
            scaler: HorizontalPodAutoscaler::default(),
            zero: ScaledToZero::default(),
            memory: Memory::default(),
            replicas,
            now: 0,
        }
    }

    /// A look later, where the metric asks for so many: the replicas after it, and the reasons that
    /// the conditions give then of scaling and of a target without replicas.
    fn look(&mut self, wanted: i32) -> (i32, String, String) {
        self.now += STEP;
        let (current, now) = (self.replicas, self.now);
        let told = status::scaled_to_zero(&self.scaler);
        let scaled_to_zero = self.zero.find(told, current);
        let asked = [wants(wanted)];
        let slow = self.memory.course.is_due(now).then_some(&asked[..]);
        let look = Look { slow, scaled_to_zero, now, ..look(&self.spec, current, &asked) };
        let mut verdict = decide(&look, &mut self.memory);
        self.replicas = verdict.decision.desired_replicas;
        if self.replicas != current {
            self.zero.scaled(current, self.replicas);
            self.memory.events.record(current, self.replicas, now);
        }
        verdict.conditions.extend(self.zero.condition());
        let status = self.scaler.status.get_or_insert_default();
        let old = status.conditions.take().unwrap_or_default();
        status.conditions = Some(conditions::merge(&old, &verdict.conditions, &Time(Timestamp::default())));
        (self.replicas, reason(status, "ScalingActive"), reason(status, conditions::SCALED_TO_ZERO))
    }

    /// The autoscaler is another process from now on: it knows what the conditions say.
    fn restart(&mut self) {
        (self.zero, self.memory) = (ScaledToZero::default(), Memory::default());
    }
}

fn reason(status: &HorizontalPodAutoscalerStatus, kind: &str) -> String {
    let found = status.conditions.iter().flatten().find(|one| one.type_ == kind);
    found.and_then(|one| one.reason.clone()).unwrap_or_default()
}

fn said(replicas: i32, active: &str, zero: &str) -> (i32, String, String) {
    (replicas, active.to_owned(), zero.to_owned())
}

/// One that has taken the last replica, without anybody's hand.
fn emptied() -> Scaled {
    let mut scaled = Scaled::new(2);
    assert_eq!(scaled.look(2), said(2, "ValidMetricFound", ""));
    assert_eq!(scaled.look(0), said(0, "ValidMetricFound", "ScaledToZero"));
    scaled
}

#[test]
fn what_the_autoscaler_took_it_brings_back_also_after_a_restart() {
    for restarts in [false, true] {
        let mut scaled = emptied();
        if restarts {
            scaled.restart();
        }
        assert_eq!(scaled.look(0), said(0, "ValidMetricFound", "ScaledToZero"), "{restarts}");
        assert_eq!(scaled.look(3), said(3, "ValidMetricFound", "NotScaledToZero"), "{restarts}");
    }
}

#[test]
fn a_hands_zero_after_the_autoscalers_own_switches_it_off() {
    // Whether work or a hand brought a replica in between, and whether the autoscaler restarts then.
    for (by_hand, restarts) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut scaled = emptied();
        if by_hand {
            scaled.replicas = 2;
        }
        assert_eq!(scaled.look(2), said(2, "ValidMetricFound", "NotScaledToZero"), "{by_hand} {restarts}");
        if restarts {
            scaled.restart();
        }
        scaled.replicas = 0;
        for _ in 0..2 {
            let off = said(0, "ScalingDisabled", "NotScaledToZero");
            assert_eq!(scaled.look(2), off, "{by_hand} {restarts}");
        }
    }
}

#[test]
fn a_replica_by_hand_switches_it_on_again() {
    let mut scaled = Scaled::new(0);
    assert_eq!(scaled.look(3), said(0, "ScalingDisabled", ""), "who made it, made it so");
    scaled.replicas = 1;
    assert_eq!(scaled.look(3), said(3, "ValidMetricFound", "NotScaledToZero"));
    // It may take the last one itself again, and is not off then.
    assert_eq!(scaled.look(0), said(0, "ValidMetricFound", "ScaledToZero"));
    assert_eq!(scaled.look(1), said(1, "ValidMetricFound", "NotScaledToZero"));
}
