//! What advice for one container of a workload rests on, and the advice. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Namespace, workload as Kind/name, container.
pub type Key = (String, String, String);

/// What a container requests now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Requests {
    /// Cores.
    pub cpu: Option<f64>,
    /// Bytes.
    pub memory: Option<i64>,
}

/// The share of time that CPU requested is to cover.
const QUANTILE: f64 = 0.95;
/// What is asked for beyond what was used.
const MARGIN: f64 = 1.15;
/// The least that is advised.
const LEAST_CORES: f64 = 0.01;
const LEAST_BYTES: f64 = (16 << 20) as f64;
/// What advice is rounded up to.
const CORES_STEP: f64 = 0.005;
const BYTES_STEP: f64 = (1 << 20) as f64;
/// What was killed for lack of memory counts as having used this much more, as VPA's recommender
/// has it: so many times, and so many bytes at the least.
const KILLED_RATIO: f64 = 1.2;
const KILLED_BYTES: f64 = (100 << 20) as f64;
/// Shares of CPU are kept in buckets, each so much wider than the one before.
const GROWTH: f64 = 1.01;
/// Cores that the first bucket ends with.
const FIRST: f64 = 0.0001;

#[derive(Debug, Default)]
pub struct Basis {
    pods: BTreeSet<String>,
    /// Seconds by bucket of CPU.
    cpu: BTreeMap<i32, f64>,
    /// The largest working set, bytes.
    memory: f64,
    kills: i32,
    /// The most that a container had when it was killed, bytes.
    killed_at: f64,
    newest: i64,
    /// What Pods and buckets take.
    bytes: usize,
}

impl Basis {
    /// A Pod had a figure at a time, microseconds since the Unix epoch.
    pub fn seen(&mut self, pod: &str, time: i64) {
        if !self.pods.contains(pod) {
            self.pods.insert(pod.to_owned());
            self.bytes += size_of::<String>() + pod.len();
        }
        self.newest = self.newest.max(time);
    }

    /// So many cores were used for so long.
    pub fn used(&mut self, cores: f64, seconds: f64) {
        if cores.is_finite() && seconds > 0.0 {
            let before = self.cpu.len();
            *self.cpu.entry(bucket(cores)).or_default() += seconds;
            self.bytes += (self.cpu.len() - before) * size_of::<(i32, f64)>();
        }
    }

    /// Bytes that it takes beyond itself.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn held(&mut self, bytes: f64) {
        self.memory = self.memory.max(bytes);
    }

    /// A container was killed so often for lack of memory, when it had so much.
    pub fn killed(&mut self, times: i32, bytes: f64) {
        self.kills = self.kills.saturating_add(times);
        self.killed_at = self.killed_at.max(bytes);
    }

    pub fn pods(&self) -> i32 {
        i32::try_from(self.pods.len()).unwrap_or(i32::MAX)
    }

    pub fn kills(&self) -> i32 {
        self.kills
    }

    pub fn newest(&self) -> i64 {
        self.newest
    }

    pub fn seconds(&self) -> f64 {
        self.cpu.values().sum()
    }

    /// Cores that were enough for [`QUANTILE`] of the time.
    pub fn cpu(&self) -> Option<f64> {
        let (all, mut passed) = (self.seconds(), 0.0);
        for (bucket, seconds) in &self.cpu {
            passed += seconds;
            if passed >= all * QUANTILE {
                return Some(cores_of(*bucket));
            }
        }
        self.cpu.keys().next_back().map(|bucket| cores_of(*bucket))
    }

    pub fn cpu_advice(&self) -> Option<f64> {
        self.cpu().map(|used| advice(used, LEAST_CORES, CORES_STEP))
    }

    pub fn memory(&self) -> i64 {
        self.memory as i64
    }

    pub fn memory_advice(&self) -> i64 {
        advice(self.wanted(), LEAST_BYTES, BYTES_STEP) as i64
    }

    /// What it used, or would have.
    fn wanted(&self) -> f64 {
        if self.kills == 0 {
            return self.memory;
        }
        let had = self.killed_at.max(1.0);
        self.memory.max((had * KILLED_RATIO).max(had + KILLED_BYTES))
    }

    /// Why the advice is more than what was used and a margin.
    pub fn why(&self) -> Option<String> {
        let times = if self.kills == 1 { "once".to_owned() } else { format!("{} times", self.kills) };
        let mib = (self.killed_at / f64::from(1 << 20)).ceil();
        (self.wanted() > self.memory)
            .then(|| format!("killed {times} for lack of memory at {mib} Mi: a fifth more, 100 Mi at least"))
    }
}

/// With the margin, rounded up, and no less than `least`.
fn advice(used: f64, least: f64, step: f64) -> f64 {
    let steps = (used * MARGIN / step - 1e-9).ceil();
    (steps * step).max(least)
}

fn bucket(cores: f64) -> i32 {
    if cores <= FIRST { 0 } else { ((cores / FIRST).ln() / GROWTH.ln()).ceil() as i32 }
}

/// What a bucket ends with; the first one is next to nothing.
fn cores_of(bucket: i32) -> f64 {
    if bucket == 0 { 0.0 } else { FIRST * GROWTH.powi(bucket) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = BYTES_STEP;

    fn cpu(uses: &[(f64, f64)]) -> Option<f64> {
        let mut basis = Basis::default();
        uses.iter().for_each(|(cores, seconds)| basis.used(*cores, *seconds));
        basis.cpu()
    }

    #[test]
    fn a_quantile_counts_time_and_not_samples() {
        assert_eq!(cpu(&[]), None);
        let near = |found: Option<f64>, cores: f64| {
            let found = found.expect("used");
            assert!(found >= cores && found <= cores * GROWTH + 1e-9, "{found} is not about {cores}");
        };
        // One second at 3 cores among a hundred at a tenth.
        near(cpu(&[(3.0, 1.0), (0.1, 100.0)]), 0.1);
        near(cpu(&[(0.1, 1.0), (0.2, 1.0), (3.0, 15.0)]), 3.0);
        assert_eq!(cpu(&[(0.0, 10.0)]), Some(0.0));
    }

    #[test]
    fn advice_has_a_margin_and_a_least() {
        assert!((advice(0.1, LEAST_CORES, CORES_STEP) - 0.115).abs() < 1e-9);
        assert!((advice(0.0, LEAST_CORES, CORES_STEP) - LEAST_CORES).abs() < 1e-9);
        assert!((advice(100e6, LEAST_BYTES, BYTES_STEP) - 110.0 * BYTES_STEP).abs() < 1.0);
    }

    #[test]
    fn what_was_killed_for_lack_of_memory_is_advised_more_than_it_had() {
        let advised = |most: f64, killed_at: Option<f64>| {
            let mut basis = Basis::default();
            basis.held(most * MIB);
            if let Some(mib) = killed_at {
                basis.killed(1, mib * MIB);
            }
            (basis.memory_advice() >> 20, basis.why().is_some())
        };
        assert_eq!(advised(200.0, None), (230, false));
        // At 256 Mi: 356, and the margin.
        assert_eq!(advised(200.0, Some(256.0)), (410, true));
        // At 1000 Mi: a fifth is more.
        assert_eq!(advised(900.0, Some(1000.0)), (1380, true));
        // What followed used more than that.
        assert_eq!(advised(2000.0, Some(256.0)), (2300, false));
    }
}
