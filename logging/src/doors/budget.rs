//! The memory that all requests at the doors may take, from the first byte read
//! until their records are in the store.
//!
//! Counted in bytes of unpacked requests. What doesn't fit waits for a moment and
//! is then told to come again: a fast sender can't take the memory of the searches.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::Refusal;

/// Of all requests together.
pub const TOTAL: usize = 32 << 20;
/// How long a request waits for memory.
const WAIT: Duration = Duration::from_secs(3);
/// Counted in pieces of this size.
const PIECE: usize = 4 << 10;

/// What all requests share.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / PIECE)))
    }

    /// A request's share, which is nothing yet.
    pub fn hold(&self) -> Hold {
        Hold { budget: self.0.clone(), permit: None }
    }
}

/// What one request holds; given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    budget: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Hold {
    /// So many bytes in all; waits a moment for them.
    pub async fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let missing = self.missing(bytes);
        if missing == 0 {
            return Ok(());
        }
        let permit = tokio::time::timeout(WAIT, self.budget.clone().acquire_many_owned(missing)).await;
        self.add(permit.map_err(|_| full())?.map_err(|_| full())?);
        Ok(())
    }

    /// The same on a thread that may block.
    pub fn grow_to_blocking(&mut self, bytes: usize) -> Result<(), Refusal> {
        match self.missing(bytes) {
            0 => Ok(()),
            _ => Handle::current().block_on(self.grow_to(bytes)),
        }
    }

    fn missing(&self, bytes: usize) -> u32 {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from(bytes.div_ceil(PIECE).saturating_sub(held)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
    }
}

fn full() -> Refusal {
    Refusal::busy("the collector's memory for incoming records is full: send again later, or less at once")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_given_back() {
        let budget = Budget::new(4 * PIECE);
        let (mut one, mut two) = (budget.hold(), budget.hold());
        one.grow_to(1).await.expect("room");
        one.grow_to(3 * PIECE).await.expect("room");
        two.grow_to(PIECE).await.expect("room");
        assert!(two.grow_to(PIECE + 1).await.is_err());
        drop(one);
        two.grow_to(4 * PIECE).await.expect("room again");
        assert!(two.grow_to(u32::MAX as usize).await.is_err());
    }
}
