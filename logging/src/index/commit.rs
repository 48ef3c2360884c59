//! Commits: what is in memory becomes a split, and the manifest moves on.
//!
//! ```text
//! begin   (with the appending task stopped)  seal all, take the blocks and the checkpoints
//! finish  (anywhere, blocking)               write split, fsync, manifest, swap in
//! ```
//!
//! If it fails, the blocks go back to be tried again; the records can be found
//! in memory all the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::Arc,
};

use super::{
    IndexError, Split, Store,
    manifest::{Manifest, SplitEntry, joined},
    merge::Piece,
    resume,
    split::SplitWriter,
    store::State,
};
use crate::{block::SealedBlock, journal::JournalCheckpoint, tail::StreamCheckpoint, wal::Mark};

/// Blocks on their way to disk, and the checkpoints that cover them.
pub struct Pending {
    blocks: Vec<Arc<SealedBlock>>,
    pub checkpoints: Arc<[StreamCheckpoint]>,
    /// Of the write-ahead log, what these blocks and the splits cover.
    pub wal: Mark,
    /// The same of the journal.
    journal: JournalCheckpoint,
}

impl Store {
    /// Takes everything in memory for a commit. `checkpoints` must cover exactly
    /// the records appended so far. One commit at a time.
    pub fn begin_commit(&self, checkpoints: Vec<StreamCheckpoint>) -> Result<Pending, IndexError> {
        self.seal_all()?;
        let mut state = self.state.write();
        let fresh = std::mem::take(&mut state.sealed);
        state.committing.extend(fresh);
        let (blocks, journal) = (state.committing.clone(), state.journal.clone());
        Ok(Pending { blocks, checkpoints: checkpoints.into(), wal: state.wal, journal })
    }

    /// Makes the records durable. Blocks; when this gives an error, begin again.
    pub fn finish_commit(&self, pending: &Pending) -> Result<(), IndexError> {
        let result = self.write(pending);
        if result.is_err() {
            let mut state = self.state.write();
            let mut back = std::mem::take(&mut state.committing);
            back.append(&mut state.sealed);
            state.sealed = back;
        }
        result
    }

    fn write(&self, pending: &Pending) -> Result<(), IndexError> {
        self.pods().store()?;
        self.namespace_table().store()?;
        let mut manifest = self.manifest.lock();
        let mut next = manifest.clone();
        next.streams = pending.checkpoints.clone();
        next.wal = pending.wal;
        next.journal.clone_from(&pending.journal);
        next.archive_asked = self.archived.lock().asked;
        let (floors, now) = (self.floors(), self.clock.now());
        let blocks = pending.blocks.iter().map(|block| self.still_counts(block, &floors, now.passed()));
        let blocks: Vec<_> = blocks.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let split = if blocks.is_empty() {
            None
        } else {
            let pieces = blocks.into_iter().map(|block| Ok(Piece::Fresh(block)));
            let (split, entry) = self.write_split(next.next, &[], pieces, now.made())?;
            next.next += 1;
            next.splits.push(entry);
            Some(split)
        };
        let id = split.as_ref().map(|split| split.id);
        let turned = self.turn(&mut manifest, next, |state| {
            state.committing.clear();
            state.splits.extend(split.map(Arc::new));
        });
        if let (Err(_), Some(id)) = (&turned, id) {
            self.discard_failed(&mut manifest, id);
        }
        turned
    }

    /// Makes a manifest count: durable first, then for searches, all of it at once.
    pub(super) fn turn(
        &self,
        manifest: &mut Manifest,
        mut next: Manifest,
        change: impl FnOnce(&mut State),
    ) -> Result<(), IndexError> {
        next.generation = manifest.generation + 1;
        next.aged = self.clock.now().aged;
        self.carry(manifest, &next)?;
        next.store(&self.directory)?;
        let moved = manifest.splits != next.splits;
        let mut state = self.state.write();
        change(&mut state);
        if moved {
            state.holds = next.holds(&state.unopened);
            state.told.retain(|told| next.splits.iter().any(|split| split.id == *told));
        }
        drop(state);
        *manifest = next;
        if moved {
            self.changed.send_modify(|version| *version += 1);
        }
        Ok(())
    }

    /// Writes a split, some of its blocks from `sources`, and opens it. It doesn't count before
    /// the manifest names it. What an error leaves is deleted: the disk may be full.
    pub(super) fn write_split(
        &self,
        id: u64,
        sources: &[Arc<Split>],
        pieces: impl Iterator<Item = Result<Piece, IndexError>>,
        created: i64,
    ) -> Result<(Split, SplitEntry), IndexError> {
        self.write_files(id, sources, pieces, created).inspect_err(|_| self.discard(id))
    }

    fn write_files(
        &self,
        id: u64,
        sources: &[Arc<Split>],
        pieces: impl Iterator<Item = Result<Piece, IndexError>>,
        created: i64,
    ) -> Result<(Split, SplitEntry), IndexError> {
        let path = self.split_path(id);
        let mut writer = SplitWriter::create(&path)?;
        let (mut records, mut raw_bytes) = (0, 0);
        for piece in pieces {
            let head = writer
                .put(piece?, sources, |info| self.pods().get(&info.uid).map(|meta| meta.labels.clone()))?;
            records += u64::from(head.count);
            raw_bytes += head.raw_bytes;
        }
        let files = writer.finish()?;
        let splits = self.directory.join("splits");
        fs::File::open(&splits)
            .and_then(|dir| dir.sync_all())
            .map_err(IndexError::io("can't sync", &splits))?;
        let disk_bytes = files.iter().map(|file| file.size).sum();
        let entry =
            SplitEntry { id, created, records, raw_bytes, disk_bytes, files, ..SplitEntry::default() };
        let split = Split::open(id, &path)?;
        split.trust_words();
        Ok((split, entry))
    }

    /// Deletes a split whose manifest could not be made to count. If it stands on the disk all the
    /// same, and would count after a crash, the split stays, and its number is not used again.
    pub(super) fn discard_failed(&self, manifest: &mut Manifest, id: u64) {
        if Manifest::may_name(&self.directory, id) {
            manifest.next = manifest.next.max(id + 1);
        } else {
            self.discard(id);
        }
    }

    /// Deletes a split that doesn't count.
    pub(super) fn discard(&self, id: u64) {
        let path = self.split_path(id);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(split = id, %error, "a split that failed can't be deleted, the next start will try again");
            }
            _ => {}
        }
    }

    /// Opens what the manifest lists, sets aside what is damaged, leaves what can't be read, deletes
    /// the rest.
    pub(super) fn open_splits(&self) -> Result<(), IndexError> {
        let entries = self.manifest.lock().splits.clone();
        for id in numbered(&self.directory.join("splits"))? {
            if !entries.iter().any(|entry| entry.id == id) {
                let path = self.split_path(id);
                fs::remove_dir_all(&path).map_err(IndexError::io("can't delete", &path))?;
            }
        }
        entries.iter().try_for_each(|entry| self.open_split(entry.id))
    }

    /// Opens a split that is not open, if that is possible now.
    pub(super) fn open_split(&self, id: u64) -> Result<(), IndexError> {
        let is_marked = self.manifest.lock().splits.iter().any(|entry| entry.id == id && entry.later);
        let path = self.split_path(id);
        if let Some(why) = is_marked.then(|| resume::is_later(id, &path)).flatten() {
            self.leave(id, &why);
            return Ok(());
        }
        match Split::open(id, &path) {
            Ok(split) => self.take_up(split),
            Err(error @ IndexError::Damaged { .. }) => return self.set_aside(id, &error),
            Err(error) => self.leave(id, &error),
        }
        Ok(())
    }

    fn take_up(&self, split: Split) {
        let (id, manifest) = (split.id, self.manifest.lock());
        let mut state = self.state.write();
        state.splits.push(Arc::new(split));
        if state.unopened.remove(&id) {
            state.broken.remove(&id);
            state.holds = manifest.holds(&state.unopened);
            drop(state);
            tracing::info!(split = id, "split can be read again");
            self.changed.send_modify(|version| *version += 1);
        }
    }

    /// Names a split that a later version wrote, or that can't be read now. It stays listed, so that
    /// it is there again with that version, or when it can be read; until then its records are not
    /// among those that are here.
    fn leave(&self, id: u64, why: &IndexError) {
        let manifest = self.manifest.lock();
        let records = manifest.splits.iter().find(|split| split.id == id).map_or(0, |split| split.records);
        let mut state = self.state.write();
        let is_news = state.unopened.insert(id);
        state.broken.insert(id, format!("{records} records are missing: {why}"));
        state.holds = manifest.holds(&state.unopened);
        if is_news {
            tracing::error!(split = id, records, error = %why, "split stays where it is and is not open");
        }
    }

    /// Moves a damaged split out of the way and names it; the others go on answering.
    pub fn set_aside(&self, id: u64, why: &IndexError) -> Result<(), IndexError> {
        if self.is_read_only() {
            let mut state = self.state.write();
            state.splits.retain(|split| split.id != id);
            state.told.remove(&id);
            state.broken.insert(id, why.to_string());
            return Ok(());
        }
        let mut manifest = self.manifest.lock();
        let Some(lost) = manifest.splits.iter().find(|split| split.id == id) else { return Ok(()) };
        let records = lost.records;
        let to = self.directory.join("broken").join(id.to_string());
        let sentence = format!("split {id} with {records} records was set aside as {}: {why}", to.display());
        let mut next = manifest.clone();
        next.splits.retain(|split| split.id != id);
        self.turn(&mut manifest, next, |state| {
            state.splits.retain(|split| split.id != id);
            state.unopened.remove(&id);
            state.broken.insert(id, sentence);
            // The archive may have it whole.
            state.departures += 1;
        })?;
        let moved = fs::rename(self.split_path(id), &to);
        tracing::error!(split = id, records, error = %why, ?moved, "split is damaged and was set aside");
        Ok(())
    }
}

impl Manifest {
    /// All splits whose records are here; those that are not open can't be had.
    pub(super) fn holds(&self, unopened: &BTreeSet<u64>) -> Arc<Vec<(u64, u64)>> {
        let readable = self.splits.iter().filter(|split| !unopened.contains(&split.id));
        Arc::new(joined(readable.flat_map(SplitEntry::family)))
    }
}

/// The directories below a path whose names are numbers, ascending.
pub(super) fn numbered(path: &Path) -> Result<Vec<u64>, IndexError> {
    let list = || -> io::Result<Vec<u64>> {
        let mut ids: BTreeMap<u64, ()> = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let id = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            ids.extend(id.map(|id| (id, ())));
        }
        Ok(ids.into_keys().collect())
    };
    list().map_err(IndexError::io("can't list", path))
}
