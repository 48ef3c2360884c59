//! A watch: first what happened since its revision, from the disk, then live.
//!
//! While it catches up nothing is buffered for it: it reads the next part when it
//! is asked for one. It goes live at a moment when nobody publishes and it has
//! seen everything, so there is neither a gap nor a duplicate.

use std::sync::{Arc, Weak, atomic::Ordering};

use futures::{StreamExt, stream};

use super::{engine::Engine, hub::WatcherId};
use crate::{
    Event, Revision, StoreError, Watch, WatchBatch,
    queue::{Bounds, Queue},
};

/// Events, or bytes of values, that are read from disk in one part.
const PART_EVENTS: usize = 1000;
const PART_BYTES: usize = 4 << 20;

/// A watch of `prefix` from revision `from` on.
pub fn watch(engine: &Arc<Engine>, prefix: &str, from: Revision) -> Result<Watch, StoreError> {
    let from = from.max(1);
    engine.check_kept(from)?;
    let id = engine.next_watcher.fetch_add(1, Ordering::Relaxed);
    let membership = Membership { engine: Arc::downgrade(engine), id };
    let cursor = Cursor { membership, prefix: prefix.into(), next: from, phase: Phase::CatchingUp };
    let batches = stream::unfold(cursor, |mut cursor| async move {
        let batch = cursor.step().await?;
        Some((batch, cursor))
    });
    let engine = Arc::downgrade(engine);
    Ok(Watch::new(batches.boxed(), move || {
        let Some(engine) = engine.upgrade() else { return };
        let mut watchers = engine.hub.lock();
        watchers.progress(id, engine.revision());
    }))
}

struct Cursor {
    membership: Membership,
    prefix: Arc<str>,
    /// The first revision that the watcher hasn't been told of.
    next: Revision,
    phase: Phase,
}

enum Phase {
    CatchingUp,
    Live(Arc<Queue>),
    Ended,
}

/// Leaves the hub with the watch. A watch that somebody still holds doesn't keep the
/// store's files open.
struct Membership {
    engine: Weak<Engine>,
    id: WatcherId,
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.hub.leave(self.id);
        }
    }
}

impl Cursor {
    async fn step(&mut self) -> Option<Result<WatchBatch, StoreError>> {
        loop {
            match &self.phase {
                Phase::Ended => return None,
                Phase::Live(queue) => return queue.next().await,
                Phase::CatchingUp => {}
            }
            let engine = self.membership.engine.upgrade()?;
            if let Some(seen) = self.go_live(&engine) {
                return Some(Ok(WatchBatch { events: Vec::new(), revision: seen }));
            }
            match self.read_part(engine).await {
                Ok(batch) => {
                    self.next = batch.revision + 1;
                    if !batch.events.is_empty() {
                        return Some(Ok(batch));
                    }
                }
                Err(error) => {
                    self.phase = Phase::Ended;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Joins the live watchers if nothing is left to catch up on; gives the revision it has seen.
    fn go_live(&mut self, engine: &Engine) -> Option<Revision> {
        let bounds = Bounds { events: engine.options.watch_events, bytes: engine.options.watch_bytes };
        let mut watchers = engine.hub.lock();
        let revision = engine.revision();
        if self.next <= revision {
            return None;
        }
        self.phase =
            Phase::Live(watchers.join(self.membership.id, &self.prefix, self.next, revision, bounds));
        Some(revision)
    }

    async fn read_part(&self, engine: Arc<Engine>) -> Result<WatchBatch, StoreError> {
        let (prefix, from) = (self.prefix.clone(), self.next);
        let part = tokio::task::spawn_blocking(move || engine.history_part(&prefix, from));
        part.await.map_err(|error| StoreError::Io(format!("reading history: {error}")))?
    }
}

impl Engine {
    /// Refuses a watch whose first revision is gone.
    fn check_kept(&self, from: Revision) -> Result<(), StoreError> {
        let compacted = self.state.read().index.compacted();
        if from <= compacted { Err(StoreError::Compacted { oldest: compacted + 1 }) } else { Ok(()) }
    }

    /// Events of a prefix from a revision on: as many as make up a part, never half a revision.
    fn history_part(&self, prefix: &str, from: Revision) -> Result<WatchBatch, StoreError> {
        let (view, to) = {
            let state = self.state.read();
            (self.disk.view(), state.index.revision())
        };
        let mut batch = WatchBatch { events: Vec::new(), revision: to };
        let mut bytes = 0;
        for version in view.history(from, to) {
            let (revision, stored) = version?;
            let full = batch.events.len() >= PART_EVENTS || bytes >= PART_BYTES;
            if full && batch.events.last().is_some_and(|last| last.revision < revision) {
                batch.revision = revision - 1;
                break;
            }
            if !stored.key.starts_with(prefix) {
                continue;
            }
            bytes += stored.value.len();
            let former = self.state.read().index.at(&stored.key, revision - 1);
            batch.events.push(Event {
                key: stored.key.clone(),
                revision,
                previous: former.map(|position| view.record(position)).transpose()?,
                current: (!stored.tombstone).then(|| stored.into_record(revision)),
            });
        }
        // What was compacted meanwhile may have lacked its former version, or be missing itself.
        self.check_kept(from)?;
        Ok(batch)
    }
}
