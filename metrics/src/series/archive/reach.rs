//! Reads objects by range, from threads that may wait: pieces of a round size, the ones lately
//! read held in memory, more of them at once where they are read one after the other.
//!
//! Who can't be reached is left alone for a while, so that a question waits once and not once for
//! each object.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use parking_lot::Mutex;
use tiphys_objects::Objects;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::{ArchiveConfig, cache::Cache};
use crate::series::block::{Ranges, Unread};

/// What is read at once, and held.
const PIECE: u64 = 256 << 10;
/// So many pieces are read at once where they follow one another.
const MOST_AHEAD: u64 = 16;
/// For so long who can't be reached isn't asked again.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// Objects whose ends are read at a time.
const AT_A_TIME: usize = 8;

/// What an answer says of it.
pub const UNREACHED: &str = "the archive can't be reached";
const GONE: &str = "the archive has them no more";

pub struct Reach {
    objects: Objects,
    /// The server's: what a statement's own runtime began would end with it.
    server: Handle,
    pieces: Cache<(Arc<str>, u64), Bytes>,
    down: Mutex<Option<Instant>>,
    deadline: Duration,
}

impl Reach {
    pub fn new(config: &ArchiveConfig, server: Handle, bytes: usize) -> Arc<Self> {
        let (objects, deadline) = (config.objects.clone(), config.deadline);
        Arc::new(Self { objects, server, pieces: Cache::new(bytes), down: Mutex::default(), deadline })
    }

    pub fn is_down(&self) -> bool {
        self.down.lock().is_some_and(|since| since.elapsed() < LEFT_ALONE)
    }

    /// It answered somebody.
    pub fn is_up(&self) {
        *self.down.lock() = None;
    }

    fn set_down(&self, why: &str) -> Unread {
        if self.down.lock().replace(Instant::now()).is_none() {
            tracing::warn!(%why, "the archive of series can't be reached; answers lack what only it has");
        }
        Unread::Away(UNREACHED.to_owned())
    }

    /// Holds no piece of an object any more.
    pub fn forget(&self, name: &str) {
        self.pieces.forget(|(of, _)| &**of == name);
    }

    /// Reads the ends of objects, where their indexes stand, at once. Blocks the thread. What
    /// fails, fails again for who opens it.
    pub fn prepare(self: &Arc<Self>, objects: Vec<(Arc<str>, u64)>) {
        let wanted: Vec<_> = objects
            .into_iter()
            .map(|(name, size)| (name, size, size.saturating_sub(1) / PIECE))
            .filter(|(name, _, last)| self.pieces.get(&(name.clone(), *last)).is_none())
            .collect();
        if wanted.len() < 2 {
            return;
        }
        let this = self.clone();
        let reads =
            futures::stream::iter(wanted).for_each_concurrent(AT_A_TIME, move |(name, size, last)| {
                let this = this.clone();
                async move {
                    if let Ok(bytes) = this.fetch(&name, size, last * PIECE..size).await {
                        this.hold(&name, last, &bytes);
                    }
                }
            });
        let (done, wait) = mpsc::sync_channel::<()>(1);
        let _task = AbortOnDropHandle::new(self.server.spawn(async move {
            reads.await;
            drop(done);
        }));
        let _ = wait.recv();
    }

    /// Reads a range of an object of so many bytes.
    async fn fetch(&self, name: &str, size: u64, range: Range<u64>) -> Result<Bytes, Unread> {
        if self.is_down() {
            return Err(Unread::Away(UNREACHED.to_owned()));
        }
        let length = range.end - range.start;
        let read = async {
            match self.objects.range(name, range).await {
                Ok(Some(bytes)) if bytes.len() as u64 == length => Ok(bytes),
                // Short of what it should be, some stores refuse the range and others give less.
                read => match self.objects.size(name).await {
                    Ok(Some(is)) if is != size => {
                        Err(Unread::Wrong(format!("it has {is} bytes, not {size}")))
                    }
                    Ok(None) => Err(Unread::Away(GONE.to_owned())),
                    Ok(Some(_)) => {
                        Err(self.set_down(&read.err().map(|error| super::chain(&error)).unwrap_or_default()))
                    }
                    Err(error) => Err(self.set_down(&super::chain(&error))),
                },
            }
        };
        match tokio::time::timeout(self.deadline, read).await {
            Ok(Ok(bytes)) => {
                self.is_up();
                Ok(bytes)
            }
            Ok(Err(unread)) => Err(unread),
            Err(_) => Err(self.set_down(&format!("no answer within {:?}", self.deadline))),
        }
    }

    /// Holds the pieces that bytes are, from one of them on.
    fn hold(&self, name: &Arc<str>, first: u64, bytes: &Bytes) {
        for (at, piece) in bytes.chunks(PIECE as usize).enumerate() {
            // A copy: a slice would keep all of what was read.
            let held = Bytes::copy_from_slice(piece);
            self.pieces.put((name.clone(), first + at as u64), held, piece.len() + name.len());
        }
    }
}

/// The bytes of one object.
pub struct Remote {
    reach: Arc<Reach>,
    name: Arc<str>,
    size: u64,
    /// The piece behind the last one that was read, and how many are read at once.
    next: AtomicU64,
    ahead: AtomicU64,
}

impl Remote {
    pub fn new(reach: Arc<Reach>, name: Arc<str>, size: u64) -> Self {
        Self { reach, name, size, next: AtomicU64::new(u64::MAX), ahead: AtomicU64::new(1) }
    }

    /// Reads pieces that are not held. Blocks the thread.
    fn fetch(&self, pieces: Range<u64>) -> Result<Bytes, Unread> {
        let follows = self.next.load(Ordering::Relaxed) == pieces.start;
        let ahead = if follows { (self.ahead.load(Ordering::Relaxed) * 2).min(MOST_AHEAD) } else { 1 };
        let end = pieces.end.max(pieces.start + ahead);
        self.ahead.store(ahead, Ordering::Relaxed);
        self.next.store(end, Ordering::Relaxed);
        let range = pieces.start * PIECE..(end * PIECE).min(self.size);
        let (sender, receiver) = mpsc::sync_channel(1);
        let (reach, name, size) = (self.reach.clone(), self.name.clone(), self.size);
        let _task = AbortOnDropHandle::new(self.reach.server.spawn(async move {
            let _ = sender.send(reach.fetch(&name, size, range).await);
        }));
        let bytes = receiver.recv().map_err(|_| Unread::Away("the server is stopping".to_owned()))??;
        self.reach.hold(&self.name, pieces.start, &bytes);
        Ok(bytes)
    }
}

impl Ranges for Remote {
    fn read(&self, range: Range<u64>) -> Result<Bytes, Unread> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let pieces = range.start / PIECE..range.end.div_ceil(PIECE);
        let held = |piece: u64| self.reach.pieces.get(&(self.name.clone(), piece));
        let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
        let mut at = pieces.start;
        while at < pieces.end {
            let bytes = match held(at) {
                Some(piece) => piece,
                None => {
                    let missing = (at..pieces.end).take_while(|piece| held(*piece).is_none()).count();
                    self.fetch(at..at + missing as u64)?
                }
            };
            let begin = at * PIECE;
            let from = range.start.saturating_sub(begin).min(bytes.len() as u64);
            let to = (range.end - begin).min(bytes.len() as u64);
            if pieces.end - pieces.start == 1 {
                return Ok(bytes.slice(from as usize..to as usize));
            }
            whole.extend_from_slice(&bytes[from as usize..to as usize]);
            at += (bytes.len() as u64).div_ceil(PIECE);
        }
        Ok(whole.freeze())
    }
}
