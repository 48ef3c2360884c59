//! Writes decisions as they come, seals full files, lets go of old ones.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use jiff::Timestamp;
use tiphys_api::decisions::Decision;
use tiphys_lifecycle::CancellationToken;
use tokio::{sync::mpsc, time::Instant};

use super::{
    BYTES, Decisions, KEPT, ROWS,
    files::{Folder, Open, Sealed},
};

/// How long what was appended may wait to be on disk; and a disk that is full, to be tried again.
const SYNC: Duration = Duration::from_secs(1);
/// What waits for a full disk at most, bytes; beyond it decisions are not written.
const WAITING: usize = 8 << 20;
/// Decisions that are written together.
const TOGETHER: usize = 256;

pub struct Keeper {
    folder: Folder,
    file: Open,
    /// Rows at the front of `decisions` that are in `file`.
    count: usize,
    waiting: Vec<u8>,
    dirty: bool,
    troubled: bool,
    decisions: Arc<Decisions>,
}

impl Keeper {
    pub fn new(folder: Folder, file: Open, count: usize, decisions: Arc<Decisions>) -> Self {
        Self { folder, file, count, waiting: Vec::new(), dirty: false, troubled: false, decisions }
    }

    pub async fn run(
        mut self,
        mut queue: mpsc::UnboundedReceiver<Arc<Decision>>,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        let mut sync_at = Instant::now() + SYNC;
        loop {
            let mut some = Vec::new();
            tokio::select! {
                biased;
                taken = queue.recv_many(&mut some, TOGETHER) => if taken == 0 { break },
                () = tokio::time::sleep_until(sync_at), if self.dirty || !self.waiting.is_empty() => {}
                () = stop.cancelled() => break,
            }
            let is_due = Instant::now() >= sync_at;
            if is_due {
                sync_at = Instant::now() + SYNC;
            }
            self = on_disk(move || {
                self.take(&some);
                if is_due {
                    self.sync();
                }
                self
            })
            .await;
        }
        on_disk(move || self.sync()).await;
        Ok(())
    }

    fn take(&mut self, decisions: &[Arc<Decision>]) {
        self.count += decisions.len();
        let room = self.waiting.len() < WAITING;
        for decision in decisions.iter().filter(|_| room) {
            // Numbers and texts only: it can't fail, but a row is not worth a panic.
            if let Ok(line) = serde_json::to_vec(&**decision) {
                self.waiting.extend(line);
                self.waiting.push(b'\n');
            }
        }
        if self.troubled && !decisions.is_empty() {
            // Tried again each second.
            return;
        }
        self.write();
    }

    fn write(&mut self) {
        if !self.waiting.is_empty() {
            match self.file.append(&self.waiting) {
                Ok(()) => {
                    self.waiting.clear();
                    self.dirty = true;
                    self.troubled = false;
                }
                Err(error) => return self.trouble(&error),
            }
        }
        if self.count >= ROWS
            && let Err(error) = self.turn()
        {
            self.trouble(&error);
        }
    }

    fn sync(&mut self) {
        self.write();
        if self.dirty {
            match self.file.file.sync_data() {
                Ok(()) => self.dirty = false,
                Err(error) => self.trouble(&error),
            }
        }
    }

    /// Said once, until it is well again.
    fn trouble(&mut self, error: &io::Error) {
        if !self.troubled {
            tracing::warn!(path = %self.file.path.display(), %error, "decisions can't be written; tried each second");
        }
        self.troubled = true;
    }

    /// Goes on in a new file; the full one is sealed, and old ones go.
    fn turn(&mut self) -> io::Result<()> {
        let next = self.folder.next(self.file.number + 1)?;
        let full = std::mem::replace(&mut self.file, next);
        let count = std::mem::take(&mut self.count);
        let sealed = self.folder.seal(full.number, &full.path);
        let mut inner = self.decisions.inner.write();
        inner.rows.drain(..count);
        // What could not be sealed is, at the next start.
        inner.sealed.extend(sealed?);
        let gone = expired(&mut inner.sealed, Timestamp::now().as_microsecond(), BYTES);
        drop(inner);
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
pub fn expired(sealed: &mut Vec<Sealed>, now: i64, most: u64) -> Vec<Sealed> {
    let mut bytes: u64 = sealed.iter().map(|file| file.bytes).sum();
    let mut gone = Vec::new();
    while let Some(oldest) = sealed.first()
        && (oldest.last < now - KEPT || bytes > most)
    {
        bytes -= oldest.bytes;
        gone.push(sealed.remove(0));
    }
    gone
}
