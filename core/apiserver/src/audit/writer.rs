//! The queue between requests and the file, and the task that empties it.
//!
//! Who finds it full waits. A file that can't be written (a full disk) is tried
//! again until it can: requests wait meanwhile, and the log says why.

use std::{convert::Infallible, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tiphys_lifecycle::{CancellationToken, OnError, Tasks};
use tokio::sync::mpsc::{Receiver, Sender, WeakSender, channel, error::TrySendError};

use super::{Rotation, file::Log};

const LINES: usize = 4096;
/// Lines that are written at once.
const BATCH: usize = 256;
const PAUSE: Duration = Duration::from_secs(1);

/// Open until the server stops, and then as long as a request is under way.
pub struct Queue {
    open: Arc<Mutex<Option<Sender<Vec<u8>>>>>,
    still_used: WeakSender<Vec<u8>>,
    tasks: Tasks,
}

impl Queue {
    pub fn start(path: &Path, rotation: Rotation, tasks: &Tasks) -> std::io::Result<Self> {
        let log = Log::open(path, rotation)?;
        let (lines, receiver) = channel(LINES);
        let still_used = lines.downgrade();
        let open = Arc::new(Mutex::new(Some(lines)));
        let door = open.clone();
        tasks.spawn_draining("audit log", OnError::Log, move |stop| write(log, receiver, door, stop));
        Ok(Self { open, still_used, tasks: tasks.clone() })
    }

    /// The way in for one request; none when the log is closed.
    pub fn entrance(&self) -> Option<Entrance> {
        let open = self.open.lock().clone();
        let lines = open.or_else(|| self.still_used.upgrade())?;
        Some(Entrance { lines, tasks: self.tasks.clone() })
    }
}

pub struct Entrance {
    lines: Sender<Vec<u8>>,
    tasks: Tasks,
}

impl Entrance {
    pub async fn send(&self, line: Vec<u8>) {
        // The writer is there as long as an entrance is: an error is its panic, which is logged.
        let _ = self.lines.send(line).await;
    }

    /// Where nobody can wait.
    pub fn send_later(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(line)) = self.lines.try_send(line) {
            let lines = self.lines.clone();
            self.tasks.spawn("audit record", OnError::Log, async move {
                let _ = lines.send(line).await;
                Ok::<(), Infallible>(())
            });
        }
    }
}

async fn write(
    mut log: Log,
    mut lines: Receiver<Vec<u8>>,
    open: Arc<Mutex<Option<Sender<Vec<u8>>>>>,
    stop: CancellationToken,
) -> Result<(), tokio::task::JoinError> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let count = tokio::select! {
            count = lines.recv_many(&mut batch, BATCH) => count,
            () = stop.cancelled(), if open.lock().is_some() => {
                open.lock().take();
                continue;
            }
        };
        if count == 0 {
            return Ok(());
        }
        log = write_batch(log, std::mem::take(&mut batch)).await?;
    }
}

/// The file is written where blocking is allowed; it comes back when the batch is in it.
async fn write_batch(mut log: Log, mut batch: Vec<Vec<u8>>) -> Result<Log, tokio::task::JoinError> {
    let mut failed = false;
    loop {
        let written;
        (log, batch, written) = tokio::task::spawn_blocking(move || {
            let written = log.write(&mut batch);
            (log, batch, written)
        })
        .await?;
        match written {
            Ok(()) if failed => {
                tracing::info!("audit log can be written again");
                return Ok(log);
            }
            Ok(()) => return Ok(log),
            Err(error) => {
                if !failed {
                    tracing::error!(%error, "audit log can't be written, requests wait for it");
                }
                failed = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
