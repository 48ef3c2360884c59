//! The store in a folder of this machine: multi-version records in fjall, an
//! index in memory, one writer.
//!
//! ```text
//! transact ──> writer (group commit, one fsync) ──> disk: revision -> record
//!                                               ──> index: key -> its revisions
//!                                               ──> hub ──> queues of live watchers
//! watch ─────> replay from disk, then a queue      compaction ──> index, disk
//! ```
//!
//! Bounds: 4,096 requests wait for the writer, then callers wait; a watcher's queue
//! holds [`Options::watch_events`] events or [`Options::watch_bytes`]; history is kept for
//! [`Options::history_age`] or [`Options::history_revisions`]. Values are not kept in
//! memory beyond the block cache and the engine's write buffer (8 MB each).
//!
//! In the folder: `db/` is fjall's, `acknowledged` the high-water mark.

mod apply;
mod clock;
mod codec;
mod compact;
mod disk;
mod engine;
mod hub;
mod index;
mod leases;
mod load;
mod mark;
mod rebuild;

mod replay;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::RwLock;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use self::{
    disk::Disk,
    engine::Engine,
    mark::Mark,
    writer::{Request, Writer},
};
use crate::{LeaseId, Page, Range, Record, Revision, Store, StoreError, Txn, TxnResult, Watch};

/// Requests that wait for the writer before callers wait themselves.
const WAITING: usize = 4096;

/// What may be chosen about an embedded store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of the block cache.
    pub cache_bytes: u64,
    /// Bytes of one value.
    pub largest_value: usize,
    /// History older than this is given up.
    pub history_age: Duration,
    /// So is what lies further back than this.
    pub history_revisions: Revision,
    /// How often that is looked at.
    pub compact_every: Duration,
    /// How often quiet watchers are told how far the store is.
    pub progress_every: Duration,
    /// How often the high-water mark is written, if anything changed.
    pub mark_every: Duration,
    /// How far a watcher may be behind.
    pub watch_events: usize,
    /// Likewise, in bytes of values.
    pub watch_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        let (history_age, history_revisions) = compact::HISTORY;
        Self {
            cache_bytes: 8 << 20,
            largest_value: 3 << 20,
            history_age,
            history_revisions,
            compact_every: Duration::from_secs(30),
            progress_every: Duration::from_secs(10),
            mark_every: Duration::from_secs(1),
            watch_events: 8192,
            watch_bytes: 64 << 20,
        }
    }
}

/// The embedded store. It runs until its task group is shut down; dropping it
/// alone ends nothing.
pub struct Embedded {
    engine: Arc<Engine>,
    requests: mpsc::Sender<Request>,
}

impl Embedded {
    /// Opens the store in a folder, which is made if it isn't there. A damaged store,
    /// and one that is in use, is refused.
    pub async fn open(path: impl Into<PathBuf>, tasks: &Tasks) -> Result<Arc<Self>, StoreError> {
        Self::open_with(path, Options::default(), tasks).await
    }

    /// [`Embedded::open`] with other than the usual options.
    pub async fn open_with(
        path: impl Into<PathBuf>,
        options: Options,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, StoreError> {
        let path = path.into();
        let opening = path.clone();
        let engine = match tokio::task::spawn_blocking(move || open_engine(&opening, options)).await {
            Ok(opened) => Arc::new(opened?),
            Err(panic) => return Err(StoreError::Damaged { path, what: panic.to_string() }),
        };
        let (requests, receiver) = mpsc::channel(WAITING);
        let mark = Arc::new(Mark::of(&path));
        let writer = Writer { engine: engine.clone(), requests: receiver, held: None, mark: mark.clone() };
        tasks.spawn_draining("store writer", OnError::Stop, |token| writer.run(token));
        tasks.spawn("store compaction", OnError::Log, compact::automatically(engine.clone()));
        tasks.spawn("store progress", OnError::Log, tell_progress(engine.clone()));
        tasks.spawn("store mark", OnError::Stop, keep_mark(engine.clone(), mark));
        Ok(Arc::new(Self { engine, requests }))
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn open_engine(path: &Path, options: Options) -> Result<Engine, StoreError> {
    let io = |error: std::io::Error| StoreError::Io(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(path).map_err(io)?;
    let disk =
        Disk::open(&path.join("db"), options.cache_bytes).map_err(|error| disk::refused(path, &error))?;
    let state = load::load(path, &disk, &Mark::of(path))?;
    let engine = Engine {
        options,
        disk,
        state: RwLock::new(state),
        hub: hub::Hub::default(),
        next_watcher: AtomicU64::new(1),
        garbage: AtomicU64::new(0),
        failed: AtomicBool::new(false),
    };
    engine.finish_compaction()?;
    Ok(engine)
}

async fn tell_progress(engine: Arc<Engine>) -> Result<(), StoreError> {
    let mut ticks = interval(engine.options.progress_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut watchers = engine.hub.lock();
        watchers.progress_all(engine.revision());
    }
}

async fn keep_mark(engine: Arc<Engine>, mark: Arc<Mark>) -> Result<(), StoreError> {
    let mut ticks = interval(engine.options.mark_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut marked = 0;
    loop {
        ticks.tick().await;
        let revision = engine.revision();
        if revision == marked {
            continue;
        }
        mark.keep(revision).await?;
        marked = revision;
    }
}

#[async_trait]
impl Store for Embedded {
    async fn get(&self, key: &str, revision: Option<Revision>) -> Result<Option<Record>, StoreError> {
        self.engine.get(key, revision)
    }

    async fn range(&self, range: Range) -> Result<Page, StoreError> {
        let engine = self.engine.clone();
        let page = tokio::task::spawn_blocking(move || engine.range(&range)).await;
        page.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
    }

    async fn transact(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        self.ask(|reply| Request::Transact(txn, reply)).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Watch, StoreError> {
        replay::watch(&self.engine, prefix, from)
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let engine = self.engine.clone();
        let compaction = tokio::task::spawn_blocking(move || engine.compact(revision)).await;
        compaction.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.engine.revision())
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.ask(|reply| Request::Grant(ttl, reply)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.ask(|reply| Request::KeepAlive(lease, reply)).await
    }

    async fn time_to_live(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        let left = self.engine.state.read().leases.left(lease, tokio::time::Instant::now());
        left.ok_or(StoreError::LeaseNotFound(lease))
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.ask(|reply| Request::Revoke(lease, reply)).await
    }

    async fn count(&self, prefix: &str) -> Result<u64, StoreError> {
        let (engine, prefix) = (self.engine.clone(), prefix.to_owned());
        let count = tokio::task::spawn_blocking(move || engine.state.read().index.count(&prefix)).await;
        count.map_err(|error| StoreError::Io(error.to_string()))
    }

    async fn size(&self) -> Result<Option<u64>, StoreError> {
        self.engine.disk.bytes().map(Some)
    }

    fn parts(&self) -> Vec<String> {
        vec!["store".into()]
    }

    /// The writer is asked for nothing: it answers unless it has ended or failed.
    async fn probe(&self, _: usize) -> Result<(), StoreError> {
        self.ask(|reply| Request::Transact(Txn::default(), reply)).await?;
        self.engine.working()
    }
}
