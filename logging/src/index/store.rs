//! The store: all records of the node, and the state that searches read.
//!
//! One task appends and commits; any number search. A search holds the lock only
//! to look at the open blocks and to take references to the rest, so it never
//! sees a record twice or not at all while blocks move from memory to disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, watch};

use super::{
    Floors, IndexError, MAX_OPEN_BYTES, MAX_SEALED_BYTES, NamespaceTable, PodTable, Retention, SPLIT_BYTES,
    Split,
    archived::Archived,
    clock::Clock,
    manifest::{Manifest, SplitEntry},
    pack, resume,
};
use crate::{
    block::{OpenBlock, SealedBlock},
    journal::JournalCheckpoint,
    record::StreamInfo,
    tail::{Batch, StreamCheckpoint},
    time,
    wal::Mark,
};

/// The records of a node. Share it by `Arc`.
pub struct Store {
    pub(super) directory: PathBuf,
    pub(super) state: RwLock<State>,
    /// Held while splits are added or taken away.
    pub(super) manifest: Mutex<Manifest>,
    pub(super) retention: Retention,
    /// What is deleted is deleted by it.
    pub(super) clock: Clock,
    pub(super) archived: Mutex<Archived>,
    pods: PodTable,
    namespaces: NamespaceTable,
    /// Counts what happens to splits.
    pub(super) changed: watch::Sender<u64>,
    pub(super) purge_wanted: Notify,
    /// Locked while the store lives. `None`: what is here belongs to the archive, and nothing is
    /// written.
    lock: Option<Lock>,
}

#[derive(Default)]
pub(super) struct State {
    pub open: HashMap<String, OpenBlock>,
    pub open_bytes: usize,
    /// Sealed and not yet given to a commit.
    pub sealed: Vec<Arc<SealedBlock>>,
    /// On their way to disk.
    pub committing: Vec<Arc<SealedBlock>>,
    pub splits: Vec<Arc<Split>>,
    /// Splits that are missing from answers, and why: those that were set aside, and `unopened`.
    pub broken: BTreeMap<u64, String>,
    /// Splits of a later version, and those that the disk or the system doesn't give. The manifest
    /// lists them, and nothing here touches them but retention.
    pub unopened: BTreeSet<u64>,
    /// Splits that are open and could not be read to be written again; until then they are left
    /// alone.
    pub resting: BTreeMap<u64, Instant>,
    /// Open splits that could not be read, which the log has said. Answers say it each time.
    pub told: BTreeSet<u64>,
    /// What else is missing, as sentences.
    pub missing: Vec<String>,
    /// Of the write-ahead log, what was appended.
    pub wal: Mark,
    /// How far the journal's entries were appended.
    pub journal: JournalCheckpoint,
    /// Splits whose records are here, also those that became others.
    pub holds: Arc<Vec<(u64, u64)>>,
    /// Counts how often records went for good.
    pub departures: u64,
    /// See [`Manifest::store`].
    pub store: String,
    /// Below them records are gone, though they may still be here.
    pub floors: Arc<Floors>,
}

/// All records at one moment. While it lives no record can be appended.
pub struct Snapshot<'a> {
    state: RwLockReadGuard<'a, State>,
}

impl Store {
    /// Opens what is in `directory`, which is made when it isn't there. Gives
    /// where reading stands.
    pub fn open(directory: &Path, retention: Retention) -> Result<(Self, Vec<StreamCheckpoint>), IndexError> {
        for path in [directory.join("splits"), directory.join("broken")] {
            fs::create_dir_all(&path).map_err(IndexError::io("can't create", &path))?;
        }
        let lock = lock(directory)?;
        let (manifest, broken) = resume::manifest(directory)?;
        let (streams, wal, journal) = (manifest.streams.to_vec(), manifest.wal, manifest.journal.clone());
        let (holds, name, stood) =
            (manifest.holds(&BTreeSet::new()), manifest.store.clone(), manifest.stood(time::now()));
        let store = Self {
            directory: directory.to_owned(),
            state: RwLock::new(State { wal, journal, holds, store: name, ..State::default() }),
            archived: Mutex::new(Archived::new(manifest.archive_asked)),
            manifest: Mutex::new(manifest),
            retention,
            clock: Clock::new(stood),
            pods: PodTable::open(directory)?,
            namespaces: NamespaceTable::open(directory)?,
            // Not what a server may remember of the process before.
            changed: watch::Sender::new(time::now().cast_unsigned()),
            purge_wanted: Notify::new(),
            lock: Some(lock),
        };
        for lost in [store.pods.lost(), store.namespaces.lost()].into_iter().flatten() {
            store.name_broken(lost.to_owned());
        }
        for (id, why) in broken {
            store.set_aside(id, &why)?;
        }
        store.open_splits()?;
        store.refresh_floors();
        Ok((store, streams))
    }

    /// Splits that lie somewhere else, to be searched and never written.
    pub fn of_splits(splits: Vec<Arc<Split>>, floors: Arc<Floors>) -> Self {
        let state = State { splits, floors, ..State::default() };
        Self {
            directory: PathBuf::new(),
            state: RwLock::new(state),
            manifest: Mutex::default(),
            retention: Retention::default(),
            clock: Clock::new(None),
            archived: Mutex::default(),
            pods: PodTable::in_memory(),
            namespaces: NamespaceTable::in_memory(),
            changed: watch::Sender::new(0),
            purge_wanted: Notify::new(),
            lock: None,
        }
    }

    /// Whether splits here are another's.
    pub(super) fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    /// What is known of Pods.
    pub fn pods(&self) -> &PodTable {
        &self.pods
    }

    /// What is known of namespaces.
    pub fn namespace_table(&self) -> &NamespaceTable {
        &self.namespaces
    }

    /// How many files of these tables were damaged when the store was opened.
    pub fn damaged_tables(&self) -> u64 {
        self.pods.damaged() + self.namespaces.damaged()
    }

    /// Takes records in; they can be found when this returns.
    pub fn append(&self, batch: Batch) -> Result<(), IndexError> {
        let key = batch.info.key();
        let mut records = batch.records.into_iter();
        while !records.as_slice().is_empty() {
            let full = {
                let mut state = self.state.write();
                let block =
                    state.open.entry(key.clone()).or_insert_with(|| OpenBlock::new(batch.info.clone()));
                let before = block.bytes;
                while !block.is_full()
                    && records.as_slice().first().is_some_and(|record| block.takes(record))
                    && let Some(record) = records.next()
                {
                    block.push(record);
                }
                if block.is_full() && pack::is_rest(records.as_slice(), block) {
                    while records.as_slice().first().is_some_and(|record| block.takes(record))
                        && let Some(record) = records.next()
                    {
                        block.push(record);
                    }
                }
                let full = block.is_full() || !records.as_slice().is_empty();
                let added = block.bytes - before;
                state.open_bytes += added;
                full
            };
            if full {
                self.seal(&key)?;
            }
        }
        if self.state.read().open_bytes > MAX_OPEN_BYTES {
            self.seal_largest()?;
        }
        Ok(())
    }

    /// Whether the stream has a block that is not full yet.
    pub fn is_open(&self, info: &StreamInfo) -> bool {
        self.state.read().open.contains_key(&info.key())
    }

    /// All entries of the write-ahead log up to this mark were appended.
    pub fn appended(&self, mark: Mark) {
        self.state.write().wal = mark;
    }

    /// What of the write-ahead log is in the store.
    pub fn mark(&self) -> Mark {
        self.state.read().wal
    }

    /// All entries of the journal up to here were appended.
    pub fn journal_appended(&self, stands: JournalCheckpoint) {
        self.state.write().journal = stands;
    }

    /// How far the journal is in the store.
    pub fn journal(&self) -> JournalCheckpoint {
        self.state.read().journal.clone()
    }

    /// Enough is sealed for a split.
    pub fn wants_commit(&self) -> bool {
        self.sealed_bytes() >= SPLIT_BYTES
    }

    /// Memory is used up: don't append before a commit is through.
    pub fn is_full(&self) -> bool {
        self.sealed_bytes() >= MAX_SEALED_BYTES
    }

    /// Records that are in memory only.
    pub fn has_uncommitted(&self) -> bool {
        let state = self.state.read();
        !state.open.is_empty() || !state.sealed.is_empty() || !state.committing.is_empty()
    }

    /// All records at this moment.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { state: self.state.read() }
    }

    /// Namespaces that have records, sorted.
    pub fn namespaces(&self) -> Vec<String> {
        let state = self.state.read();
        let mut names: HashSet<&str> = HashSet::new();
        names.extend(state.open.values().map(|block| block.info.namespace.as_str()));
        names.extend(state.sealed.iter().chain(&state.committing).map(|block| block.info.namespace.as_str()));
        names
            .extend(state.splits.iter().flat_map(|split| split.streams()).map(|s| s.info.namespace.as_str()));
        let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// What was set aside, as sentences.
    pub fn broken(&self) -> Vec<String> {
        let state = self.state.read();
        state.broken.values().chain(&state.missing).cloned().collect()
    }

    /// Names in each answer something of which records are missing, until the next start.
    pub fn name_broken(&self, what: String) {
        self.state.write().missing.push(what);
    }

    /// Whether the split was set aside.
    pub fn is_broken(&self, split: u64) -> bool {
        self.state.read().broken.contains_key(&split)
    }

    /// An open split couldn't be read. Whether that is news: who asks again and again fills no log.
    pub fn is_unread_now(&self, split: u64) -> bool {
        self.state.write().told.insert(split)
    }

    /// Numbers for metrics: records and bytes on disk, splits.
    pub fn sizes(&self) -> (u64, u64, u64) {
        let manifest = self.manifest.lock();
        let sum = |of: fn(&SplitEntry) -> u64| manifest.splits.iter().map(of).sum();
        (sum(|split| split.records), sum(|split| split.disk_bytes), manifest.splits.len() as u64)
    }

    pub(super) fn split_path(&self, id: u64) -> PathBuf {
        self.directory.join("splits").join(id.to_string())
    }

    /// Seals every open block.
    pub(super) fn seal_all(&self) -> Result<(), IndexError> {
        let keys: Vec<String> = self.state.read().open.keys().cloned().collect();
        keys.iter().try_for_each(|key| self.seal(key))
    }

    /// Seals the largest open blocks until half of the memory for them is left.
    fn seal_largest(&self) -> Result<(), IndexError> {
        let mut blocks: Vec<(usize, String)> =
            self.state.read().open.iter().map(|(key, block)| (block.bytes, key.clone())).collect();
        blocks.sort_unstable();
        while self.state.read().open_bytes > MAX_OPEN_BYTES / 2
            && let Some((_, key)) = blocks.pop()
        {
            self.seal(&key)?;
        }
        Ok(())
    }

    /// Compresses an open block. Only the appending task does this, so the block
    /// can't change between the two locks, and searches go on meanwhile.
    fn seal(&self, key: &str) -> Result<(), IndexError> {
        let taken = self.state.read().open.get(key).map(|block| (block.info.clone(), block.records.clone()));
        let Some((info, records)) = taken.filter(|(_, records)| !records.is_empty()) else { return Ok(()) };
        let sealed = SealedBlock::seal(info, &records);
        let sealed = sealed.map_err(IndexError::io("can't compress a block for", &self.directory))?;
        let mut state = self.state.write();
        if let Some(block) = state.open.remove(key) {
            state.open_bytes -= block.bytes;
        }
        state.sealed.push(Arc::new(sealed));
        Ok(())
    }

    fn sealed_bytes(&self) -> usize {
        let state = self.state.read();
        let raw =
            |blocks: &[Arc<SealedBlock>]| blocks.iter().map(|b| b.head.raw_bytes as usize).sum::<usize>();
        raw(&state.sealed) + raw(&state.committing) + state.open_bytes
    }
}

/// Of the directory; the kernel unlocks it when the process dies.
struct Lock(File);

impl Drop for Lock {
    /// To close the file isn't enough: a process that another thread starts has its descriptor
    /// until it runs its own program.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "index can't be unlocked, it is when this process ends");
        }
    }
}

/// Two collectors in one index would take each other's splits for rubbish.
fn lock(directory: &Path) -> Result<Lock, IndexError> {
    let path = directory.join("LOCK");
    let file = File::create(&path).map_err(IndexError::io("can't create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(IndexError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(IndexError::io("can't lock", &path)(error)),
    }
}

impl Snapshot<'_> {
    pub fn open(&self) -> impl Iterator<Item = &OpenBlock> {
        self.state.open.values()
    }

    /// Compressed blocks in memory.
    pub fn sealed(&self) -> impl Iterator<Item = &Arc<SealedBlock>> {
        self.state.committing.iter().chain(&self.state.sealed)
    }

    pub fn splits(&self) -> &[Arc<Split>] {
        &self.state.splits
    }

    /// Streams with records in memory.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<StreamInfo>> {
        self.open().map(|block| &block.info).chain(self.sealed().map(|block| &block.info))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_free_after_the_store_also_where_a_process_is_about_to_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        let is_used =
            || matches!(Store::open(folder.path(), Retention::default()), Err(IndexError::InUse(_)));
        assert!(is_used());
        // What a process has between its start and its own program.
        let inherited = store.lock.as_ref().map(|lock| lock.0.try_clone().expect("a descriptor"));
        drop(store);
        assert!(!is_used());
        drop(inherited);
    }
}
