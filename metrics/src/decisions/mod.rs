//! The autoscaler's decisions: kept for a week and more, in memory only the newest.
//!
//! ```text
//! record ─> rows (memory) ─> keeper ─> <number>.jsonl, appended at once, synced each second
//!                                        └ full ─> <number>-<first>-<last>.jsonl.zst
//! ```
//!
//! A process that is killed loses nothing it has appended; a machine that loses power loses
//! the last second. A torn line is cut off at the next start. On a disk that is full rows wait
//! in memory, where they are answered from; of more than [`Bounds::memory`] the oldest go, and
//! the log says how many. A file that is damaged is set aside, and the rest answers. Files older
//! than [`KEPT`] go, and the oldest where all together are larger than [`BYTES`].

mod files;
mod keeper;
mod newest;

use std::{io, ops::Range, path::PathBuf, sync::Arc};

use parking_lot::RwLock;
use tiphys_api::decisions::Decision;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::Notify;

use files::Sealed;
use keeper::Keeper;
use newest::Newest;

/// How long decisions are kept, microseconds: eight days, so that seven are whole.
const KEPT: i64 = 8 * 24 * 3600 * 1_000_000;
/// How much all files may take together, bytes: of fifty autoscalers a week takes a tenth.
const BYTES: u64 = 512 << 20;

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
}

impl Decisions {
    /// Reads what is there and keeps the folder from now on.
    ///
    /// # Errors
    /// The folder can't be read or made. Lines that are no decision are passed over and counted.
    pub fn open(path: PathBuf, tasks: &Tasks) -> io::Result<Arc<Self>> {
        let keeper = Keeper::load(path, BOUNDS)?;
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

    /// Those of a range of time that are kept, microseconds since the Unix epoch, about oldest first.
    /// A file that can't be read is left out and told in the log; one that is damaged is set aside.
    pub fn within(&self, range: Range<i64>) -> Vec<Arc<Decision>> {
        let (files, rows) = {
            let inner = self.inner.read();
            let touches = |file: &&Sealed| file.first < range.end && file.last >= range.start;
            let files: Vec<_> = inner.sealed.iter().filter(touches).cloned().collect();
            (files, inner.newest.rows().clone())
        };
        let mut found = Vec::new();
        for file in files {
            match file.read() {
                Ok(rows) => found.extend(rows.into_iter().map(Arc::new)),
                // Retention may have taken it in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.inner.write().sealed.retain(|one| one.number != file.number);
                    file.set_aside(&error);
                }
                Err(error) => {
                    tracing::warn!(path = %file.path.display(), %error, "decisions can't be read");
                }
            }
        }
        found.extend(rows);
        found.retain(|row| range.contains(&row.time));
        found
    }

    /// All that are kept.
    pub fn all(&self) -> Vec<Arc<Decision>> {
        self.within(i64::MIN..i64::MAX)
    }
}

#[cfg(test)]
mod tests;
