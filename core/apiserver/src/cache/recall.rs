//! What happened before the cache began: read back out of the store's history when the first watch
//! asks for it, so that clients go on with a server that was started again.
//!
//! Only as much as the ring has room for; what the store has given up stays expired.

use std::{sync::Arc, time::Duration};

use tiphys_store::{Event, Revision, StoreError};
use tokio::time::{MissedTickBehavior, interval};

use super::{CacheError, EventKind, ResourceCache, ring::Change};

/// How often the store is asked how far a prefix is that nothing happened in.
const ASK_EVERY: Duration = Duration::from_millis(20);

impl ResourceCache {
    /// Brings the changes after a revision into the ring, if it lacks them and they can be had.
    pub(super) async fn recall(&self, after: Revision) -> Result<(), CacheError> {
        if self.complete_after() <= after {
            return Ok(());
        }
        // One reads; those who wait find it done.
        let _reading = self.shared.recalling.lock().await;
        let until = self.complete_after();
        if until <= after || until - after > self.limits.ring_events as Revision {
            return Ok(());
        }
        match tokio::time::timeout(self.limits.wait, self.history(after, until)).await {
            Ok(Ok(changes)) => self.shared.state.write().ring.prepend(changes, after, until),
            Ok(Err(StoreError::Compacted { .. } | StoreError::SlowWatcher { .. })) => {}
            Ok(Err(error)) => return Err(error.into()),
            // The client lists again, as it would of what is gone.
            Err(_) => {
                tracing::warn!(prefix = %self.shared.layout.prefix, "the store's history comes too late")
            }
        }
        Ok(())
    }

    fn complete_after(&self) -> Revision {
        self.shared.state.read().ring.complete_after()
    }

    /// The changes of the revisions between the two, the second one included.
    async fn history(&self, after: Revision, until: Revision) -> Result<Vec<Arc<Change>>, StoreError> {
        let mut watch = self.shared.store.watch(&self.shared.layout.prefix, after + 1).await?;
        let progress = watch.progress();
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = Vec::new();
        loop {
            let batch = tokio::select! {
                batch = watch.next() => batch.ok_or(StoreError::Closed)??,
                _ = ticks.tick() => {
                    progress.request();
                    continue;
                }
            };
            let wanted = batch.events.into_iter().filter(|event| event.revision <= until);
            changes.extend(wanted.map(|event| Arc::new(self.change(&event))));
            if batch.revision >= until {
                return Ok(changes);
            }
        }
    }

    fn change(&self, event: &Event) -> Change {
        let kind = if event.previous.is_some() { EventKind::Modified } else { EventKind::Added };
        let decoded = |record, kind| Arc::new(self.shared.decode(record, kind));
        let previous = event.previous.as_ref().map(|record| decoded(record, EventKind::Added));
        Change::new(event.revision, previous, event.current.as_ref().map(|record| decoded(record, kind)))
    }
}
