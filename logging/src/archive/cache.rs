//! Splits of the archive on the server's disk, to be searched as a node's are.
//!
//! Fetched when somebody asks, whole and checked; the ones not used for longest go
//! when the folder is full. A fetch that has begun goes on when who asked has given up
//! waiting, so that the next one finds it done; one that waits for its turn is dropped then.
//! It is the fetch that takes in what it brought, whether or not somebody waits: beyond the
//! limit there is what [`FETCHES`] bring, and no more.
//!
//! Each fetch has a folder of its own, which gets its name when all files are there and
//! sound: files that a search has mapped into memory are never written again, not even
//! by another fetch of the same split.

use std::{
    collections::HashMap,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{
    io::AsyncWriteExt,
    sync::{Semaphore, oneshot},
};

use super::{ArchiveError, ArchivedSplit, Objects};
use crate::index::{FileSum, Split, is_file_name};

/// Splits that are fetched at a time.
pub(super) const FETCHES: usize = 4;

type Fetched = Result<Arc<Split>, Arc<ArchiveError>>;

/// A bounded folder of splits.
pub struct Cache {
    folder: PathBuf,
    limit: u64,
    slots: Mutex<Slots>,
    fetches: Arc<Semaphore>,
    tasks: Tasks,
}

#[derive(Default)]
struct Slots {
    by_key: HashMap<String, Slot>,
    clock: u64,
}

struct Slot {
    /// Tells it from another of the same split; names its folder.
    id: u64,
    /// For who waits.
    split: Shared<BoxFuture<'static, Fetched>>,
    /// Once it is on the disk.
    here: Option<Arc<Split>>,
    waiting: Arc<AtomicUsize>,
    bytes: u64,
    used: u64,
}

/// Somebody waits for a fetch, until this is dropped.
struct Waits(Arc<AtomicUsize>);

impl Waits {
    fn new(waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting.clone())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Cache {
    /// In a folder, which is emptied: what is in it can be had again.
    pub fn new(folder: &Path, limit: u64, tasks: &Tasks) -> Result<Self, ArchiveError> {
        let fault = |source| ArchiveError::Folder { path: folder.to_owned(), source };
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
            _ => std::fs::create_dir_all(folder).map_err(fault)?,
        }
        Ok(Self {
            folder: folder.to_owned(),
            limit,
            slots: Mutex::default(),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            tasks: tasks.clone(),
        })
    }

    /// Bytes that it may hold.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// A split, once it is here. Give it back by [`Cache::forget_damaged`] when it turns out
    /// to be so.
    pub async fn get(self: &Arc<Self>, objects: &Objects, node: &str, split: &ArchivedSplit) -> Fetched {
        let key = key(node, split);
        let (id, fetched, _waits) = {
            let mut slots = self.slots.lock();
            slots.clock += 1;
            let used = slots.clock;
            let fetch = || self.fetch(objects.below(node), &key, used, split.clone());
            let slot = slots.by_key.entry(key.clone()).or_insert_with(fetch);
            slot.used = used;
            (slot.id, slot.split.clone(), Waits::new(&slot.waiting))
        };
        let fetched = fetched.await;
        if fetched.is_err() {
            // The fetch does so, but not one that the server's end cut off.
            self.remove(&key, |slot| slot.id == id);
        }
        fetched
    }

    /// A split, if it is here already.
    pub fn here(&self, node: &str, split: &ArchivedSplit) -> Option<Arc<Split>> {
        let mut slots = self.slots.lock();
        slots.clock += 1;
        let used = slots.clock;
        let slot = slots.by_key.get_mut(&key(node, split))?;
        slot.used = used;
        slot.here.clone()
    }

    /// Fetches that are under way or wait for their turn.
    #[cfg(test)]
    pub fn fetching(&self) -> usize {
        self.slots.lock().by_key.values().filter(|slot| slot.here.is_none()).count()
    }

    /// Lets go of a split that the archive has no more; who uses it goes on.
    pub fn forget(&self, node: &str, split: &ArchivedSplit) {
        self.remove(&key(node, split), |_| true);
    }

    /// Lets go of this copy of a split, not of another that was fetched since.
    pub fn forget_damaged(&self, node: &str, split: &ArchivedSplit, copy: &Arc<Split>) {
        let is_it = |slot: &Slot| slot.here.as_ref().is_some_and(|here| Arc::ptr_eq(here, copy));
        self.remove(&key(node, split), is_it);
    }

    fn remove(&self, key: &str, which: impl FnOnce(&Slot) -> bool) {
        let removed = {
            let mut slots = self.slots.lock();
            let is_it = slots.by_key.get(key).is_some_and(which);
            is_it.then(|| slots.by_key.remove(key)).flatten()
        };
        if let Some(slot) = removed {
            self.delete(key, slot.id);
        }
    }

    /// A folder of one's own, for a split that is written again.
    pub fn aside(&self) -> PathBuf {
        self.folder.join(format!("aside-{}", self.next()))
    }

    fn make_room(&self, keep: &str) {
        let mut out = Vec::new();
        {
            let mut slots = self.slots.lock();
            // What is being fetched is not here yet.
            let here = slots.by_key.values().filter(|slot| slot.here.is_some());
            let mut bytes: u64 = here.map(|slot| slot.bytes).sum();
            while bytes > self.limit {
                let here = slots.by_key.iter().filter(|(key, slot)| *key != keep && slot.here.is_some());
                let Some(oldest) = here.min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone()) else {
                    break;
                };
                let Some(slot) = slots.by_key.remove(&oldest) else { break };
                bytes -= slot.bytes;
                out.push((oldest, slot.id));
            }
        }
        out.iter().for_each(|(key, id)| self.delete(key, *id));
    }

    /// Nobody fetches into this folder any more: another fetch has another one.
    fn delete(&self, key: &str, id: u64) {
        let path = self.folder.join(folder(key, id));
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "a split of the archive can't be taken off the disk");
            }
            _ => {}
        }
    }

    fn next(&self) -> u64 {
        let mut slots = self.slots.lock();
        slots.clock += 1;
        slots.clock
    }

    /// Begins a fetch, whose turn comes later.
    fn fetch(self: &Arc<Self>, objects: Objects, key: &str, id: u64, split: ArchivedSplit) -> Slot {
        let (sender, receiver) = oneshot::channel();
        let (waiting, bytes) = (Arc::new(AtomicUsize::new(0)), split.bytes());
        let (cache, key, waits) = (self.clone(), key.to_owned(), waiting.clone());
        self.tasks.spawn("fetch from the log archive", OnError::Log, async move {
            // It is never closed.
            let _permit = cache.fetches.clone().acquire_owned().await;
            if cache.is_wanted(&key, id, &waits) {
                let fetched = cache.bring(&objects, &key, id, &split).await;
                cache.take_in(&key, id, &fetched);
                let _ = sender.send(fetched);
            }
            Ok::<(), Infallible>(())
        });
        let stopping = || Err(Arc::new(ArchiveError::Stopping));
        let fetched = receiver.map(move |got| got.unwrap_or_else(|_| stopping())).boxed().shared();
        Slot { id, split: fetched, here: None, waiting, bytes, used: id }
    }

    /// Whether somebody still waits for a fetch whose turn it is. If not, there is none any more.
    fn is_wanted(&self, key: &str, id: u64, waiting: &AtomicUsize) -> bool {
        let mut slots = self.slots.lock();
        // Who begins to wait holds the lock.
        let is_wanted = waiting.load(Ordering::Relaxed) > 0;
        if !is_wanted && slots.by_key.get(key).is_some_and(|slot| slot.id == id) {
            slots.by_key.remove(key);
        }
        is_wanted
    }

    async fn bring(&self, objects: &Objects, key: &str, id: u64, split: &ArchivedSplit) -> Fetched {
        let (aside, path) = (self.folder.join(format!("in-{id}")), self.folder.join(folder(key, id)));
        let fetched = fetch(objects, &aside, &path, split).await;
        if fetched.is_err() {
            // Half a split takes room for nothing; it may not even be there.
            let _ = tokio::fs::remove_dir_all(&aside).await;
        }
        fetched.map(Arc::new).map_err(Arc::new)
    }

    /// Takes in how a fetch ended, before who waits is told.
    fn take_in(&self, key: &str, id: u64, fetched: &Fetched) {
        let is_here = {
            let mut slots = self.slots.lock();
            let slot = slots.by_key.get_mut(key).filter(|slot| slot.id == id);
            match slot.zip(fetched.as_ref().ok()) {
                Some((slot, split)) => {
                    slot.here = Some(split.clone());
                    true
                }
                None => false,
            }
        };
        if is_here {
            self.make_room(key);
        } else {
            // It failed, or was let go of meanwhile: who waits has it open.
            self.remove(key, |slot| slot.id == id);
            self.delete(key, id);
        }
    }
}

fn key(node: &str, split: &ArchivedSplit) -> String {
    format!("{node}_{}", split.folder())
}

fn folder(key: &str, id: u64) -> String {
    format!("{key}.{id}")
}

/// Fetches all files aside, and gives them their place when they are sound.
async fn fetch(
    objects: &Objects,
    aside: &Path,
    path: &Path,
    split: &ArchivedSplit,
) -> Result<Split, ArchiveError> {
    let fault = |source| ArchiveError::Folder { path: aside.to_owned(), source };
    tokio::fs::create_dir_all(aside.join("words")).await.map_err(fault)?;
    for file in &split.files {
        fetch_file(objects, aside, split, file).await?;
    }
    tokio::fs::rename(aside, path).await.map_err(fault)?;
    let (number, path) = (split.id, path.to_owned());
    let opened = tokio::task::spawn_blocking(move || Split::open(number, &path));
    Ok(opened.await.map_err(|_| ArchiveError::Stopping)??)
}

async fn fetch_file(
    objects: &Objects,
    path: &Path,
    split: &ArchivedSplit,
    file: &FileSum,
) -> Result<(), ArchiveError> {
    let name = format!("{}/{}", split.folder(), file.name);
    let other = || ArchiveError::Other { name: name.clone() };
    // The names come from an index that others may have written.
    if !is_file_name(&file.name) {
        return Err(other());
    }
    let fault = |source| ArchiveError::Folder { path: path.to_owned(), source };
    let mut pieces = objects.stream(&name).await?;
    let mut out = tokio::fs::File::create(path.join(&file.name)).await.map_err(fault)?;
    let (mut crc, mut size) = (crc32fast::Hasher::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        if size > file.size {
            return Err(other());
        }
        crc.update(&piece);
        out.write_all(&piece).await.map_err(fault)?;
    }
    out.flush().await.map_err(fault)?;
    if (size, crc.finalize()) != (file.size, file.crc) {
        return Err(other());
    }
    Ok(())
}
