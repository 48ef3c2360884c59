//! What keeps a cache up to date: reads the prefix once, then follows the store's
//! watch; begins anew when the store has cut it off.

use std::{collections::HashMap, sync::Arc};

use tiphys_store::{Event, Range, Record, Revision, StoreError, Watch, WatchBatch};

use super::{CachedObject, EventKind, resource::Shared, ring::Change, state::Objects};

/// Objects read in one go.
const PAGE: usize = 500;

impl Shared {
    /// Feeds the cache until the store closes.
    pub(super) async fn feed(self: Arc<Self>) -> Result<(), StoreError> {
        loop {
            let (objects, revision) = self.load().await?;
            let mut watch = self.store.watch(&self.layout.prefix, revision + 1).await?;
            *self.progress.lock() = Some(watch.progress());
            self.state.write().replace(objects, revision);
            self.revision.send_replace(revision);
            match self.follow(&mut watch).await {
                Ok(()) => {
                    self.close();
                    return Ok(());
                }
                Err(error @ (StoreError::Compacted { .. } | StoreError::SlowWatcher { .. })) => {
                    tracing::warn!(prefix = %self.layout.prefix, %error, "watch cache reads everything anew");
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn load(&self) -> Result<(Objects, Revision), StoreError> {
        let mut objects = Objects::new();
        let mut range = Range { limit: Some(PAGE), ..Range::prefix(self.layout.prefix.as_str()) };
        loop {
            let page = self.store.range(range.clone()).await?;
            for record in &page.records {
                let object = Arc::new(self.decode(record, EventKind::Added));
                objects.insert(object.key.clone(), object);
            }
            if !page.more {
                return Ok((objects, page.revision));
            }
            range.revision = Some(page.revision);
            range.start_after = page.records.last().map(|record| record.key.clone());
        }
    }

    async fn follow(&self, watch: &mut Watch) -> Result<(), StoreError> {
        while let Some(batch) = watch.next().await {
            let WatchBatch { events, revision } = batch?;
            let changes = self.changes(events);
            let mut state = self.state.write();
            state.apply(changes, revision);
            let revision = state.revision;
            drop(state);
            self.revision.send_replace(revision);
        }
        Ok(())
    }

    /// Events as changes of objects, decoded before anybody is kept waiting.
    fn changes(&self, events: Vec<Event>) -> Vec<Change> {
        let mut fresh: HashMap<String, Option<Arc<CachedObject>>> = HashMap::new();
        let state = self.state.read();
        let changes = events.into_iter().map(|event| {
            let kind = if event.previous.is_some() { EventKind::Modified } else { EventKind::Added };
            let current = event.current.as_ref().map(|record| Arc::new(self.decode(record, kind)));
            let previous = match fresh.insert(event.key.clone(), current.clone()) {
                Some(previous) => previous,
                None => state.objects.get(event.key.as_str()).cloned(),
            };
            Change::new(event.revision, previous, current)
        });
        changes.collect()
    }

    pub(super) fn decode(&self, record: &Record, kind: EventKind) -> CachedObject {
        CachedObject::decode(&self.layout, &record.key, &record.value, record.mod_revision, kind)
    }
}
