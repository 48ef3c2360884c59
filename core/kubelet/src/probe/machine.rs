//! One probe's memory: how many results of a kind in a row make a verdict. Pure.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes>

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;

/// Thresholds and times of a probe, defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub successes: u32,
    pub failures: u32,
}

impl Rules {
    pub(super) fn of(probe: &Probe) -> Self {
        let number = |value: Option<i32>, default: u32| {
            value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
        };
        let seconds = |value: Option<i32>, default: u32| Duration::from_secs(number(value, default).into());
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            successes: number(probe.success_threshold, 1),
            failures: number(probe.failure_threshold, 3),
        }
    }
}

/// Results in a row.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    rules: Rules,
    last: Option<bool>,
    in_a_row: u32,
}

impl Machine {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, last: None, in_a_row: 0 }
    }

    /// `Some` when so many of the same kind came in a row that it counts.
    pub(super) fn observe(&mut self, success: bool) -> Option<bool> {
        if self.last == Some(success) {
            self.in_a_row = self.in_a_row.saturating_add(1);
        } else {
            self.last = Some(success);
            self.in_a_row = 1;
        }
        let needed = if success { self.rules.successes } else { self.rules.failures };
        (self.in_a_row >= needed).then_some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_need_results_in_a_row() {
        let probe = Probe { success_threshold: Some(2), failure_threshold: Some(3), ..Probe::default() };
        let mut machine = Machine::new(Rules::of(&probe));
        let results = [true, true, false, false, true, false, false, false, false, true, true];
        let verdicts: Vec<_> = results.iter().map(|result| machine.observe(*result)).collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(verdicts, [None, yes, None, None, None, None, None, no, no, None, yes]);
    }

    #[test]
    fn defaults_are_the_apis() {
        let rules = Rules::of(&Probe { period_seconds: Some(0), ..Probe::default() });
        let seconds = [rules.initial_delay, rules.period, rules.timeout].map(|time| time.as_secs());
        assert_eq!((seconds, rules.successes, rules.failures), ([0, 10, 1], 1, 3));
    }
}
