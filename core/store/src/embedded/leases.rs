//! Leases: which are alive, until when, and which keys live by them. Pure; the
//! clock is handed in.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::LeaseId;

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    deadline: Instant,
    keys: HashSet<Arc<str>>,
}

#[derive(Debug)]
pub struct Leases {
    leases: HashMap<LeaseId, Lease>,
    deadlines: BTreeSet<(Instant, LeaseId)>,
    next: LeaseId,
}

impl Leases {
    /// No lease; the next one granted is `next`.
    pub fn new(next: LeaseId) -> Self {
        Self { leases: HashMap::new(), deadlines: BTreeSet::new(), next: next.max(1) }
    }

    /// The id that the next grant takes.
    pub fn next_id(&self) -> LeaseId {
        self.next
    }

    pub fn insert(&mut self, id: LeaseId, ttl: Duration, deadline: Instant) {
        self.next = self.next.max(id + 1);
        self.leases.insert(id, Lease { ttl, deadline, keys: HashSet::new() });
        self.deadlines.insert((deadline, id));
    }

    pub fn contains(&self, id: LeaseId) -> bool {
        self.leases.contains_key(&id)
    }

    pub fn ttl(&self, id: LeaseId) -> Option<Duration> {
        Some(self.leases.get(&id)?.ttl)
    }

    /// What is left of a lease at `now`.
    pub fn left(&self, id: LeaseId, now: Instant) -> Option<Duration> {
        Some(self.leases.get(&id)?.deadline.saturating_duration_since(now))
    }

    pub fn extend(&mut self, id: LeaseId, deadline: Instant) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        self.deadlines.remove(&(lease.deadline, id));
        lease.deadline = deadline;
        self.deadlines.insert((deadline, id));
    }

    pub fn remove(&mut self, id: LeaseId) {
        if let Some(lease) = self.leases.remove(&id) {
            self.deadlines.remove(&(lease.deadline, id));
        }
    }

    /// The key now lives by `new` and no longer by `old`.
    pub fn attach(&mut self, key: &Arc<str>, old: Option<LeaseId>, new: Option<LeaseId>) {
        if old == new {
            return;
        }
        if let Some(lease) = old.and_then(|id| self.leases.get_mut(&id)) {
            lease.keys.remove(key);
        }
        if let Some(lease) = new.and_then(|id| self.leases.get_mut(&id)) {
            lease.keys.insert(key.clone());
        }
    }

    /// Up to `limit` keys of a lease.
    pub fn keys(&self, id: LeaseId, limit: usize) -> Vec<Arc<str>> {
        let lease = self.leases.get(&id);
        lease.into_iter().flat_map(|lease| lease.keys.iter().take(limit).cloned()).collect()
    }

    /// When the next lease expires.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A lease whose time is over at `now`.
    pub fn expired(&self, now: Instant) -> Option<LeaseId> {
        let (deadline, id) = self.deadlines.first()?;
        (*deadline <= now).then_some(*id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_earliest_deadline_is_next_and_keeping_alive_moves_it() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut leases = Leases::new(0);
        leases.insert(1, second, start + second);
        leases.insert(2, 2 * second, start + 2 * second);
        assert_eq!(leases.next_id(), 3);
        assert_eq!(leases.expired(start), None);
        leases.extend(1, start + 3 * second);
        assert_eq!(leases.next_deadline(), Some(start + 2 * second));
        assert_eq!(leases.expired(start + 2 * second), Some(2));
        leases.remove(2);
        assert_eq!(leases.expired(start + 2 * second), None);
    }

    #[test]
    fn a_key_lives_by_its_last_lease_only() {
        let mut leases = Leases::new(1);
        let key: Arc<str> = "/a".into();
        leases.insert(1, Duration::ZERO, Instant::now());
        leases.insert(2, Duration::ZERO, Instant::now());
        leases.attach(&key, None, Some(1));
        leases.attach(&key, Some(1), Some(2));
        assert_eq!((leases.keys(1, 9).len(), leases.keys(2, 9).len()), (0, 1));
        leases.attach(&key, Some(2), None);
        assert_eq!(leases.keys(2, 9).len(), 0);
    }
}
