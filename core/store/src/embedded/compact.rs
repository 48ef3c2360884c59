//! Giving up history: by request, and automatically.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Options, codec, disk::failed, engine::Engine, index::Position};
use crate::{Revision, StoreError};

/// Versions removed in one batch, so that writers get in between.
const CHUNK: usize = 1000;
/// Tables may hold this much more that nobody can read than what is alive, before they are written anew.
const SLACK_BYTES: u64 = 32 << 20;

impl Engine {
    /// Gives up the history up to `revision` and removes it from disk.
    pub fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let (removed, compacted) = {
            let mut state = self.state.write();
            let current = state.index.revision();
            if revision > current {
                return Err(StoreError::FutureRevision { requested: revision, current });
            }
            if revision <= state.index.compacted() {
                return Err(StoreError::Compacted { oldest: state.index.compacted() });
            }
            (state.index.compact(revision), state.index.compacted())
        };
        self.remove(&removed, compacted)?;
        self.shrink()
    }

    /// Removes what an interrupted compaction left, after the store was opened.
    pub fn finish_compaction(&self) -> Result<(), StoreError> {
        let (removed, compacted) = {
            let mut state = self.state.write();
            let compacted = state.index.compacted();
            (state.index.compact(compacted), compacted)
        };
        if removed.is_empty() { Ok(()) } else { self.remove(&removed, compacted) }
    }

    /// The new limit becomes durable with the first removals, before later ones.
    fn remove(&self, positions: &[Position], compacted: Revision) -> Result<(), StoreError> {
        let bytes: u64 = positions.iter().map(|position| u64::from(position.size)).sum();
        self.garbage.fetch_add(bytes, Ordering::Relaxed);
        let mut batch = self.disk.batch();
        batch.put(codec::COMPACTED, &compacted.to_le_bytes());
        for chunk in positions.chunks(CHUNK) {
            for position in chunk {
                batch.remove(&codec::history_key(position.revision, position.sub));
            }
            self.write(std::mem::replace(&mut batch, self.disk.batch()))?;
        }
        self.write(batch)
    }

    /// Gives disk back when much of it is garbage.
    fn shrink(&self) -> Result<(), StoreError> {
        let live = self.state.read().index.bytes();
        let garbage = self.garbage.load(Ordering::Relaxed);
        if garbage > live + SLACK_BYTES {
            self.garbage.fetch_sub(garbage, Ordering::Relaxed);
            self.disk.rewrite().map_err(failed)?;
            tracing::debug!(live, garbage, "store rewritten");
        }
        Ok(())
    }
}

/// Compacts from time to time, until the task is dropped.
pub async fn automatically(engine: Arc<Engine>) -> Result<(), StoreError> {
    let mut ticks = interval(engine.options.compact_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut past = Past::default();
    loop {
        let now = ticks.tick().await;
        let Some(target) = past.target(now, engine.revision(), &engine.options) else { continue };
        let engine = engine.clone();
        let compaction = tokio::task::spawn_blocking(move || match engine.compact(target) {
            Ok(()) | Err(StoreError::Compacted { .. }) => Ok(()),
            Err(error) => Err(error),
        });
        compaction.await.map_err(|error| StoreError::Io(format!("compaction: {error}")))??;
    }
}

/// Which revision was current when.
#[derive(Default)]
struct Past {
    samples: VecDeque<(Instant, Revision)>,
    compacted: Revision,
}

impl Past {
    /// Up to where history may go: what is older than the limit in time, or further back than the one in revisions.
    fn target(&mut self, now: Instant, revision: Revision, options: &Options) -> Option<Revision> {
        self.samples.push_back((now, revision));
        let mut target = revision.saturating_sub(options.history_revisions);
        while let Some((at, old)) = self.samples.front().copied() {
            if now.duration_since(at) < options.history_age {
                break;
            }
            target = target.max(old);
            self.samples.pop_front();
        }
        let fresh = target > self.compacted.max(1);
        fresh.then(|| {
            self.compacted = target;
            target
        })
    }
}

/// What is kept unless said otherwise: five minutes, or 10,000 revisions if that is less.
pub const HISTORY: (Duration, Revision) = (Duration::from_secs(300), 10_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_goes_by_age_or_by_count_whichever_is_first() {
        let options =
            Options { history_age: Duration::from_secs(60), history_revisions: 100, ..Options::default() };
        let start = Instant::now();
        let mut past = Past::default();
        let mut target =
            |seconds: u64, revision| past.target(start + Duration::from_secs(seconds), revision, &options);
        assert_eq!(target(0, 1), None);
        assert_eq!(target(30, 50), None);
        assert_eq!(target(60, 60), None);
        assert_eq!(target(90, 60), Some(50));
        assert_eq!(target(100, 300), Some(200));
        assert_eq!(target(130, 300), None);
        assert_eq!(target(160, 300), Some(300));
        assert_eq!(target(500, 300), None);
    }
}
