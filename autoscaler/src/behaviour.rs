//! Behaviour policies: how fast the number of replicas may change.
//!
//! A policy allows a number of Pods, or a percentage of the replicas at the
//! start of its period, within the period; what was already changed in it counts.

use std::collections::VecDeque;

use crate::spec::{Direction, Measure, Policy, Select};

/// Changes of one autoscaler's target: (microseconds since the Unix epoch, replicas changed).
#[derive(Debug, Clone, Default)]
pub struct Events {
    added: VecDeque<(i64, i32)>,
    removed: VecDeque<(i64, i32)>,
}

/// The longest period a policy may have: 30 min, in microseconds.
const LONGEST_PERIOD: i64 = 1800 * 1_000_000;

impl Events {
    /// Remembers that the target went from `before` to `after`.
    pub fn record(&mut self, before: i32, after: i32, now: i64) {
        for events in [&mut self.added, &mut self.removed] {
            while events.front().is_some_and(|(time, _)| *time <= now - LONGEST_PERIOD) {
                events.pop_front();
            }
        }
        match after - before {
            0 => {}
            change if change > 0 => self.added.push_back((now, change)),
            change => self.removed.push_back((now, -change)),
        }
    }

    fn at_start_of(&self, period: i64, current: i32, now: i64) -> i32 {
        let within = |events: &VecDeque<(i64, i32)>| -> i32 {
            events.iter().filter(|(time, _)| *time > now - period).map(|(_, change)| change).sum()
        };
        current - within(&self.added) + within(&self.removed)
    }
}

/// The most replicas that scaling up may reach now.
pub fn limit_up(rules: &Direction, events: &Events, current: i32, now: i64) -> i32 {
    let limits = rules.policies.iter().map(|policy| {
        let start = events.at_start_of(policy.period, current, now);
        match policy.measure {
            Measure::Pods => start.saturating_add(policy.value),
            Measure::Percent => (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
        }
    });
    let limit = match rules.select {
        Select::Disabled => Some(current),
        Select::Min => limits.min(),
        Select::Max => limits.max(),
    };
    limit.unwrap_or(current).max(current)
}

/// The fewest replicas that scaling down may reach now.
pub fn limit_down(rules: &Direction, events: &Events, current: i32, now: i64) -> i32 {
    let limits = rules.policies.iter().map(|policy| lowest(policy, events, current, now));
    let limit = match rules.select {
        Select::Disabled => Some(current),
        // The policy that allows the most change gives the lowest number.
        Select::Max => limits.min(),
        Select::Min => limits.max(),
    };
    limit.unwrap_or(current).min(current)
}

fn lowest(policy: &Policy, events: &Events, current: i32, now: i64) -> i32 {
    let start = events.at_start_of(policy.period, current, now);
    match policy.measure {
        Measure::Pods => start.saturating_sub(policy.value),
        Measure::Percent => (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn policy(measure: Measure, value: i32, seconds: i64) -> Policy {
        Policy { measure, value, period: seconds * SECOND }
    }

    fn rules(select: Select, policies: &[Policy]) -> Direction {
        Direction { window: 0, select, policies: policies.to_vec(), tolerance: 0.1 }
    }

    fn default_up() -> Direction {
        rules(Select::Max, &[policy(Measure::Pods, 4, 15), policy(Measure::Percent, 100, 15)])
    }

    #[test]
    fn up_doubles_or_adds_four_whichever_is_more() {
        for (current, limit) in [(1, 5), (3, 7), (4, 8), (10, 20)] {
            assert_eq!(limit_up(&default_up(), &Events::default(), current, 0), limit, "{current}");
        }
    }

    #[test]
    fn what_was_added_within_the_period_counts() {
        let mut events = Events::default();
        events.record(1, 5, 0);
        assert_eq!(limit_up(&default_up(), &events, 5, 10 * SECOND), 5);
        assert_eq!(limit_up(&default_up(), &events, 5, 15 * SECOND), 10);
    }

    #[test]
    fn select_policy_decides_between_limits() {
        let policies = [policy(Measure::Pods, 2, 60), policy(Measure::Percent, 50, 60)];
        let none = Events::default();
        assert_eq!(limit_up(&rules(Select::Min, &policies), &none, 10, 0), 12);
        assert_eq!(limit_up(&rules(Select::Max, &policies), &none, 10, 0), 15);
        assert_eq!(limit_up(&rules(Select::Disabled, &policies), &none, 10, 0), 10);
        assert_eq!(limit_down(&rules(Select::Min, &policies), &none, 10, 0), 8);
        assert_eq!(limit_down(&rules(Select::Max, &policies), &none, 10, 0), 5);
        assert_eq!(limit_down(&rules(Select::Disabled, &policies), &none, 10, 0), 10);
    }

    #[test]
    fn what_was_removed_within_the_period_counts() {
        let mut events = Events::default();
        events.record(10, 8, 0);
        let down = rules(Select::Max, &[policy(Measure::Pods, 2, 60)]);
        assert_eq!(limit_down(&down, &events, 8, 30 * SECOND), 8);
        assert_eq!(limit_down(&down, &events, 8, 61 * SECOND), 6);
    }
}
