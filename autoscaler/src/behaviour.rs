//! Behaviour policies: how fast the number of replicas may change.
//!
//! A policy allows a number of Pods, or a percentage of the replicas at the
//! start of its period, within the period; what was already changed in it counts.

use std::{cmp::Ordering, collections::VecDeque};

use crate::spec::{Direction, Measure, Policy, Select, Spec};

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

    /// The clock was set by so much: what is remembered is as old as it was.
    pub fn shift(&mut self, by: i64) {
        let all = self.added.iter_mut().chain(self.removed.iter_mut());
        all.for_each(|(time, _)| *time = time.saturating_add(by));
    }

    fn at_start_of(&self, period: i64, current: i32, now: i64) -> i32 {
        let within = |events: &VecDeque<(i64, i32)>| -> i32 {
            events.iter().filter(|(time, _)| *time > now - period).map(|(_, change)| change).sum()
        };
        current - within(&self.added) + within(&self.removed)
    }

    /// When the oldest change that counts in a period leaves it.
    fn leaves(&self, period: i64, now: i64) -> Option<i64> {
        let all = self.added.iter().chain(&self.removed);
        all.filter(|(time, _)| *time > now - period).map(|(time, _)| time + period).min()
    }
}

/// How far a direction may go now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limit {
    pub replicas: i32,
    /// The policy that says so, in words.
    pub policy: String,
    /// When it allows more, microseconds since the Unix epoch; absent: at once after a change,
    /// or never.
    pub until: Option<i64>,
}

/// Where no behaviour is given, upstream lets a look each 15 s double the replicas, or make them 4.
const FIXED_PERIOD: i64 = 15 * 1_000_000;
const FIXED_LEAST: i32 = 4;

/// The most replicas that scaling up may reach now.
fn limit_up(rules: &Direction, events: &Events, current: i32, now: i64) -> Limit {
    if rules.policies.is_empty() && rules.select != Select::Disabled {
        let start = events.at_start_of(FIXED_PERIOD, current, now);
        return Limit {
            replicas: start.saturating_mul(2).max(FIXED_LEAST).max(current),
            policy: "at most twice the replicas, or 4, within 15 s".to_owned(),
            until: events.leaves(FIXED_PERIOD, now),
        };
    }
    let reach = |policy: &Policy| {
        let start = events.at_start_of(policy.period, current, now);
        match policy.measure {
            Measure::Pods => start.saturating_add(policy.value),
            Measure::Percent => (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
        }
    };
    let limits = rules.policies.iter().map(|policy| (reach(policy), policy));
    let chosen = match rules.select {
        Select::Disabled => None,
        Select::Min => limits.min_by_key(|(limit, _)| *limit),
        Select::Max => limits.max_by_key(|(limit, _)| *limit),
    };
    let limit = limit(chosen, events, current, now);
    Limit { replicas: limit.replicas.max(current), ..limit }
}

/// The fewest replicas that scaling down may reach now.
fn limit_down(rules: &Direction, events: &Events, current: i32, now: i64) -> Limit {
    if rules.policies.is_empty() && rules.select != Select::Disabled {
        return Limit::default();
    }
    let limits = rules.policies.iter().map(|policy| (lowest(policy, events, current, now), policy));
    let chosen = match rules.select {
        Select::Disabled => None,
        // The policy that allows the most change gives the lowest number.
        Select::Max => limits.min_by_key(|(limit, _)| *limit),
        Select::Min => limits.max_by_key(|(limit, _)| *limit),
    };
    let limit = limit(chosen, events, current, now);
    Limit { replicas: limit.replicas.min(current), ..limit }
}

/// How far a wanted number of replicas may be reached now, and what says no to more, as
/// [`tiphys_api::decisions::Decision::limited_by`] calls it.
pub fn limited(
    spec: &Spec,
    wanted: i32,
    current: i32,
    events: &Events,
    now: i64,
) -> (i32, &'static str, Limit) {
    match wanted.cmp(&current) {
        Ordering::Greater => {
            let policy = limit_up(&spec.up, events, current, now);
            let (most, limit) = if policy.replicas < spec.max {
                (policy.replicas, "scaleUpPolicy")
            } else {
                (spec.max, "maxReplicas")
            };
            if wanted > most { (most.max(current), limit, policy) } else { (wanted, "", policy) }
        }
        Ordering::Less => {
            let policy = limit_down(&spec.down, events, current, now);
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

fn limit(chosen: Option<(i32, &Policy)>, events: &Events, current: i32, now: i64) -> Limit {
    match chosen {
        None => Limit { replicas: current, policy: "selectPolicy Disabled".to_owned(), until: None },
        Some((replicas, policy)) => {
            let unit = if policy.measure == Measure::Pods { " Pods" } else { " %" };
            let seconds = policy.period / 1_000_000;
            let text = format!("at most {}{unit} within {seconds} s", policy.value);
            Limit { replicas, policy: text, until: events.leaves(policy.period, now) }
        }
    }
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
            assert_eq!(limit_up(&default_up(), &Events::default(), current, 0).replicas, limit, "{current}");
        }
    }

    #[test]
    fn what_was_added_within_the_period_counts() {
        let mut events = Events::default();
        events.record(1, 5, 0);
        assert_eq!(limit_up(&default_up(), &events, 5, 10 * SECOND).replicas, 5);
        assert_eq!(limit_up(&default_up(), &events, 5, 15 * SECOND).replicas, 10);
    }

    #[test]
    fn select_policy_decides_between_limits() {
        let policies = [policy(Measure::Pods, 2, 60), policy(Measure::Percent, 50, 60)];
        let none = Events::default();
        assert_eq!(limit_up(&rules(Select::Min, &policies), &none, 10, 0).replicas, 12);
        assert_eq!(limit_up(&rules(Select::Max, &policies), &none, 10, 0).replicas, 15);
        assert_eq!(limit_up(&rules(Select::Disabled, &policies), &none, 10, 0).replicas, 10);
        assert_eq!(limit_down(&rules(Select::Min, &policies), &none, 10, 0).replicas, 8);
        assert_eq!(limit_down(&rules(Select::Max, &policies), &none, 10, 0).replicas, 5);
        assert_eq!(limit_down(&rules(Select::Disabled, &policies), &none, 10, 0).replicas, 10);
    }

    #[test]
    fn without_behaviour_a_quarter_of_a_minute_doubles_or_makes_four() {
        let fixed = rules(Select::Max, &[]);
        for (current, limit) in [(0, 4), (1, 4), (2, 4), (3, 6), (10, 20)] {
            assert_eq!(limit_up(&fixed, &Events::default(), current, 0).replicas, limit, "{current}");
        }
        let mut events = Events::default();
        events.record(3, 6, 0);
        let held = limit_up(&fixed, &events, 6, 5 * SECOND);
        assert_eq!((held.replicas, held.until), (6, Some(15 * SECOND)));
        assert_eq!(limit_up(&fixed, &events, 6, 15 * SECOND).replicas, 12);
        assert_eq!(limit_down(&fixed, &events, 6, 5 * SECOND).replicas, 0);
    }

    #[test]
    fn a_limit_says_which_policy_and_until_when() {
        let mut events = Events::default();
        events.record(10, 8, 3 * SECOND);
        let down = rules(Select::Max, &[policy(Measure::Pods, 2, 60)]);
        let limit = limit_down(&down, &events, 8, 30 * SECOND);
        assert_eq!(limit.policy, "at most 2 Pods within 60 s");
        assert_eq!((limit.replicas, limit.until), (8, Some(63 * SECOND)));
    }

    #[test]
    fn a_clock_that_is_set_changes_no_period() {
        let down = rules(Select::Max, &[policy(Measure::Pods, 2, 60)]);
        for by in [-3600 * SECOND, 3600 * SECOND] {
            let mut events = Events::default();
            events.record(1, 5, 0);
            events.record(10, 8, 0);
            events.shift(by);
            assert_eq!(limit_up(&default_up(), &events, 5, by + 10 * SECOND).replicas, 7, "{by}");
            let held = limit_down(&down, &events, 8, by + 30 * SECOND);
            assert_eq!(held.until, Some(by + 60 * SECOND));
            assert_eq!(limit_down(&down, &events, 8, by + 61 * SECOND).replicas, 6);
        }
    }

    #[test]
    fn what_was_removed_within_the_period_counts() {
        let mut events = Events::default();
        events.record(10, 8, 0);
        let down = rules(Select::Max, &[policy(Measure::Pods, 2, 60)]);
        assert_eq!(limit_down(&down, &events, 8, 30 * SECOND).replicas, 8);
        assert_eq!(limit_down(&down, &events, 8, 61 * SECOND).replicas, 6);
    }
}
