//! The queue between requests and the file, and the task that empties it.
//!
//! Who finds it full waits. A file that can't be written (a full disk) is tried
//! again until it can: requests wait meanwhile, and the log says why. At the
//! server's end it is tried once more; then what is left is lost, and said to be.
//! A writer that has ended lets nobody in, and the process does not go on without it.

use std::{convert::Infallible, io, path::Path, sync::Arc, time::Duration};

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
        tasks.spawn_draining("audit log", OnError::Stop, move |stop| write(log, receiver, door, stop));
        Ok(Self { open, still_used, tasks: tasks.clone() })
    }

    /// The way in for one request; none when the log is closed.
    pub fn entrance(&self) -> Option<Entrance> {
        let open = self.open.lock().clone();
        let lines = open.or_else(|| self.still_used.upgrade()).filter(|lines| !lines.is_closed())?;
        Some(Entrance { lines, tasks: self.tasks.clone() })
    }
}

pub struct Entrance {
    lines: Sender<Vec<u8>>,
    tasks: Tasks,
}

impl Entrance {
    pub async fn send(&self, line: Vec<u8>) {
        if self.lines.send(line).await.is_err() {
            lost();
        }
    }

    /// Where nobody can wait. The server's end does.
    pub fn send_later(&self, line: Vec<u8>) {
        match self.lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => lost(),
            Err(TrySendError::Full(line)) => {
                let later = Self { lines: self.lines.clone(), tasks: self.tasks.clone() };
                self.tasks.spawn_draining("audit record", OnError::Log, move |_| async move {
                    later.send(line).await;
                    Ok::<(), Infallible>(())
                });
            }
        }
    }
}

fn lost() {
    tracing::error!("an audit record is lost: the writer of the log has ended");
}

/// Why the writer ended before its time.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the file could not be written up to the end, {lines} records or more are lost")]
    Lost { lines: usize, source: io::Error },
    #[error("the writer broke")]
    Broken(#[from] tokio::task::JoinError),
}

async fn write(
    mut log: Log,
    mut lines: Receiver<Vec<u8>>,
    open: Arc<Mutex<Option<Sender<Vec<u8>>>>>,
    stop: CancellationToken,
) -> Result<(), WriteError> {
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
        log = write_batch(log, std::mem::take(&mut batch), &stop).await?;
    }
}

/// The file is written where blocking is allowed; it comes back when the batch is in it.
async fn write_batch(
    mut log: Log,
    mut batch: Vec<Vec<u8>>,
    stop: &CancellationToken,
) -> Result<Log, WriteError> {
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
            Err(source) if stop.is_cancelled() => {
                return Err(WriteError::Lost { lines: batch.len(), source });
            }
            Err(error) => {
                if !failed {
                    tracing::error!(%error, "audit log can't be written, requests wait for it");
                }
                failed = true;
                let _ = tokio::time::timeout(PAUSE, stop.cancelled()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);

    #[tokio::test]
    async fn what_nobody_waited_for_is_written_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let tasks = Tasks::new();
        let queue = Queue::start(&path, Rotation::default(), &tasks).unwrap();
        let entrance = queue.entrance().unwrap();
        for _ in 0..LINES + 100 {
            entrance.send_later(b"line\n".to_vec());
        }
        drop(entrance);
        assert_eq!(tasks.shutdown(LIMIT).await, [""; 0]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), LINES + 100);
    }

    /// `/dev/full` is a disk without room.
    #[tokio::test]
    async fn a_log_that_stays_unwritable_holds_up_no_end_and_is_a_failure() {
        let tasks = Tasks::new();
        let queue = Queue::start(Path::new("/dev/full"), Rotation::default(), &tasks).unwrap();
        let entrance = queue.entrance().unwrap();
        entrance.send(b"line\n".to_vec()).await;
        assert_eq!(tasks.shutdown(LIMIT).await, [""; 0]);
        let failure = tokio::time::timeout(LIMIT, tasks.failed()).await.expect("a failure");
        assert!(failure.starts_with("audit log: "), "{failure}");
        assert!(queue.entrance().is_none(), "nobody is let in to a writer that has ended");
    }
}
