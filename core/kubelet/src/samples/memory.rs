//! How often Pods and their node used up memory.
//!
//! The kernel counts it for each group. That of a container which was killed is gone before the
//! next second, with its count; then the reason why the container ended tells. What ends is
//! remembered as long as its Pod lives, and then as the node's, so that no count falls.

use std::collections::HashMap;

use tiphys_api::samples::Usage;

use crate::pod::runtime::{Container, State};

const OOM_KILLED: &str = "OOMKilled";

/// What was counted so far.
#[derive(Default)]
pub(super) struct UsedUp {
    /// By the Pod's UID and the container's id.
    pods: HashMap<String, HashMap<String, Counts>>,
    /// Of Pods that are gone.
    gone: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    oom_kills: u64,
    failures: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self { oom_kills: self.oom_kills + other.oom_kills, failures: self.failures + other.failures }
    }

    /// The larger: a group above others counts for them, too, where the kernel does so.
    fn put(self, usage: &mut Usage) {
        usage.oom_kills_total = usage.oom_kills_total.max(self.oom_kills);
        usage.memory_failures_total = usage.memory_failures_total.max(self.failures);
    }
}

impl UsedUp {
    /// Takes in what the group of a container tells.
    pub fn told(&mut self, uid: &str, id: &str, usage: &Usage) {
        if (usage.oom_kills_total, usage.memory_failures_total) != (0, 0) {
            self.raise(
                uid,
                id,
                Counts { oom_kills: usage.oom_kills_total, failures: usage.memory_failures_total },
            );
        }
    }

    /// Takes in why a container has ended, if it has.
    pub fn ended(&mut self, uid: &str, container: &Container) {
        if matches!(&container.state, State::Exited(exit) if exit.reason == OOM_KILLED) {
            self.raise(uid, &container.id, Counts { oom_kills: 1, failures: 0 });
        }
    }

    fn raise(&mut self, uid: &str, id: &str, least: Counts) {
        let counts = self.pods.entry(uid.to_owned()).or_default().entry(id.to_owned()).or_default();
        counts.oom_kills = counts.oom_kills.max(least.oom_kills);
        counts.failures = counts.failures.max(least.failures);
    }

    /// Puts in what the containers of a Pod have used up, those that are gone too.
    pub fn put_pod(&self, uid: &str, usage: &mut Usage) {
        let each = self.pods.get(uid).into_iter().flat_map(HashMap::values);
        each.fold(Counts::default(), |sum, one| sum.plus(*one)).put(usage);
    }

    /// Puts in what all Pods have, of which these are still there.
    pub fn put_node(&mut self, is_there: impl Fn(&str) -> bool, usage: &mut Usage) {
        let gone = self.pods.extract_if(|uid, _| !is_there(uid));
        self.gone = gone.flat_map(|(_, counts)| counts.into_values()).fold(self.gone, Counts::plus);
        self.pods.values().flat_map(HashMap::values).fold(self.gone, |sum, one| sum.plus(*one)).put(usage);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::pod::runtime::Exit;

    fn container(id: &str, ended: Option<&str>) -> Container {
        let exit = |reason: &str| Exit {
            code: 137,
            started_at: None,
            finished_at: Timestamp::UNIX_EPOCH,
            reason: reason.into(),
            message: String::new(),
        };
        let state = ended.map_or(State::Created, |reason| State::Exited(exit(reason)));
        Container {
            id: id.into(),
            sandbox: "s".into(),
            name: "main".into(),
            attempt: 0,
            state,
            image: String::new(),
            image_ref: String::new(),
            hash: String::new(),
            delay: Duration::ZERO,
            log_path: String::new(),
            created_at: 0,
        }
    }

    fn told(oom_kills: u64, failures: u64) -> Usage {
        Usage { oom_kills_total: oom_kills, memory_failures_total: failures, ..Usage::default() }
    }

    #[test]
    fn what_is_killed_counts_though_its_group_is_gone() {
        let mut all = UsedUp::default();
        let of_pod = |all: &UsedUp| {
            let mut usage = Usage::default();
            all.put_pod("p", &mut usage);
            (usage.oom_kills_total, usage.memory_failures_total)
        };
        all.told("p", "a", &told(0, 7));
        all.ended("p", &container("a", None));
        assert_eq!(of_pod(&all), (0, 7));
        all.ended("p", &container("a", Some("OOMKilled")));
        all.ended("p", &container("a", Some("OOMKilled")));
        assert_eq!(of_pod(&all), (1, 7), "once");
        // The next instance has lost a child, and then ends by itself.
        all.told("p", "b", &told(2, 1));
        all.ended("p", &container("b", Some("Error")));
        assert_eq!(of_pod(&all), (3, 8));
        let mut node = Usage::default();
        all.put_node(|_| false, &mut node);
        all.put_node(|_| false, &mut node);
        assert_eq!((node.oom_kills_total, node.memory_failures_total), (3, 8), "it stays the node's");
        assert_eq!(of_pod(&all), (0, 0), "the Pod is forgotten");
        // A kernel that counts for the group above already is believed.
        let mut told = told(9, 0);
        all.put_node(|_| true, &mut told);
        assert_eq!((told.oom_kills_total, told.memory_failures_total), (9, 8));
    }
}
