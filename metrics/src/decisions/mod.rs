//! The autoscaler's decisions: kept for a week and more ([`Retention`]), in memory only the newest.
//!
//! ```text
//! record ─> rows (memory) ─> keeper ─> <number>.jsonl, appended at once, synced each second
//!                                        └ full ─> <number>-<first>-<last>.jsonl.zst
//! ```
//!
//! A process that is killed loses nothing it has appended; a machine that loses power loses
//! the last second. A torn line is cut off at the next start. On a disk that is full rows wait
//! in memory, where they are answered from; of more than [`Bounds::memory`] the oldest go, and
//! the log says how many. A file that is damaged is set aside, and the rest answers. Files that are
//! too old go, and the oldest where all together are too large. Who reads has
//! one file at a time, the newest first ([`pieces`]); forecasts look at the same hours again and
//! again, and have what they need of them in memory ([`past`]).

mod files;
mod keeper;
mod newest;
mod past;
mod pieces;
mod table;

use std::{io, ops::ControlFlow, path::PathBuf, sync::Arc};

use parking_lot::RwLock;
use tiphys_api::decisions::Decision;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::Notify;

use crate::retention::Retention;
use files::Sealed;
use keeper::Keeper;
use newest::Newest;
use past::Past;

pub(crate) use table::table;

/// How many rows there may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In one file.
    file: usize,
    /// In memory, where nearly always there are no more than in one file.
    memory: usize,
}

const BOUNDS: Bounds = Bounds { file: 4096, memory: 16 << 10 };

struct Inner {
    newest: Newest,
    sealed: Vec<Sealed>,
}

pub struct Decisions {
    inner: RwLock<Inner>,
    /// Woken when a row waits to be written.
    waiting: Notify,
    past: Past,
    /// Files that were read since the process began.
    #[cfg(test)]
    read: std::sync::atomic::AtomicUsize,
}

impl Decisions {
    fn of(inner: RwLock<Inner>) -> Self {
        Self {
            inner,
            waiting: Notify::new(),
            past: Past::default(),
            #[cfg(test)]
            read: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Reads what is there and keeps the folder from now on, for as long as nobody says otherwise.
    ///
    /// # Errors
    /// The folder can't be read or made. Lines that are no decision are passed over and counted.
    pub fn open(path: PathBuf, tasks: &Tasks) -> io::Result<Arc<Self>> {
        Self::open_keeping(path, Retention::DECISIONS, tasks)
    }

    /// The same, with a retention that is said.
    ///
    /// # Errors
    /// As above.
    pub fn open_keeping(path: PathBuf, retention: Retention, tasks: &Tasks) -> io::Result<Arc<Self>> {
        let keeper = Keeper::load(path, BOUNDS, retention)?;
        Ok(Self::keep(keeper, tasks))
    }

    fn keep(keeper: Keeper, tasks: &Tasks) -> Arc<Self> {
        let decisions = keeper.decisions.clone();
        tasks.spawn_draining("decisions", OnError::Log, move |stop| Arc::new(keeper).run(stop));
        decisions
    }

    /// Keeps a decision.
    pub fn record(&self, decision: Decision) {
        self.inner.write().newest.push(decision);
        self.waiting.notify_one();
    }

    /// Gives the lines of a file to `each`; what is wrong with it is in the log, and one that is
    /// damaged is set aside.
    ///
    /// # Errors
    /// A sentence about what is missing; none where retention took the file meanwhile. Lines that
    /// were given don't count then.
    fn visit(
        &self,
        file: &Sealed,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Option<String>> {
        #[cfg(test)]
        self.read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = file.path.display();
        file.visit(each).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => None,
            io::ErrorKind::InvalidData => {
                self.inner.write().sealed.retain(|one| one.number != file.number);
                file.set_aside(&error);
                Some(format!("decisions of a damaged file are missing: {path}"))
            }
            _ => {
                tracing::warn!(%path, %error, "decisions can't be read");
                Some(format!("decisions of a file that can't be read are missing: {path}"))
            }
        })
    }
}

#[cfg(test)]
mod tests;
