//! Who may ask a statement now: few at once, and one of a namespace.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Statements that are asked at once.
const AT_ONCE: usize = 4;

pub struct Seats {
    all: Arc<Semaphore>,
    /// By namespace, while somebody sits or waits.
    namespaces: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for Seats {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), namespaces: Mutex::default() }
    }
}

/// A seat, free again when it is dropped.
#[derive(Debug)]
pub struct Seat {
    _of_namespace: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// Waits for the namespace's turn first, so that it waits with one of its statements only for
    /// those of others.
    pub async fn take(&self, namespace: &str) -> Seat {
        let own = {
            let mut namespaces = self.namespaces.lock();
            // Who sits or waits has a clone.
            namespaces.retain(|_, own| Arc::strong_count(own) > 1);
            namespaces.entry(namespace.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
        };
        // They are never closed.
        let of_namespace = own.acquire_owned().await.ok();
        let of_all = self.all.clone().acquire_owned().await.ok();
        Seat { _of_namespace: of_namespace, _of_all: of_all }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn abuse_35_slow_statements_of_a_namespace_keep_nobody_else_waiting() {
        let seats = Seats::default();
        let first = seats.take("shop").now_or_never().expect("free");
        let mut waiting: Vec<_> = (0..AT_ONCE).map(|_| Box::pin(seats.take("shop"))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none(), "a namespace has one seat");
        }
        let others: Vec<_> =
            (1..AT_ONCE).map(|n| seats.take(&format!("n{n}")).now_or_never().expect("free")).collect();
        assert!(seats.take("late").now_or_never().is_none(), "all seats are taken");
        drop((first, others));
        assert!(waiting[0].as_mut().now_or_never().is_some(), "the next of the namespace sits");
        drop(waiting);
        assert!(seats.take("bank").now_or_never().is_some());
        assert_eq!(seats.namespaces.lock().len(), 1, "nobody else sits or waits");
    }
}
