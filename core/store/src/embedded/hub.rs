//! The live watchers and what they are sent. Publishing and joining exclude each
//! other, so that a watcher that joins at a revision misses nothing after it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};

use super::{apply::Change, disk::View};
use crate::{
    Event, Revision, StoreError, WatchBatch,
    queue::{Bounds, Queue},
};

/// Names a live watcher.
pub type WatcherId = u64;

#[derive(Default)]
pub struct Hub {
    watchers: Mutex<Watchers>,
}

/// The watchers, while nobody else publishes or joins.
pub struct Locked<'a>(MutexGuard<'a, Watchers>);

#[derive(Default)]
struct Watchers {
    live: HashMap<WatcherId, Live>,
    closed: bool,
}

struct Live {
    prefix: String,
    /// Events before this revision are not wanted.
    from: Revision,
    /// Up to here it has been told.
    told: Revision,
    queue: Arc<Queue>,
}

impl Hub {
    pub fn lock(&self) -> Locked<'_> {
        Locked(self.watchers.lock())
    }

    pub fn leave(&self, id: WatcherId) {
        self.watchers.lock().live.remove(&id);
    }

    /// Ends every watch, after what is in its buffer.
    pub fn close(&self) {
        let mut watchers = self.watchers.lock();
        watchers.closed = true;
        for (_, live) in watchers.live.drain() {
            live.queue.close();
        }
    }
}

impl Locked<'_> {
    /// Joins at `revision`, up to which the watcher has seen everything.
    pub fn join(
        &mut self,
        id: WatcherId,
        prefix: &str,
        from: Revision,
        revision: Revision,
        bounds: Bounds,
    ) -> Arc<Queue> {
        let queue = Arc::new(Queue::new(bounds));
        if self.0.closed {
            queue.close();
        } else {
            let live = Live { prefix: prefix.to_owned(), from, told: revision, queue: queue.clone() };
            self.0.live.insert(id, live);
        }
        queue
    }

    /// The events of a group of changes, a list for each watcher that wants some.
    pub fn events(
        &self,
        changes: &[Change],
        view: &View<'_>,
    ) -> Result<Vec<(WatcherId, Vec<Event>)>, StoreError> {
        let mut lists: HashMap<WatcherId, Vec<Event>> = HashMap::new();
        for change in changes {
            let wanting = self.0.live.iter().filter(|(_, live)| live.wants(change));
            let mut event = None;
            for (id, _) in wanting {
                let event = match &mut event {
                    Some(event) => event,
                    empty => empty.insert(change.event(view)?),
                };
                lists.entry(*id).or_default().push(event.clone());
            }
        }
        Ok(lists.into_iter().collect())
    }

    /// Hands out what [`Locked::events`] made; watchers that can't take it are cut off.
    pub fn send(&mut self, lists: Vec<(WatcherId, Vec<Event>)>, revision: Revision) {
        for (id, events) in lists {
            self.tell(id, WatchBatch { events, revision });
        }
    }

    /// Lets one watcher know that it has seen everything up to `revision`.
    pub fn progress(&mut self, id: WatcherId, revision: Revision) {
        if self.0.live.get(&id).is_some_and(|live| live.told < revision) {
            self.tell(id, WatchBatch { events: Vec::new(), revision });
        }
    }

    /// [`Locked::progress`] for all.
    pub fn progress_all(&mut self, revision: Revision) {
        let ids: Vec<_> = self.0.live.keys().copied().collect();
        for id in ids {
            self.progress(id, revision);
        }
    }

    fn tell(&mut self, id: WatcherId, batch: WatchBatch) {
        let Some(live) = self.0.live.get_mut(&id) else { return };
        live.told = batch.revision;
        if !live.queue.push(batch) {
            tracing::warn!(prefix = %live.prefix, "watcher of the store fell behind and was cut off");
            self.0.live.remove(&id);
        }
    }
}

impl Live {
    fn wants(&self, change: &Change) -> bool {
        change.revision >= self.from && change.key.starts_with(&self.prefix)
    }
}

impl Change {
    fn event(&self, view: &View<'_>) -> Result<Event, StoreError> {
        Ok(Event {
            key: self.key.to_string(),
            revision: self.revision,
            current: self.record.clone(),
            previous: self.previous.record(view)?,
        })
    }
}
