//! Upkeep: what is done with splits now and then, beside commits and searches.
//!
//! A split that the disk or the system doesn't give for a while ([`super::unread`]) keeps none of
//! it from being done with the others. One that could not be opened is tried at each upkeep; one
//! that a merge or a purge could not read rests, since either has written much by the time it fails.

use std::time::{Duration, Instant};

use super::{IndexError, Store, store::State};

/// How long a split is left alone that could not be read to be written again.
const REST: Duration = Duration::from_secs(3600);

impl Store {
    /// Deletes what is to be gone, opens what could not be opened, merges. `read` are UIDs and
    /// namespaces whose log files are still read. Blocks; one at a time.
    pub fn upkeep(&self, read: &[(String, String)]) -> Result<(), IndexError> {
        self.expire()?;
        self.reopen()?;
        // What is to be gone first, and what was ordered to go meanwhile.
        while self.purge()? || self.merge()? {}
        self.forget_gone(read);
        Ok(())
    }

    fn reopen(&self) -> Result<(), IndexError> {
        let unopened: Vec<u64> = {
            let mut state = self.state.write();
            let now = Instant::now();
            state.resting.retain(|_, until| now < *until);
            state.unopened.iter().copied().collect()
        };
        unopened.into_iter().try_for_each(|id| self.open_split(id))
    }

    /// Leaves a split alone that could not be read to be written again.
    pub(super) fn rest(&self, id: u64, why: &str) {
        tracing::warn!(split = id, why, pause = ?REST, "split can't be read to be written again, which is tried later");
        self.state.write().resting.insert(id, Instant::now() + REST);
    }
}

impl State {
    pub fn is_resting(&self, id: u64) -> bool {
        self.resting.get(&id).is_some_and(|until| Instant::now() < *until)
    }
}
