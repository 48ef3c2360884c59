//! Samples and values that all running queries hold together: what one may hold is bounded by
//! [`Limits`](super::Limits), and this bounds what several of them come to.
//!
//! A query's share grows as it reads and is given back as a whole, when its answer is sent or
//! nobody waits for it any more. One user's queries get less than there is, so that something is
//! left for others.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::QueryError;

/// Samples and values of all queries, at 8 to 16 bytes each.
const IN_ALL: usize = 100_000_000;
/// ... of those of one user.
const OF_ONE: usize = 75_000_000;

/// What there is to share. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    in_all: usize,
    of_one: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// By user; gone when it is nothing.
    own: HashMap<String, usize>,
}

/// What one query holds. Clones are of the same query; the last of them gives it back.
#[derive(Debug, Clone)]
pub struct Share(Arc<Own>);

#[derive(Debug)]
struct Own {
    budget: Budget,
    user: String,
    held: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(IN_ALL, OF_ONE)
    }
}

impl Budget {
    /// So many samples `in_all`, and so many `of_one` user.
    pub fn new(in_all: usize, of_one: usize) -> Self {
        Self(Arc::new(Shared { in_all, of_one, held: Mutex::default() }))
    }

    /// The share of a query that is about to run.
    pub fn share(&self, user: &str) -> Share {
        Share(Arc::new(Own { budget: self.clone(), user: user.to_owned(), held: AtomicUsize::new(0) }))
    }

    /// What all queries hold now.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.0.held.lock().all
    }
}

impl Default for Share {
    /// Of a query that shares with no other.
    fn default() -> Self {
        Budget::new(usize::MAX, usize::MAX).share("")
    }
}

impl Share {
    /// Takes so much more.
    ///
    /// # Errors
    /// There is not so much left; nothing was taken.
    pub fn take(&self, count: usize) -> Result<(), QueryError> {
        let Own { budget, user, held } = &*self.0;
        let Shared { in_all, of_one, held: all_held } = &*budget.0;
        let mut all_held = all_held.lock();
        let own = all_held.own.get(user).copied().unwrap_or(0).saturating_add(count);
        if own > *of_one {
            return Err(QueryError::Busy(format!(
                "your running queries together would hold more than {of_one} samples; \
                 try again when others have ended, or narrow this one by labels or by time"
            )));
        }
        let all = all_held.all.saturating_add(count);
        if all > *in_all {
            return Err(QueryError::Busy(format!(
                "all running queries together would hold more than {in_all} samples; \
                 try again when others have ended, or narrow this one by labels or by time"
            )));
        }
        all_held.all = all;
        all_held.own.insert(user.clone(), own);
        held.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let count = *self.held.get_mut();
        let mut held = self.budget.0.held.lock();
        held.all = held.all.saturating_sub(count);
        if let Some(own) = held.own.get_mut(&self.user) {
            *own = own.saturating_sub(count);
            if *own == 0 {
                held.own.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_35_queries_share_and_give_back_when_their_last_holder_goes() {
        let budget = Budget::new(100, 70);
        let share = |user| budget.share(user);
        let (first, second, other) = (share("a"), share("a"), share("b"));
        first.take(50).expect("there is so much");
        let refused = second.take(30).expect_err("a user's queries have less than all");
        assert!(refused.to_string().contains("your running queries"), "{refused}");
        second.take(20).expect("what was refused was not taken");
        other.take(30).expect("something is left for others");
        let refused = other.take(1).expect_err("nothing is left");
        assert!(refused.to_string().contains("all running queries"), "{refused}");
        let sent = first.clone();
        drop(first);
        assert_eq!(budget.held(), 100, "its answer is still being sent");
        drop(sent);
        assert_eq!(budget.held(), 50);
        drop((second, other));
        assert_eq!((budget.held(), budget.0.held.lock().own.len()), (0, 0));
    }
}
