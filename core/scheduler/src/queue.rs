//! The Pods that wait for a Node.
//!
//! ```text
//! add ──> active (by priority, then by age) ──> pop ──> in flight ──> done
//!            ^         ^                                   |
//!            |         └── backoff (1 s doubling to 10 s) <── retry: an error
//!            └── a change that may help, or 5 min ── unschedulable <── refused: no Node does
//! ```
//!
//! Pure apart from the times it is handed.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{change::Changes, pod_info::PodInfo};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Even without a change that seems to help.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub struct Queue {
    pods: HashMap<String, Entry>,
    active: BTreeSet<Turn>,
    /// Until when a Pod in backoff pauses, or an unschedulable one waits at most.
    timed: BTreeSet<(Instant, String)>,
    arrivals: u64,
}

/// Priority, arrival, UID.
type Turn = (Reverse<i32>, u64, String);

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    arrival: u64,
    attempts: u32,
    /// The end of the pause after the last attempt.
    paused_until: Instant,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    Backoff(Instant),
    Unschedulable { until: Instant, helped_by: Changes },
    InFlight,
}

impl Queue {
    /// A Pod that wants a Node, or its change. A change of its spec or labels
    /// is a reason to try again; one of its status is not.
    pub fn add(&mut self, pod: Arc<PodInfo>, now: Instant) {
        if let Some(entry) = self.pods.get_mut(&*pod.uid) {
            let same = entry.pod.spec == pod.spec && entry.pod.labels == pod.labels;
            let uid = pod.uid.to_string();
            if entry.place == Place::Active {
                self.active.remove(&turn(entry));
                entry.pod = pod;
                self.active.insert(turn(entry));
                return;
            }
            entry.pod = pod;
            if !same && matches!(entry.place, Place::Unschedulable { .. }) {
                self.leave(&uid);
                self.pause_or_activate(&uid, now);
            }
            return;
        }
        self.arrivals += 1;
        let (uid, arrival) = (pod.uid.to_string(), self.arrivals);
        let entry = Entry { pod, arrival, attempts: 0, paused_until: now, place: Place::InFlight };
        self.pods.insert(uid.clone(), entry);
        self.activate(&uid);
    }

    /// It has a Node, is gone, or is nobody's business any more.
    pub fn remove(&mut self, uid: &str) {
        self.leave(uid);
        self.pods.remove(uid);
    }

    pub fn contains(&self, uid: &str) -> bool {
        self.pods.contains_key(uid)
    }

    pub fn uids(&self) -> impl Iterator<Item = &String> {
        self.pods.keys()
    }

    /// The next Pod to find a Node for. One of `remove`, `refused` and `retry` must follow.
    pub fn pop(&mut self) -> Option<Arc<PodInfo>> {
        let (_, _, uid) = self.active.pop_first()?;
        let entry = self.pods.get_mut(&uid)?;
        entry.place = Place::InFlight;
        entry.attempts += 1;
        Some(entry.pod.clone())
    }

    /// No Node does; it waits for one of these changes.
    pub fn refused(&mut self, uid: &str, helped_by: Changes, now: Instant) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        entry.paused_until = now + pause(entry.attempts);
        let until = now + LONGEST_WAIT;
        entry.place = Place::Unschedulable { until, helped_by };
        self.timed.insert((until, uid.to_owned()));
    }

    /// An error; it is tried again after its pause.
    pub fn retry(&mut self, uid: &str, now: Instant) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        entry.paused_until = now + pause(entry.attempts);
        self.pause_or_activate(uid, now);
    }

    /// Something changed: those it may help are tried again, after their pause.
    pub fn changed(&mut self, changes: Changes, now: Instant) {
        if changes.is_empty() {
            return;
        }
        let helped = self.pods.iter().filter(|(_, entry)| match entry.place {
            Place::Unschedulable { helped_by, .. } => helped_by.meets(changes),
            _ => false,
        });
        let helped: Vec<String> = helped.map(|(uid, _)| uid.clone()).collect();
        for uid in helped {
            self.leave(&uid);
            self.pause_or_activate(&uid, now);
        }
    }

    /// Pauses and waits that are over.
    pub fn wake(&mut self, now: Instant) {
        while self.timed.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, uid)) = self.timed.pop_first() else { return };
            self.activate(&uid);
        }
    }

    /// When the next pause ends.
    pub fn next_due(&self) -> Option<Instant> {
        self.timed.first().map(|(at, _)| *at)
    }

    /// Pods in line, in backoff, unschedulable.
    pub fn sizes(&self) -> [usize; 3] {
        let count = |of: fn(&Place) -> bool| self.pods.values().filter(|entry| of(&entry.place)).count();
        [
            self.active.len(),
            count(|place| matches!(place, Place::Backoff(_))),
            count(|place| matches!(place, Place::Unschedulable { .. })),
        ]
    }

    fn activate(&mut self, uid: &str) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        entry.place = Place::Active;
        self.active.insert(turn(entry));
    }

    fn pause_or_activate(&mut self, uid: &str, now: Instant) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        if entry.paused_until <= now {
            return self.activate(uid);
        }
        entry.place = Place::Backoff(entry.paused_until);
        self.timed.insert((entry.paused_until, uid.to_owned()));
    }

    fn leave(&mut self, uid: &str) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        match entry.place {
            Place::Active => {
                self.active.remove(&turn(entry));
            }
            Place::Backoff(until) | Place::Unschedulable { until, .. } => {
                self.timed.remove(&(until, uid.to_owned()));
            }
            Place::InFlight => {}
        }
        entry.place = Place::InFlight;
    }
}

fn turn(entry: &Entry) -> Turn {
    (Reverse(entry.pod.priority), entry.arrival, entry.pod.uid.to_string())
}

fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::pod;
    use serde_json::json;

    fn names(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|pod| pod.name.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn priority_goes_before_age() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(pod("old", json!({})), now);
        queue.add(pod("new", json!({})), now);
        queue.add(pod("urgent", json!({"spec": {"priority": 1000}})), now);
        assert_eq!(names(&mut queue), ["urgent", "old", "new"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_pod_waits_for_a_change_that_helps() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(pod("p", json!({})), now);
        queue.pop().unwrap();
        queue.refused("p", Changes::NODE_ADDED, now);
        queue.changed(Changes::POD_REMOVED, now);
        assert_eq!(queue.sizes(), [0, 0, 1]);
        queue.changed(Changes::NODE_ADDED, now);
        assert_eq!(queue.sizes(), [0, 1, 0], "its pause isn't over");
        queue.wake(now + Duration::from_secs(1));
        assert_eq!(names(&mut queue), ["p"]);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_waits_end() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.add(pod("p", json!({})), now);
        for seconds in [1, 2, 4, 8, 10, 10] {
            queue.pop().unwrap();
            queue.retry("p", now);
            assert_eq!(queue.next_due(), Some(now + Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            queue.wake(now);
        }
        queue.pop().unwrap();
        queue.refused("p", Changes::default(), now);
        queue.wake(now + Duration::from_secs(299));
        assert_eq!(queue.sizes(), [0, 0, 1]);
        queue.wake(now + Duration::from_secs(300));
        assert_eq!(queue.sizes(), [1, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_status_is_no_reason_to_try_again_and_a_changed_label_is() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(pod("p", json!({})), now);
        queue.pop().unwrap();
        queue.refused("p", Changes::default(), now);
        let later = now + Duration::from_secs(60);
        queue.add(pod("p", json!({})), later);
        assert_eq!(queue.sizes(), [0, 0, 1]);
        queue.add(pod("p", json!({"labels": {"a": "b"}})), later);
        assert_eq!(queue.sizes(), [1, 0, 0]);
        queue.remove("p");
        assert!(queue.pop().is_none() && !queue.contains("p"));
    }
}
