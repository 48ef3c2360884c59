//! Room in memory for what collectors answer, shared by all questions of a server.
//!
//! An answer waits for room of its size before it is read, and gives it back when it is
//! taken in. A hundred nodes may answer at once, each with tens of megabytes: they are
//! read as room becomes free, not all together. Who holds room never waits for more.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of answers that are held unread at a time.
const ROOM: usize = 256 << 20;
/// The unit of room.
const UNIT: usize = 1 << 10;

#[derive(Clone)]
pub struct Room {
    units: Arc<Semaphore>,
    all: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(ROOM)
    }
}

impl Room {
    /// Of so many bytes.
    pub fn of(bytes: usize) -> Self {
        let all = (bytes / UNIT).max(1);
        Self { units: Arc::new(Semaphore::new(all)), all }
    }

    /// Waits for room for so many bytes; for all there is, if there is not that much.
    pub async fn take(&self, bytes: usize) -> Held {
        let units = bytes.div_ceil(UNIT).clamp(1, self.all);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        // It is never closed.
        Held(self.units.clone().acquire_many_owned(units).await.ok())
    }
}

/// Room until it is dropped.
pub struct Held(#[expect(dead_code, reason = "held, not looked at")] Option<OwnedSemaphorePermit>);

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn answers_wait_until_there_is_room() {
        let room = Room::of(10 * UNIT);
        let first = room.take(6 * UNIT - 1).await;
        let second = room.take(4 * UNIT).now_or_never();
        assert!(second.is_some() && room.take(1).now_or_never().is_none());
        drop(first);
        assert!(room.take(6 * UNIT).now_or_never().is_some());
        drop(second);
        // What is greater than all of it takes all of it.
        let all = room.take(usize::MAX).now_or_never();
        assert!(all.is_some() && room.take(1).now_or_never().is_none());
    }
}
