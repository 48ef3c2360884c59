//! The log's two loops: one writes what waits, the other makes durable what is written.
//!
//! A disk that takes its time to make something durable must not hold up what is written: a kill takes along
//! what is not, and leaves what is. So neither loop waits for the other, and over an fsync only the next one waits.

use std::{mem, sync::Arc, time::Duration};

use tiphys_lifecycle::CancellationToken;
use tokio::sync::Notify;

use super::chain;
use crate::series::{
    log::{Current, LogError, make_durable},
    store::{Log, Store},
};

/// How long what comes waits to be written, and what is written to be made durable: a second together.
const FLUSH: Duration = Duration::from_millis(200);
const SYNC: Duration = Duration::from_millis(800);

/// Keeps the log until the process stops. All of it is durable then.
///
/// # Errors
/// The disk's, at the end.
pub async fn run(store: Arc<Store>, stop: CancellationToken) -> Result<(), LogError> {
    let Some(log) = &store.log else { return Ok(()) };
    let (writing, syncing) = (store.clone(), store.clone());
    let unwritten = |error: &LogError| {
        tracing::error!(error = %chain(error), "samples are in memory only");
    };
    let unsynced = |error: &LogError| {
        tracing::error!(error = %chain(error), "samples are in the log and not durable; tried each second");
    };
    let writes = again(&log.dirty, FLUSH, move || writing.write_log(), unwritten);
    let syncs = again(&log.written, SYNC, move || syncing.sync_log(), unsynced);
    stop.run_until_cancelled(async { tokio::join!(writes, syncs) }).await;
    let last = store.clone();
    // One that panicked has said so.
    tokio::task::spawn_blocking(move || last.flush_log()).await.unwrap_or(Ok(()))
}

/// Does some work so long after it became due, for ever. What fails is due again, and told of once.
async fn again(
    due: &Notify,
    after: Duration,
    work: impl Fn() -> Result<(), LogError> + Clone + Send + 'static,
    tell: impl Fn(&LogError),
) {
    let mut is_troubled = false;
    loop {
        due.notified().await;
        tokio::time::sleep(after).await;
        match tokio::task::spawn_blocking(work.clone()).await {
            Ok(Ok(())) => is_troubled = false,
            Ok(Err(error)) => {
                due.notify_one();
                if !mem::replace(&mut is_troubled, true) {
                    tell(&error);
                }
            }
            // One that panicked has said so; the next round goes on.
            Err(_) => due.notify_one(),
        }
    }
}

impl Store {
    /// Writes what waits for the log, and makes it durable.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::series::store) fn flush_log(&self) -> Result<(), LogError> {
        self.write_log()?;
        self.sync_log()
    }

    fn write_log(&self) -> Result<(), LogError> {
        self.log.as_ref().map_or(Ok(()), Log::write)
    }

    fn sync_log(&self) -> Result<(), LogError> {
        self.log.as_ref().map_or(Ok(()), Log::sync)
    }
}

impl Log {
    /// Writes what waits, and goes on in another segment where that is due.
    fn write(&self) -> Result<(), LogError> {
        let (written, should_end) = {
            let mut segments = self.segments.lock();
            (segments.flush(), segments.should_end())
        };
        // Also of what was written before the disk was full.
        self.written.notify_one();
        written?;
        if should_end { self.begin_segment() } else { Ok(()) }
    }

    /// Makes durable what was written when this begins.
    fn sync(&self) -> Result<(), LogError> {
        let _alone = self.syncing.lock();
        let unsynced = self.segments.lock().unsynced()?;
        make_durable(unsynced)
    }

    /// What comes from now on stands in another segment. Appends that had begun are done when this is.
    ///
    /// # Errors
    /// What waits could not be written.
    pub(in crate::series::store) fn begin_segment(&self) -> Result<(), LogError> {
        let mut current = self.current.write();
        let mut segments = self.segments.lock();
        segments.begin_next()?;
        *current = Current::new(segments.number());
        self.written.notify_one();
        Ok(())
    }
}
