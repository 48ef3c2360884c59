//! A watch: batches of events in the order of revisions.

use std::sync::Arc;

use futures::{StreamExt, stream::BoxStream};

use crate::{Record, Revision, StoreError};

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub key: String,
    pub revision: Revision,
    /// The record after a put; `None` after a deletion.
    pub current: Option<Record>,
    /// The record before; `None` if the key was absent.
    pub previous: Option<Record>,
}

/// The next events. A batch never splits a revision; one without events is mere progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchBatch {
    pub events: Vec<Event>,
    /// With this batch every event of the prefix up to this revision has been delivered.
    pub revision: Revision,
}

/// A running watch; dropping it ends it. After an error it gives nothing more.
pub struct Watch {
    batches: BoxStream<'static, Result<WatchBatch, StoreError>>,
    progress: Progress,
}

/// Asks the store of a watch for a sign of progress; cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn() + Send + Sync>);

impl Watch {
    /// For implementations: the batches, and what [`Progress::request`] does.
    pub fn new(
        batches: BoxStream<'static, Result<WatchBatch, StoreError>>,
        request_progress: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { batches, progress: Progress(Arc::new(request_progress)) }
    }

    /// The next batch. `None` after an error or when the store was shut down. May be
    /// dropped while it waits without losing a batch.
    pub async fn next(&mut self) -> Option<Result<WatchBatch, StoreError>> {
        self.batches.next().await
    }

    /// A handle to ask for progress while the watch is being read elsewhere.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Progress {
    /// Makes the watch deliver a batch (maybe without events) whose revision is at
    /// least the store's present one. Several requests may be answered by one batch.
    pub fn request(&self) {
        (self.0)();
    }
}
