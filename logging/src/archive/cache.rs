//! Splits of the archive on the server's disk, to be searched as a node's are.
//!
//! Fetched when somebody asks, whole and checked; the ones not used for longest go
//! when the folder is full. A fetch goes on when who asked has given up waiting, so
//! that the next one finds it done.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
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
const FETCHES: usize = 4;

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
    split: Shared<BoxFuture<'static, Fetched>>,
    bytes: u64,
    used: u64,
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

    /// A split, once it is here. `number` is what it is called in messages. Give it back by
    /// [`Cache::forget`] when it turns out damaged.
    pub async fn get(self: &Arc<Self>, objects: &Objects, node: &str, split: &ArchivedSplit) -> Fetched {
        let key = key(node, split);
        let fetched = {
            let mut slots = self.slots.lock();
            slots.clock += 1;
            let used = slots.clock;
            let slot = slots.by_key.entry(key.clone()).or_insert_with(|| Slot {
                split: self.fetch(objects.below(node), key.clone(), split.clone()),
                bytes: split.bytes(),
                used,
            });
            slot.used = used;
            slot.split.clone()
        };
        let fetched = fetched.await;
        match &fetched {
            Ok(_) => self.make_room(&key),
            Err(_) => self.forget(node, split),
        }
        fetched
    }

    /// Lets go of a split; who uses it goes on.
    pub fn forget(&self, node: &str, split: &ArchivedSplit) {
        let key = key(node, split);
        if self.slots.lock().by_key.remove(&key).is_some() {
            self.delete(&key);
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
            let mut bytes: u64 = slots.by_key.values().map(|slot| slot.bytes).sum();
            while bytes > self.limit {
                // What is being fetched is not here yet.
                let here = slots
                    .by_key
                    .iter()
                    .filter(|(key, slot)| *key != keep && slot.split.peek().is_some_and(Result::is_ok));
                let Some(oldest) = here.min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone()) else {
                    break;
                };
                bytes -= slots.by_key.remove(&oldest).map_or(0, |slot| slot.bytes);
                out.push(oldest);
            }
        }
        out.iter().for_each(|key| self.delete(key));
    }

    fn delete(&self, key: &str) {
        // Aside first, so that a new fetch of it doesn't meet the old one.
        let aside = self.folder.join(format!("{key}.out-{}", self.next()));
        if std::fs::rename(self.folder.join(key), &aside).is_ok()
            && let Err(error) = std::fs::remove_dir_all(&aside)
        {
            tracing::warn!(%error, path = %aside.display(), "a split of the archive can't be taken off the disk");
        }
    }

    fn next(&self) -> u64 {
        let mut slots = self.slots.lock();
        slots.clock += 1;
        slots.clock
    }

    fn fetch(
        &self,
        objects: Objects,
        key: String,
        split: ArchivedSplit,
    ) -> Shared<BoxFuture<'static, Fetched>> {
        let (sender, receiver) = oneshot::channel();
        let (path, fetches) = (self.folder.join(key), self.fetches.clone());
        self.tasks.spawn("fetch from the log archive", OnError::Log, async move {
            // It is never closed.
            let _permit = fetches.acquire_owned().await;
            let fetched = fetch(&objects, &path, &split).await;
            let _ = sender.send(fetched.map(Arc::new).map_err(Arc::new));
            Ok::<(), std::convert::Infallible>(())
        });
        receiver.map(|got| got.unwrap_or_else(|_| Err(Arc::new(ArchiveError::Stopping)))).boxed().shared()
    }
}

fn key(node: &str, split: &ArchivedSplit) -> String {
    format!("{node}_{}", split.folder())
}

async fn fetch(objects: &Objects, path: &Path, split: &ArchivedSplit) -> Result<Split, ArchiveError> {
    let fault = |source| ArchiveError::Folder { path: path.to_owned(), source };
    tokio::fs::create_dir_all(path.join("words")).await.map_err(fault)?;
    for file in &split.files {
        fetch_file(objects, path, split, file).await?;
    }
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
