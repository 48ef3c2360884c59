//! Appends decisions as they come, makes them durable, seals full files, lets go of old ones.
//!
//! Two loops share a [`Keeper`]: one appends, the other waits for the disk. A disk that takes
//! its time to make something durable must not hold up what is appended, which a kill would
//! take along until then.

use std::{collections::VecDeque, convert::Infallible, io, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tiphys_lifecycle::CancellationToken;
use tokio::sync::Notify;

use super::{
    Bounds, Decisions, Inner,
    files::{Folder, Open, Sealed},
    newest::Newest,
};
use crate::{append::Unsynced, late::Late, retention::Retention};

/// How long what was appended may wait to be on disk; and a disk that is full, to be tried again.
const SYNC: Duration = Duration::from_secs(1);
/// Decisions that are written together.
const TOGETHER: usize = 256;

pub struct Keeper {
    pub decisions: Arc<Decisions>,
    bounds: Bounds,
    retention: Retention,
    folder: Folder,
    /// Held while rows are appended, and for nothing that takes its time.
    files: Mutex<Files>,
    /// Woken when there is something to be made durable.
    appended: Notify,
    /// Woken when there is a file to be sealed.
    filled: Notify,
    /// How late it is for what is too old.
    late: Mutex<Late>,
}

struct Files {
    open: Open,
    /// Its rows.
    count: usize,
    /// The number behind the last row that was appended.
    end: u64,
    /// Those that wait to be sealed, the oldest first.
    full: VecDeque<Full>,
}

struct Full {
    open: Open,
    /// The number behind its last row.
    end: u64,
}

impl Keeper {
    /// Reads what is there.
    ///
    /// # Errors
    /// The folder can't be read or made.
    pub fn load(path: PathBuf, bounds: Bounds, retention: Retention) -> io::Result<Self> {
        let folder = Folder::open(path)?;
        let (sealed, mut left) = folder.list()?;
        let behind = sealed.last().map_or(0, |one| one.number + 1);
        let newest = left.pop_if(|number| *number >= behind).unwrap_or(behind);
        let (mut rows, mut full) = (Vec::new(), VecDeque::new());
        for number in left {
            let (some, open) = folder.resume(number)?;
            rows.extend(some);
            full.push_back(Full { open, end: rows.len() as u64 });
        }
        let (some, open) = folder.resume(newest)?;
        let count = some.len();
        rows.extend(some);
        let files = Files { open, count, end: rows.len() as u64, full };
        let (appended, filled) = (Notify::new(), Notify::new());
        if !files.full.is_empty() {
            appended.notify_one();
            filled.notify_one();
        }
        let last = rows.last().map(|row| row.time).or_else(|| sealed.last().map(|file| file.last));
        let late = Mutex::new(Late::since(last));
        let newest = Newest::written(rows, bounds.memory);
        let inner = RwLock::new(Inner { newest, sealed });
        let decisions = Arc::new(Decisions::of(inner));
        let files = Mutex::new(files);
        Ok(Self { decisions, bounds, retention, folder, files, appended, filled, late })
    }

    /// Keeps the folder until the process stops.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), Infallible> {
        tokio::join!(self.append(&stop), self.keep(&stop));
        let last = move || {
            let (written, settled) = (self.write(), self.settle());
            written.and(settled)
        };
        if let Err(error) = on_disk(last).await {
            tracing::warn!(%error, "the last decisions can't be written");
        }
        Ok(())
    }

    async fn append(self: &Arc<Self>, stop: &CancellationToken) {
        let mut is_troubled = false;
        loop {
            let keeper = self.clone();
            let written = on_disk(move || keeper.write()).await;
            match &written {
                Ok(()) if is_troubled => tracing::info!("decisions are written again"),
                Err(error) if !is_troubled => {
                    tracing::warn!(%error, "decisions can't be written and wait in memory; tried each second");
                }
                _ => {}
            }
            is_troubled = written.is_err();
            let next = async {
                match is_troubled {
                    true => tokio::time::sleep(SYNC).await,
                    false => self.decisions.waiting.notified().await,
                }
            };
            if stop.run_until_cancelled(next).await.is_none() {
                return;
            }
        }
    }

    async fn keep(self: &Arc<Self>, stop: &CancellationToken) {
        let mut is_troubled = false;
        loop {
            let due = async {
                self.appended.notified().await;
                let _ = tokio::time::timeout(SYNC, self.filled.notified()).await;
            };
            if stop.run_until_cancelled(due).await.is_none() {
                return;
            }
            let keeper = self.clone();
            let settled = on_disk(move || keeper.settle()).await;
            if let Err(error) = &settled {
                self.appended.notify_one();
                if !is_troubled {
                    tracing::warn!(%error, "decisions can't be made durable or sealed; tried each second");
                }
            }
            is_troubled = settled.is_err();
        }
    }

    /// Appends what waits, and goes on in a new file where one is full.
    ///
    /// # Errors
    /// The disk's; then what was not appended waits on.
    pub fn write(&self) -> io::Result<()> {
        let mut files = self.files.lock();
        loop {
            if files.count >= self.bounds.file {
                self.turn(&mut files)?;
            }
            let (rows, end) = self.decisions.inner.write().newest.next(TOGETHER);
            if rows.is_empty() {
                break;
            }
            files.open.append(&rows)?;
            files.count += rows.len();
            files.end = end;
            self.decisions.inner.write().newest.wrote(end);
            self.appended.notify_one();
        }
        let lost = self.decisions.inner.write().newest.take_lost();
        if lost > 0 {
            tracing::warn!(lost, "decisions are lost: more came than wait in memory");
        }
        Ok(())
    }

    fn turn(&self, files: &mut Files) -> io::Result<()> {
        let next = self.folder.next(files.open.number + 1)?;
        let open = std::mem::replace(&mut files.open, next);
        files.full.push_back(Full { open, end: files.end });
        files.count = 0;
        self.appended.notify_one();
        self.filled.notify_one();
        Ok(())
    }

    /// Makes durable what was appended, and seals what is full.
    ///
    /// # Errors
    /// The disk's; what is not sealed then stays in memory and in the file it is in.
    pub fn settle(&self) -> io::Result<()> {
        self.unsynced()?.into_iter().try_for_each(Unsynced::sync)?;
        loop {
            let full = self.files.lock().full.front().map(|full| (full.open.number, full.end));
            let Some((number, end)) = full else { return Ok(()) };
            self.seal(number, end)?;
        }
    }

    /// What is not durable yet.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn unsynced(&self) -> io::Result<Vec<Unsynced>> {
        let mut files = self.files.lock();
        let Files { open, full, .. } = &mut *files;
        let mut all = Vec::new();
        for file in full.iter_mut().map(|full| &mut full.open).chain([open]) {
            all.extend(file.lines.unsynced()?);
        }
        Ok(all)
    }

    /// Makes a sealed file of the oldest that is full; files that are old go.
    fn seal(&self, number: u64, end: u64) -> io::Result<()> {
        let sealed = self.folder.seal(number)?;
        let late = self.late.lock().is(Timestamp::now().as_microsecond());
        let mut inner = self.decisions.inner.write();
        inner.newest.sealed(end);
        inner.sealed.extend(sealed);
        let gone = expired(&mut inner.sealed, late, &self.retention);
        drop(inner);
        self.files.lock().full.pop_front();
        gone.iter().try_for_each(|file| std::fs::remove_file(&file.path))
    }
}

/// Runs what blocks on the disk elsewhere.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Takes those out that are too old, and the oldest where all are too large.
pub fn expired(sealed: &mut Vec<Sealed>, now: i64, retention: &Retention) -> Vec<Sealed> {
    let mut bytes: u64 = sealed.iter().map(|file| file.bytes).sum();
    let before = now.saturating_sub(retention.micros());
    let mut gone = Vec::new();
    while let Some(oldest) = sealed.first()
        && (oldest.last < before || bytes > retention.bytes)
    {
        bytes -= oldest.bytes;
        gone.push(sealed.remove(0));
    }
    gone
}
