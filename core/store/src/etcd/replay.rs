//! A watch of the store: first what happened since its revision, then live.
//!
//! What the hub still remembers is taken from there. Further back a watch of etcd
//! of its own reads, over everything and not only its prefix: so it meets the
//! event up to which the hub is, knows that it has caught up, and joins.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use tokio::time::sleep;

use super::{
    Shared,
    hub::{Joined, WatcherId},
    stream::{Ended, Reader},
};
use crate::{Revision, StoreError, Watch, WatchBatch, queue::Queue};

/// Before a watch that broke is opened again.
const PAUSE: Duration = Duration::from_millis(200);

/// A watch of `prefix` from revision `from` on.
pub async fn watch(shared: &Arc<Shared>, prefix: &str, from: Revision) -> Result<Watch, StoreError> {
    // Nothing ever has revision 1.
    let next = from.max(2);
    shared.check_known(next)?;
    let id = shared.hub.enter();
    let seat = Seat { shared: shared.clone(), id };
    let prefix: Arc<str> = prefix.into();
    let phase = match shared.hub.join(id, &prefix, next) {
        Joined::Live { queue, backlog, revision } => Phase::Joined(queue, backlog, revision),
        Joined::Behind { .. } => {
            shared.check_kept(next).await?;
            Phase::CatchingUp(None)
        }
    };
    let cursor = Cursor { seat, prefix, next, phase };
    let batches = stream::unfold(cursor, |mut cursor| async move {
        let batch = cursor.step().await?;
        Some((batch, cursor))
    });
    let asked = shared.clone();
    Ok(Watch::new(batches.boxed(), move || asked.request_progress(id)))
}

struct Cursor {
    seat: Seat,
    prefix: Arc<str>,
    /// The first revision that the watcher hasn't been told of.
    next: Revision,
    phase: Phase,
}

enum Phase {
    CatchingUp(Option<Box<Reader>>),
    /// It is live, and has yet to be told what came before.
    Joined(Arc<Queue>, Vec<crate::Event>, Revision),
    Live(Arc<Queue>),
    Ended,
}

/// Leaves the hub with the watch.
struct Seat {
    shared: Arc<Shared>,
    id: WatcherId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.hub.leave(self.id);
    }
}

impl Cursor {
    async fn step(&mut self) -> Option<Result<WatchBatch, StoreError>> {
        loop {
            match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Ended => return None,
                Phase::Live(queue) => {
                    let batch = queue.next().await;
                    self.phase = Phase::Live(queue);
                    return batch;
                }
                Phase::Joined(queue, events, revision) => {
                    self.phase = Phase::Live(queue);
                    // What it waited for may be further than the hub is.
                    self.seat.shared.request_progress(self.seat.id);
                    return Some(Ok(WatchBatch { events, revision }));
                }
                Phase::CatchingUp(reader) => match self.catch_up(reader).await {
                    Ok(Some(batch)) => return Some(Ok(batch)),
                    Ok(None) => {}
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }

    /// One step of it: joins the hub, or reads some of the past.
    async fn catch_up(&mut self, reader: Option<Box<Reader>>) -> Result<Option<WatchBatch>, StoreError> {
        let shared = self.seat.shared.clone();
        match shared.hub.join(self.seat.id, &self.prefix, self.next) {
            Joined::Live { queue, backlog, revision } => {
                self.phase = Phase::Joined(queue, backlog, revision);
                return Ok(None);
            }
            Joined::Behind { anchored: true } => {}
            Joined::Behind { anchored: false } => {
                match shared.touch().await {
                    Ok(revision) => shared.hub.reached(revision).await,
                    Err(StoreError::Closed) => return Err(StoreError::Closed),
                    Err(error) => {
                        tracing::warn!(%error, "watch of the past waits for etcd");
                        sleep(PAUSE).await;
                    }
                }
                self.phase = Phase::CatchingUp(reader);
                return Ok(None);
            }
        }
        let outcome = match reader {
            Some(mut reader) => reader.next(&shared).await.map(|batch| (reader, Some(batch))),
            None => Reader::open(&shared, self.next).await.map(|reader| (Box::new(reader), None)),
        };
        match outcome {
            Ok((reader, batch)) => {
                self.phase = Phase::CatchingUp(Some(reader));
                Ok(batch.and_then(|batch| self.take(batch)))
            }
            Err(Ended::Compacted(revision)) => Err(StoreError::Compacted { oldest: revision + 1 }),
            Err(Ended::Broken(why)) => {
                if shared.members.closed().is_cancelled() {
                    return Err(StoreError::Closed);
                }
                tracing::debug!(%why, "watch of the past is opened again");
                sleep(PAUSE).await;
                self.phase = Phase::CatchingUp(None);
                Ok(None)
            }
        }
    }

    /// What of a batch is new and of the prefix.
    fn take(&mut self, batch: super::stream::Batch) -> Option<WatchBatch> {
        let super::stream::Batch { mut events, revision } = batch;
        events.retain(|event| event.revision >= self.next && event.key.starts_with(&*self.prefix));
        self.next = self.next.max(revision + 1);
        (!events.is_empty()).then_some(WatchBatch { events, revision })
    }
}
