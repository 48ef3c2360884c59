//! What a controller has just done and its cache does not show yet.
//!
//! A create is counted before it is sent and ticked off by the watch event (or
//! by its failure); a delete is noted by UID. While anything is open, the
//! owner isn't counted again: so a stale cache never makes a second Pod.
//! An expectation that isn't met in five minutes is dropped, in case an event
//! can't come any more.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::key::Key;

const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Default)]
pub struct Expectations {
    open: Mutex<HashMap<Key, Open>>,
}

struct Open {
    creates: usize,
    deletes: HashSet<String>,
    since: Instant,
}

impl Expectations {
    /// Before so many creates are sent.
    pub fn expect_creates(&self, owner: &Key, count: usize) {
        self.with(owner, |open| open.creates += count);
    }

    /// Before these objects are deleted.
    pub fn expect_deletes(&self, owner: &Key, uids: impl IntoIterator<Item = String>) {
        self.with(owner, |open| open.deletes.extend(uids));
    }

    /// A created object is seen, or its creation failed.
    pub fn created(&self, owner: &Key) {
        if let Some(open) = self.open.lock().get_mut(owner) {
            open.creates = open.creates.saturating_sub(1);
        }
    }

    /// So many creates were not sent after all.
    pub fn not_sent(&self, owner: &Key, count: usize) {
        if let Some(open) = self.open.lock().get_mut(owner) {
            open.creates = open.creates.saturating_sub(count);
        }
    }

    /// The deletion of an object is seen, or it failed.
    pub fn deleted(&self, owner: &Key, uid: &str) {
        if let Some(open) = self.open.lock().get_mut(owner) {
            open.deletes.remove(uid);
        }
    }

    /// Whether the cache shows everything that was done for this owner.
    pub fn met(&self, owner: &Key) -> bool {
        let mut all = self.open.lock();
        let Some(open) = all.get(owner) else { return true };
        let met = open.creates == 0 && open.deletes.is_empty() || open.since.elapsed() > PATIENCE;
        if met {
            all.remove(owner);
        }
        met
    }

    /// The owner is gone.
    pub fn forget(&self, owner: &Key) {
        self.open.lock().remove(owner);
    }

    fn with(&self, owner: &Key, change: impl FnOnce(&mut Open)) {
        let mut all = self.open.lock();
        let fresh = || Open { creates: 0, deletes: HashSet::new(), since: Instant::now() };
        let open = all.entry(owner.clone()).or_insert_with(fresh);
        open.since = Instant::now();
        change(open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn are_met_when_all_is_seen_or_after_five_minutes() {
        let (expectations, owner) = (Expectations::default(), Key::new("default", "web"));
        assert!(expectations.met(&owner));
        expectations.expect_creates(&owner, 2);
        expectations.expect_deletes(&owner, ["u1".to_owned()]);
        expectations.created(&owner);
        expectations.deleted(&owner, "u1");
        assert!(!expectations.met(&owner));
        expectations.not_sent(&owner, 1);
        assert!(expectations.met(&owner));

        expectations.expect_creates(&owner, 1);
        tokio::time::advance(Duration::from_secs(299)).await;
        assert!(!expectations.met(&owner));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(expectations.met(&owner));
    }
}
