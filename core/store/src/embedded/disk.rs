//! The embedded database below the store: one keyspace of fjall. Everything that
//! is specific to it is in this file.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use super::{codec, index::Position};
use crate::{Record, Revision, StoreError};

/// Versions in memory until they are written as a table, so also what a restart replays.
const MEMTABLE_BYTES: u64 = 8 << 20;
const JOURNAL_BYTES: u64 = 64 << 20;

pub struct Disk {
    db: Database,
    keyspace: Keyspace,
}

/// A stable view: what is removed later stays readable in it. Short-lived.
pub struct View<'a> {
    disk: &'a Disk,
    snapshot: Snapshot,
}

/// Changes that become durable together or not at all.
pub struct Batch<'a> {
    disk: &'a Disk,
    batch: fjall::OwnedWriteBatch,
}

/// A key and a value of the disk.
pub type Pair = (fjall::Slice, fjall::Slice);

impl Disk {
    /// Opens or creates; recovers what a crash left.
    pub fn open(path: &Path, cache_bytes: u64) -> fjall::Result<Self> {
        let db = Database::builder(path)
            .cache_size(cache_bytes)
            .worker_threads(1)
            .max_journaling_size(JOURNAL_BYTES)
            .manual_journal_persist(true)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = db.keyspace("store", options)?;
        Ok(Self { db, keyspace })
    }

    pub fn view(&self) -> View<'_> {
        View { disk: self, snapshot: self.db.snapshot() }
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch { disk: self, batch: self.db.batch() }
    }

    /// Bytes of the files, the journal's included.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        self.db.disk_space().map_err(failed)
    }

    /// Writes the tables anew without what was removed. Takes as long as that takes.
    pub fn rewrite(&self) -> fjall::Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        self.keyspace.major_compact()?;
        // Tables that were replaced are deleted when the next memtable is.
        self.keyspace.insert(codec::NOTHING, "")?;
        self.keyspace.rotate_memtable_and_wait()?;
        Ok(())
    }
}

impl View<'_> {
    pub fn get(&self, key: &[u8]) -> fjall::Result<Option<fjall::Slice>> {
        self.snapshot.get(&self.disk.keyspace, key)
    }

    /// Pairs from `from` (included) to `to` (excluded), in key order.
    pub fn scan(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = fjall::Result<Pair>> + use<> {
        self.snapshot.range(&self.disk.keyspace, from..to).map(fjall::Guard::into_inner)
    }

    /// The record that the index says is there.
    pub fn record(&self, position: Position) -> Result<Record, StoreError> {
        let Position { revision, sub, .. } = position;
        let bytes = self.get(&codec::history_key(revision, sub)).map_err(failed)?;
        bytes
            .and_then(|bytes| codec::decode(&bytes))
            .map(|stored| stored.into_record(revision))
            .ok_or_else(|| StoreError::Io(format!("the record of revision {revision} cannot be read")))
    }

    /// Versions of the revisions `from..=to`, in order.
    pub fn history(
        &self,
        from: Revision,
        to: Revision,
    ) -> impl Iterator<Item = Result<(Revision, codec::Stored), StoreError>> + use<> {
        let pairs = self.scan(&codec::history_key(from, 0), &codec::history_key(to.saturating_add(1), 0));
        pairs.map(|pair| {
            let (key, value) = pair.map_err(failed)?;
            let revision = codec::parse_history_key(&key).map(|(revision, _)| revision);
            revision
                .zip(codec::decode(&value))
                .ok_or_else(|| StoreError::Io("a version on disk cannot be decoded".into()))
        })
    }
}

impl Batch<'_> {
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.insert(&self.disk.keyspace, key, value);
    }

    pub fn remove(&mut self, key: &[u8]) {
        self.batch.remove(&self.disk.keyspace, key);
    }

    /// Returns when the changes are on the disk itself.
    pub fn commit(self) -> Result<(), StoreError> {
        self.batch.durability(Some(PersistMode::SyncData)).commit().map_err(failed)
    }
}

/// A failure while the store runs.
pub fn failed(error: fjall::Error) -> StoreError {
    StoreError::Io(error.to_string())
}

/// A failure while the store is being opened.
pub fn refused(path: &Path, error: &fjall::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        fjall::Error::Locked => StoreError::InUse { path },
        fjall::Error::Io(io) if !is_damage(io.kind()) => StoreError::Io(format!("{}: {io}", path.display())),
        other => StoreError::Damaged { path, what: other.to_string() },
    }
}

/// Whether an I/O error on opening says that files are missing or cut, rather than out of reach.
fn is_damage(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    matches!(kind, InvalidData | InvalidInput | NotFound | UnexpectedEof)
}
