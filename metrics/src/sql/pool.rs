//! The memory of statements: each session has so much, and all sessions together have so much.
//!
//! ```text
//! a sort, a join, a table's rows, a function ─> the session's own pool ─> what all have in common
//! ```
//!
//! What is taken is taken of both, or of none.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    common::{DataFusionError, Result},
    execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};

/// What all sessions have together.
#[derive(Debug)]
pub struct Common {
    limit: usize,
    held: AtomicUsize,
}

impl Common {
    pub fn new(limit: usize) -> Self {
        Self { limit, held: AtomicUsize::new(0) }
    }

    /// Bytes that are held now.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: usize) -> Result<()> {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.limit);
        match self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => {
                let said = format!("all statements together hold {} MiB at most", self.limit >> 20);
                let said = format!("{said}, and others hold them now; ask again later, or for less");
                Err(DataFusionError::ResourcesExhausted(said))
            }
        }
    }

    fn take(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The pool of a session.
#[derive(Debug)]
pub struct Pool {
    own: FairSpillPool,
    common: Arc<Common>,
}

impl Pool {
    pub fn new(limit: usize, common: Arc<Common>) -> Self {
        Self { own: FairSpillPool::new(limit), common }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.own, f)
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        self.own.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.common.take(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.common.give_back(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.own.try_grow(reservation, additional)?;
        let taken = self.common.try_take(additional);
        if taken.is_err() {
            self.own.shrink(reservation, additional);
        }
        taken
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.own.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new("a sort").register(pool)
    }

    #[test]
    fn abuse_35_sessions_hold_no_more_than_all_have_together() {
        let common = Arc::new(Common::new(1000));
        let pools: Vec<Arc<dyn MemoryPool>> =
            (0..3).map(|_| Arc::new(Pool::new(500, common.clone())) as Arc<dyn MemoryPool>).collect();
        let held: Vec<MemoryReservation> = pools.iter().map(consumer).collect();
        held[0].try_grow(500).expect("its own");
        held[0].try_grow(1).expect_err("no more than its own");
        held[1].try_grow(400).expect("its own");
        let refused = held[2].try_grow(200).expect_err("others have it").to_string();
        assert!(refused.contains("all statements together hold"), "{refused}");
        // Nothing of what was refused is held.
        assert_eq!((pools[2].reserved(), common.held()), (0, 900));
        held[2].try_grow(100).expect("what is left");
        held[0].shrink(300);
        held[2].try_grow(300).expect("what was given back");
        // What can't be refused counts all the same.
        held[1].grow(400);
        assert_eq!(common.held(), 1400);
        drop(held);
        assert_eq!(common.held(), 0);
        assert!(pools.iter().all(|pool| pool.reserved() == 0));
    }

    #[test]
    fn what_spills_has_its_share_of_a_session() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(1000, Arc::new(Common::new(1000))));
        let sorts = [(); 2].map(|()| MemoryConsumer::new("a sort").with_can_spill(true).register(&pool));
        sorts[0].try_grow(500).expect("half");
        sorts[0].try_grow(1).expect_err("the other half");
        let [first, second] = sorts;
        drop(second);
        first.try_grow(500).expect("all");
    }
}
