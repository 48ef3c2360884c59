//! The autoscaler's decisions: kept for a week and more, in memory only the newest.
//!
//! ```text
//! record ─> rows (memory) ─> keeper ─> <number>.jsonl, appended at once, synced each second
//!                                        └ full ─> <number>-<first>-<last>.jsonl.zst
//! ```
//!
//! A process that is killed loses nothing it has appended; a machine that loses power loses
//! the last second. A torn line is cut off at the next start. Files older than
//! [`KEPT`] go, and the oldest where all together are larger than [`BYTES`].

mod files;
mod keeper;

use std::{collections::VecDeque, io, ops::Range, path::PathBuf, sync::Arc};

use parking_lot::RwLock;
use tiphys_api::decisions::Decision;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::mpsc;

use files::{Folder, Sealed};
use keeper::Keeper;

/// How long decisions are kept, microseconds: eight days, so that seven are whole.
const KEPT: i64 = 8 * 24 * 3600 * 1_000_000;
/// How much all files may take together, bytes: of fifty autoscalers a week takes a tenth.
const BYTES: u64 = 512 << 20;
/// Rows of one file; as many are in memory.
const ROWS: usize = 4096;

#[derive(Default)]
struct Inner {
    /// Those that are in no sealed file, oldest first.
    rows: VecDeque<Arc<Decision>>,
    sealed: Vec<Sealed>,
}

pub struct Decisions {
    inner: RwLock<Inner>,
    writer: mpsc::UnboundedSender<Arc<Decision>>,
}

impl Decisions {
    /// Reads what is there and keeps the folder from now on.
    ///
    /// # Errors
    /// The folder can't be read or made. Lines that are no decision are passed over and counted.
    pub fn open(path: PathBuf, tasks: &Tasks) -> io::Result<Arc<Self>> {
        let folder = Folder::open(path)?;
        let (sealed, newest) = folder.list()?;
        let (rows, file) = folder.resume(newest)?;
        let (writer, queue) = mpsc::unbounded_channel();
        let count = rows.len();
        let rows = rows.into_iter().map(Arc::new).collect();
        let decisions = Arc::new(Self { inner: RwLock::new(Inner { rows, sealed }), writer });
        let keeper = Keeper::new(folder, file, count, decisions.clone());
        tasks.spawn_draining("decisions", OnError::Log, move |stop| keeper.run(queue, stop));
        Ok(decisions)
    }

    /// Keeps a decision.
    pub fn record(&self, decision: Decision) {
        let decision = Arc::new(decision);
        // Under the lock: rows and file have the same order.
        let mut inner = self.inner.write();
        inner.rows.push_back(decision.clone());
        if self.writer.send(decision).is_err() {
            tracing::debug!("the process ends; a decision is not written");
        }
    }

    /// Those of a range of time that are kept, microseconds since the Unix epoch, about oldest first.
    /// A file that can't be read is left out and told in the log.
    pub fn within(&self, range: Range<i64>) -> Vec<Arc<Decision>> {
        let (files, rows) = {
            let inner = self.inner.read();
            let touches = |file: &&Sealed| file.first < range.end && file.last >= range.start;
            let files: Vec<_> = inner.sealed.iter().filter(touches).cloned().collect();
            (files, inner.rows.clone())
        };
        let mut found = Vec::new();
        for file in files {
            match file.read() {
                Ok(rows) => found.extend(rows.into_iter().map(Arc::new)),
                // Retention may have taken it in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
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
