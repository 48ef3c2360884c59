//! Copies sealed blocks into the archive, and takes out of it what is too old, too much or
//! damaged.
//!
//! A crash at any moment leaves an index that names only what is whole and there: a copy counts
//! when it was read back and the index names it, and what goes leaves the index first.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    io,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use tiphys_objects::{ObjectsError, Sum};
use tokio_util::io::ReaderStream;

use super::{
    Archive, Archived, Entry, Index,
    index::beyond,
    replaced::{KEPT, left},
};
use crate::series::block::{Block, BlockError};

const INDEX: &str = "index";
/// What is read of a file at once.
const READ: usize = 1 << 20;

/// What the archive tells of itself.
#[derive(Default)]
pub struct ArchiveCounts {
    pub blocks: Gauge,
    pub bytes: Gauge,
    pub copied: Counter,
    pub failed: Counter,
    pub damaged: Counter,
    pub misread: Counter,
    pub put_off: Counter,
}

impl ArchiveCounts {
    pub fn register(&self, registry: &mut Registry) {
        let name = |what| format!("tiphys_metrics_archive_{what}");
        registry.register(name("blocks"), "Blocks of series in the archive", self.blocks.clone());
        registry.register(name("bytes"), "Bytes of the blocks in the archive", self.bytes.clone());
        registry.register(name("copied"), "Blocks copied into the archive", self.copied.clone());
        registry.register(name("failures"), "Rounds of copying that failed", self.failed.clone());
        registry.register(name("damaged"), "Blocks of the archive set aside", self.damaged.clone());
        let misread = "Blocks of the archive that are whole and were read wrongly";
        registry.register(name("misread"), misread, self.misread.clone());
        let put_off = "Blocks of the archive that could not be made coarser at first";
        registry.register(name("not_coarser"), put_off, self.put_off.clone());
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("{path} can't be copied")]
    File { path: PathBuf, source: io::Error },
    #[error("the archive gives back other bytes of `{0}` than it got")]
    Changed(String),
    #[error("the index can't be written")]
    Index(#[from] io::Error),
    #[error("the server is stopping")]
    Stopping,
}

impl Archive {
    /// One round: copies these blocks, and takes out what is beyond what is kept. Gives the
    /// ranges that are archived and so old that they need not be here.
    ///
    /// # Errors
    /// The archive can't be reached, or a block here can't be read.
    pub async fn round(&self, sealed: &[Arc<Block>], now: i64) -> Result<Vec<Range<i64>>, ArchiveError> {
        let done = self.try_round(sealed, now).await;
        match &done {
            Ok(_) => self.reach.is_up(),
            Err(_) => {
                self.counts.failed.inc();
            }
        }
        self.measure();
        done
    }

    async fn try_round(&self, sealed: &[Arc<Block>], now: i64) -> Result<Vec<Range<i64>>, ArchiveError> {
        self.read_indexes().await?;
        self.set_suspects_aside().await?;
        self.delete_replaced().await?;
        for block in sealed {
            if self.wants(block, now) {
                self.copy(block).await?;
            }
        }
        self.retain(now).await?;
        let before = before(now, self.config.local);
        let old = sealed.iter().filter(|block| block.range.end <= before);
        Ok(old.filter(|block| self.has(block)).map(|block| block.range.clone()).collect())
    }

    fn measure(&self) {
        let known = self.known.read();
        let blocks = known.indexes.iter().flat_map(|(store, index)| {
            let is_there = |block: &&Archived| !known.left.contains(&object(store, block));
            index.blocks().iter().filter(is_there)
        });
        let (count, bytes) = blocks.fold((0, 0), |(count, bytes), block| (count + 1, bytes + block.size));
        self.counts.blocks.set(count);
        self.counts.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Whether a block is to be copied: it isn't there, and it would not go again at once.
    pub fn wants(&self, block: &Block, now: i64) -> bool {
        if self.has(block) || block.range.end <= before(now, self.config.keep) {
            return false;
        }
        let known = self.known.read();
        let all = known.indexes.values().flat_map(Index::blocks);
        let newer = all.filter(|one| one.range.end >= block.range.end).map(|one| one.size);
        newer.fold(block.size, u64::saturating_add) <= self.config.keep_bytes
    }

    /// Whether the index names it, or the same day before or after it was made coarser.
    fn has(&self, block: &Block) -> bool {
        let known = self.known.read();
        let index = known.indexes.get(&self.own);
        index.is_some_and(|index| {
            let is_it = |one: &Archived| one.size == block.size || block.resolution > 0 || one.resolution > 0;
            index.blocks().iter().any(|one| one.range == block.range && is_it(one))
        })
    }

    /// Reads the indexes of the others, and at first one's own.
    async fn read_indexes(&self) -> Result<(), ArchiveError> {
        let first = !self.known.read().read;
        let mut stores = self.config.objects.folders().await?;
        if !stores.contains(&self.own) {
            stores.push(self.own.clone());
        }
        for store in &stores {
            if *store == self.own {
                if first {
                    let index = self.read_own().await?;
                    let (mut known, now) = (self.known.write(), now());
                    for one in index.replaced() {
                        known.replaced.add(one.name.clone(), left(one.at, now));
                    }
                    known.indexes.insert(store.clone(), index);
                }
                continue;
            }
            let Some(bytes) = self.config.objects.read(&format!("{store}/{INDEX}")).await? else { continue };
            let mut known = self.known.write();
            match Index::read(&bytes) {
                Ok(index) => {
                    known.faults.remove(store);
                    known.indexes.insert(store.clone(), index);
                }
                Err(why) => {
                    if known.faults.insert(store.clone(), why.clone()).is_none() {
                        tracing::error!(store, why, "an index of the archive of series can't be used");
                    }
                }
            }
        }
        let mut known = self.known.write();
        known.indexes.retain(|store, _| stores.contains(store));
        known.faults.retain(|store, _| stores.contains(store));
        if !known.misread.is_empty() {
            let all = known.indexes.iter().flat_map(|(store, index)| {
                let blocks = index.blocks().iter();
                blocks.map(move |block| object(store, block))
            });
            let names: BTreeSet<String> = all.collect();
            known.misread.retain(|name| names.contains(name));
        }
        known.read = true;
        Ok(())
    }

    /// Reads one's own index, makes another of what is there where it is lost, and deletes what it
    /// doesn't name: copies that were not finished. What was replaced, it names for a while.
    async fn read_own(&self) -> Result<Index, ArchiveError> {
        let own = self.config.objects.below(&self.own);
        let mut there: Vec<Archived> = own
            .list()
            .await?
            .into_iter()
            .filter_map(|object| Archived::of_name(&object.name, object.size))
            .collect();
        let read = match own.read(INDEX).await? {
            Some(bytes) => match Index::read(&bytes) {
                Ok(index) => Some(index),
                Err(why) => {
                    tracing::error!(
                        store = self.own,
                        why,
                        "the index of the archive of series is damaged; it is set aside and made again"
                    );
                    own.rename(INDEX, &format!("{INDEX}.damaged")).await?;
                    None
                }
            },
            None => None,
        };
        if let Some(mut index) = read {
            let lost: Vec<_> =
                index.blocks().iter().filter(|block| !is_among(block, &there)).cloned().collect();
            for block in &lost {
                tracing::error!(block = block.name(), "the archive of series has lost a block");
            }
            index.remove(|block| lost.contains(block));
            let names: BTreeSet<String> = there.iter().map(Archived::name).collect();
            index.retain_replaced(|name| names.contains(name));
            let stays: BTreeSet<&str> = index.replaced().iter().map(|one| one.name.as_str()).collect();
            for block in there.iter().filter(|block| !is_among(block, index.blocks())) {
                let name = block.name();
                if !stays.contains(name.as_str()) {
                    own.delete_one(&name).await?;
                }
            }
            return Ok(index);
        }
        let mut index = Index::default();
        // Of a day that was made coarser both may be there: the smaller one takes the place of the other, and
        // a longer one that of those within it.
        there.sort_by_key(|block| (block.range.end.saturating_sub(block.range.start), Reverse(block.size)));
        for block in there {
            // One that was not finished may be among them.
            if own.sum(&block.name()).await? == Some(Sum { size: block.size, crc: block.crc }) {
                let replaced: Vec<String> = index.add(block, None).iter().map(Archived::name).collect();
                index.replace(&replaced, now());
            } else {
                own.delete_one(&block.name()).await?;
            }
        }
        self.write(&index).await?;
        Ok(index)
    }

    async fn write(&self, index: &Index) -> Result<(), ArchiveError> {
        Ok(self.config.objects.below(&self.own).replace(INDEX, index.write()?).await?)
    }

    /// Changes one's own index, in the archive first.
    async fn change<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, ArchiveError> {
        let _one = self.writing.lock().await;
        let mut index = self.known.read().indexes.get(&self.own).cloned().unwrap_or_default();
        let changed = change(&mut index);
        self.write(&index).await?;
        let mut known = self.known.write();
        if !known.put_off.is_empty() {
            // What is gone, and what another one has taken the place of, is not tried again.
            let names: BTreeSet<String> = index.blocks().iter().map(|one| object(&self.own, one)).collect();
            known.put_off.retain(|name, _| names.contains(name));
        }
        known.indexes.insert(self.own.clone(), index);
        Ok(changed)
    }

    /// Says of a block in the archive how coarse it is.
    ///
    /// # Errors
    /// The archive can't be reached.
    pub async fn note(&self, entry: &Entry, resolution: i64) -> Result<(), ArchiveError> {
        self.change(|index| index.note(&entry.block, resolution)).await?;
        self.known.write().put_off.remove(&*entry.object());
        Ok(())
    }

    /// Copies a block of here. It takes the place of those that lie within its range.
    ///
    /// # Errors
    /// The archive can't be reached, or the block can't be read.
    pub async fn copy(&self, block: &Arc<Block>) -> Result<(), ArchiveError> {
        let begun = Instant::now();
        let (of, path) = (block.clone(), block.path().to_owned());
        let looked =
            tokio::task::spawn_blocking(move || Ok::<_, ArchiveError>((of.names()?, sum_of(of.path())?)));
        let (names, sum) = looked.await.map_err(|_| ArchiveError::Stopping)??;
        let fault = |source| ArchiveError::File { path: path.clone(), source };
        let archived = Archived::new(block.range.clone(), sum.size, sum.crc).coarse(block.resolution);
        let name = archived.name();
        let own = self.config.objects.below(&self.own);
        let file = tokio::fs::File::open(&path).await.map_err(fault)?;
        let pieces =
            ReaderStream::with_capacity(file, READ).map(|piece: io::Result<Bytes>| piece.map_err(fault));
        own.write(&name, &sum, Box::pin(pieces)).await?;
        own.make_durable(&[&name]).await?;
        if own.sum(&name).await? != Some(sum) {
            own.delete_one(&name).await?;
            return Err(ArchiveError::Changed(name));
        }
        {
            let (mut known, object) = (self.known.write(), object(&self.own, &archived));
            known.left.remove(&object);
            known.misread.remove(&object);
            known.replaced.forget(std::slice::from_ref(&name));
        }
        let replaced = self.change(|index| {
            let replaced = index.add(archived, Some(&names));
            let replaced: Vec<String> =
                replaced.iter().map(Archived::name).filter(|old| *old != name).collect();
            index.replace(&replaced, now());
            replaced
        });
        let replaced = replaced.await?;
        let mut known = self.known.write();
        replaced.into_iter().for_each(|old| known.replaced.add(old, KEPT));
        drop(known);
        self.counts.copied.inc();
        tracing::info!(
            name,
            bytes = sum.size,
            seconds = begun.elapsed().as_secs_f64(),
            "a block of series is archived"
        );
        Ok(())
    }

    /// Deletes what is too old or too much, also of stores that write no more.
    async fn retain(&self, now: i64) -> Result<(), ArchiveError> {
        let (own, others, empty) = {
            let known = self.known.read();
            let stores = known.indexes.iter().map(|(store, index)| (store.as_str(), index));
            let gone = beyond(stores, before(now, self.config.keep), self.config.keep_bytes);
            let is_own = |(store, _): &(&str, &Archived)| *store == self.own;
            let own: Vec<Archived> =
                gone.iter().filter(|one| is_own(one)).map(|(_, block)| (*block).clone()).collect();
            let all = gone.iter().filter(|one| !is_own(one)).map(|(store, block)| object(store, block));
            let others: Vec<String> = all.filter(|object| !known.left.contains(object)).collect();
            let is_empty = |store: &&String| {
                let of_it = gone.iter().filter(|(of, _)| of == store).count();
                **store != self.own && known.indexes[*store].blocks().len() == of_it
            };
            let empty: Vec<(String, Vec<String>)> = known
                .indexes
                .keys()
                .filter(is_empty)
                .map(|store| {
                    let replaced = known.indexes[store].replaced().iter();
                    (store.clone(), replaced.map(|one| format!("{store}/{}", one.name)).collect())
                })
                .collect();
            (own, others, empty)
        };
        if !own.is_empty() {
            self.change(|index| index.remove(|block| is_among(block, &own))).await?;
        }
        for block in &own {
            self.config.objects.delete_one(&object(&self.own, block)).await?;
        }
        for object in others {
            self.config.objects.delete_one(&object).await?;
            self.known.write().left.insert(object);
        }
        for (store, replaced) in empty {
            for object in replaced {
                self.config.objects.delete_one(&object).await?;
            }
            // Should it write again, it makes its index anew.
            self.config.objects.delete_one(&format!("{store}/{INDEX}")).await?;
        }
        Ok(())
    }

    /// Deletes what other objects have taken the place of long enough before.
    async fn delete_replaced(&self) -> Result<(), ArchiveError> {
        let due = self.known.read().replaced.due(Instant::now());
        if due.is_empty() {
            return Ok(());
        }
        for name in &due {
            let object = format!("{}/{name}", self.own);
            self.config.objects.delete_one(&object).await?;
            self.reach.forget(&object);
            self.opened.forget(|key| **key == *object);
        }
        self.change(|index| index.retain_replaced(|name| !due.iter().any(|gone| gone == name))).await?;
        self.known.write().replaced.forget(&due);
        Ok(())
    }

    /// As if so much time had passed since objects were replaced, or put off.
    #[cfg(test)]
    pub fn hasten(&self, by: Duration) {
        let mut known = self.known.write();
        known.replaced.hasten(by);
        known.put_off.values_mut().for_each(|again| *again = again.checked_sub(by).unwrap_or(*again));
    }

    /// How many days are put off.
    #[cfg(test)]
    pub fn put_off_count(&self) -> usize {
        self.known.read().put_off.len()
    }

    async fn set_suspects_aside(&self) -> Result<(), ArchiveError> {
        loop {
            let next = self.known.read().suspects.first().cloned();
            let Some((entry, why)) = next else { return Ok(()) };
            self.set_aside(&entry, &why).await?;
            self.known.write().suspects.retain(|(other, _)| *other != entry);
        }
    }

    /// Sets an object aside that is not what was written; one that is, is asked again, which is counted and
    /// logged the first time.
    async fn set_aside(&self, entry: &Entry, why: &str) -> Result<(), ArchiveError> {
        let name = entry.block.name();
        let store = self.config.objects.below(&entry.store);
        let sum = Sum { size: entry.block.size, crc: entry.block.crc };
        match store.sum(&name).await? {
            Some(is) if is == sum => {
                let object = entry.object().to_string();
                let mut known = self.known.write();
                known.left.remove(&object);
                let is_news = known.misread.insert(object);
                drop(known);
                if is_news {
                    self.counts.misread.inc();
                    tracing::warn!(
                        store = entry.store,
                        name,
                        why,
                        "a block of the archive was read wrongly, and is whole"
                    );
                }
                return Ok(());
            }
            Some(_) => store.rename(&name, &format!("{name}.damaged")).await?,
            None => {}
        }
        self.known.write().misread.remove(&*entry.object());
        self.counts.damaged.inc();
        tracing::error!(
            store = entry.store,
            name,
            why,
            "a damaged block of the archive is set aside as .damaged; its day is missing"
        );
        if entry.store == self.own {
            self.change(|index| index.remove(|block| is_among(block, std::slice::from_ref(&entry.block))))
                .await?;
        }
        Ok(())
    }
}

/// By the clock, milliseconds since the Unix epoch.
fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The time before which something is older than that.
fn before(now: i64, age: Duration) -> i64 {
    now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

fn object(store: &str, block: &Archived) -> String {
    format!("{store}/{}", block.name())
}

/// By the object's name: what an index says of names of metrics, a list of objects doesn't, and an
/// object of another size is damaged, which who reads it finds.
fn is_among(block: &Archived, all: &[Archived]) -> bool {
    all.iter().any(|one| one.range == block.range && one.crc == block.crc)
}

/// What a file's bytes add up to. Blocks the thread.
fn sum_of(path: &std::path::Path) -> Result<Sum, ArchiveError> {
    let fault = |source| ArchiveError::File { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(fault)?;
    let (mut crc, mut size, mut buffer) = (crc32fast::Hasher::new(), 0, vec![0; READ]);
    loop {
        match io::Read::read(&mut file, &mut buffer).map_err(fault)? {
            0 => return Ok(Sum { size, crc: crc.finalize() }),
            read => {
                crc.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}
