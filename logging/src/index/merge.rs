//! Small splits become one: few, large splits keep searches fast, and the
//! small blocks that each commit leaves are filled up again.
//!
//! Splits of about the same size are merged, eight at a time, so that a record is
//! written again only a few times in its life. Blocks that are good as they are go
//! over byte by byte ([`super::pack`]); of the others the records of one stream are
//! decoded at a time. Memory is one block's, not the split's.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    sync::Arc,
};

use super::{
    Floors, IndexError, Split, Store,
    manifest::{Manifest, SplitEntry, joined},
    pack::{self, Fill, Source, Step, pack},
    retention::{self, Expired},
};
use crate::{
    block::{self, OpenBlock, SealedBlock},
    record::StreamInfo,
};

/// Splits of a size that are merged.
const FAN_IN: usize = 8;
/// Raw bytes of the smallest class; each class is eight times the one below.
const SMALLEST: u64 = 8 << 20;
/// Splits of so many raw bytes are left alone.
const LARGE: u64 = 1 << 30;

/// The splits to merge next, if any. All their parts were committed within `spread`: what they
/// become goes as a whole, and not before its newest part is too old.
fn choose<'a>(splits: impl Iterator<Item = &'a SplitEntry>, spread: i64) -> Option<Vec<u64>> {
    let mut classes: BTreeMap<u32, Vec<&SplitEntry>> = BTreeMap::new();
    for split in splits.filter(|split| split.raw_bytes < LARGE) {
        let class = (split.raw_bytes / SMALLEST).checked_ilog(FAN_IN as u64).map_or(0, |log| log + 1);
        classes.entry(class).or_default().push(split);
    }
    classes.into_values().find_map(|mut splits| {
        splits.sort_unstable_by_key(|split| (split.created, split.id));
        // Of several the lightest, so that little is written again.
        let weight = |run: &&[&SplitEntry]| run.iter().map(|split| split.raw_bytes).sum::<u64>();
        let run = splits.windows(FAN_IN).filter(|run| span(run) <= spread).min_by_key(weight)?;
        let mut ids: Vec<u64> = run.iter().map(|split| split.id).collect();
        ids.sort_unstable();
        Some(ids)
    })
}

/// Between the commits of the oldest and the newest part.
fn span(splits: &[&SplitEntry]) -> i64 {
    let newest = splits.iter().map(|split| split.created).max();
    let oldest = splits.iter().map(|split| split.oldest()).min();
    newest.zip(oldest).map_or(0, |(newest, oldest)| newest.saturating_sub(oldest))
}

/// When the oldest part of what these become was committed, where its newest part is of `created`.
fn oldest(splits: &[SplitEntry], created: i64) -> Option<i64> {
    splits.iter().map(SplitEntry::oldest).min().filter(|oldest| *oldest < created)
}

impl Store {
    /// Merges once, if there is something to merge. Blocks. Searches go on, and so do commits
    /// but for the swap.
    pub fn merge(&self) -> Result<bool, IndexError> {
        let chosen = {
            let mut manifest = self.manifest.lock();
            let state = self.state.read();
            let is_left = |id: u64| state.unopened.contains(&id) || state.is_resting(id);
            let readable = manifest.splits.iter().filter(|split| !is_left(split.id));
            let Some(ids) = choose(readable, self.retention.spread()) else { return Ok(false) };
            drop(state);
            // The number is taken before the work, so that a commit meanwhile takes the next.
            let id = manifest.next;
            manifest.next += 1;
            let created =
                manifest.splits.iter().filter(|split| ids.contains(&split.id)).map(|s| s.created).max();
            (id, ids, created.unwrap_or_else(|| self.clock.now().made()))
        };
        let (id, ids, created) = chosen;
        let sources: Vec<Arc<Split>> =
            self.state.read().splits.iter().filter(|split| ids.contains(&split.id)).cloned().collect();
        let (floors, now) = (self.floors(), self.clock.now().passed());
        match self.write_split(id, &sources, Merged::new(&sources, &floors, now), created) {
            Ok(written) => self.swap(&ids, Some(written)).map(|()| true),
            Err(IndexError::Damaged { split, what }) => {
                self.set_aside(split, &IndexError::Damaged { split, what })?;
                Ok(true)
            }
            Err(IndexError::Unread { split, what }) if ids.contains(&split) => {
                self.rest(split, &what);
                Ok(true)
            }
            // One of them went meanwhile, with its files.
            Err(_) if !self.has_all(&ids) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn has_all(&self, ids: &[u64]) -> bool {
        let manifest = self.manifest.lock();
        ids.iter().all(|id| manifest.splits.iter().any(|split| split.id == *id))
    }

    /// Deletes what retention doesn't keep.
    pub fn expire(&self) -> Result<(), IndexError> {
        let expired = {
            let mut manifest = self.manifest.lock();
            let now = self.clock.now();
            let mut splits = manifest.splits.clone();
            let is_corrected = retention::correct(&mut splits, now);
            let mut archived = self.archived.lock();
            let Expired { splits: expired, unarchived } =
                self.retention.expired(&splits, now.aged, archived.has(now.aged));
            if expired.is_empty() && !is_corrected {
                return Ok(());
            }
            if unarchived > 0 {
                archived.dropped += unarchived;
                let limit = self.retention.hard_limit();
                tracing::error!(
                    records = unarchived,
                    limit,
                    "logs that the archive doesn't have are deleted, because they fill the disk: see why it doesn't take them"
                );
            }
            drop(archived);
            splits.retain(|split| !expired.contains(&split.id));
            let next = Manifest { splits, ..manifest.clone() };
            self.turn(&mut manifest, next, |state| {
                state.splits.retain(|split| !expired.contains(&split.id));
                for id in &expired {
                    if state.unopened.remove(id) {
                        state.broken.remove(id);
                    }
                }
                state.departures += u64::from(!expired.is_empty());
            })?;
            expired
        };
        self.delete(&expired);
        Ok(())
    }

    /// Takes Pods and namespaces without records out of the tables, unless it isn't known which
    /// have some.
    pub fn forget_gone(&self, read: &[(String, String)]) {
        let state = self.state.read();
        if !state.unopened.is_empty() {
            return;
        }
        let in_splits = state.splits.iter().flat_map(|split| split.streams()).map(|stream| &stream.info);
        let in_memory = state.open.values().map(|block| &block.info);
        let sealed = state.sealed.iter().chain(&state.committing).map(|block| &block.info);
        let (mut uids, mut namespaces) = (HashSet::new(), HashSet::new());
        for info in in_splits.chain(in_memory).chain(sealed) {
            uids.insert(info.uid.clone());
            namespaces.insert(info.namespace.clone());
        }
        drop(state);
        for (uid, namespace) in read {
            uids.insert(uid.clone());
            namespaces.insert(namespace.clone());
        }
        self.pods().retain(&uids);
        self.namespace_table().retain(&namespaces);
    }

    /// Puts what was written in the place of the old, or nothing.
    pub(super) fn swap(&self, old: &[u64], written: Option<(Split, SplitEntry)>) -> Result<(), IndexError> {
        let (split, entry) = written.unzip();
        {
            let mut manifest = self.manifest.lock();
            // One of them was set aside or expired meanwhile: then the merge doesn't count.
            let present = |id: &u64| manifest.splits.iter().any(|split| split.id == *id);
            if !old.iter().all(present) {
                drop(manifest);
                self.delete(&entry.map(|entry| entry.id).into_iter().collect::<Vec<_>>());
                return Ok(());
            }
            let mut next = manifest.clone();
            let (gone, kept) = next.splits.drain(..).partition::<Vec<_>, _>(|split| old.contains(&split.id));
            let is_gone = entry.is_none();
            next.splits = kept;
            next.splits.extend(entry.map(|entry| SplitEntry {
                ancestors: joined(gone.iter().flat_map(SplitEntry::family)),
                oldest_created: oldest(&gone, entry.created),
                ..entry
            }));
            let fresh = split.as_ref().map(|split| split.id);
            let turned = self.turn(&mut manifest, next, |state| {
                state.splits.retain(|split| !old.contains(&split.id));
                state.splits.extend(split.map(Arc::new));
                state.departures += u64::from(is_gone);
            });
            if let (Err(_), Some(id)) = (&turned, fresh) {
                self.discard_failed(&mut manifest, id);
            }
            turned?;
        }
        self.delete(old);
        Ok(())
    }

    /// Searches that are under way hold the files open.
    fn delete(&self, ids: &[u64]) {
        for id in ids {
            if let Err(error) = fs::remove_dir_all(self.split_path(*id)) {
                tracing::warn!(split = id, %error, "old split can't be deleted, the next start will try again");
            }
        }
    }
}

/// A block of the split that a merge writes.
pub(crate) enum Piece {
    /// Taken over from this split, by its number among the merge's.
    Whole(usize, usize),
    Fresh(Arc<SealedBlock>),
}

/// A block of a merge: which of its splits, and which of that one's blocks.
type Place = (usize, usize);

/// Blocks of one stream whose records go into new ones, each of about so much.
struct Run {
    info: Arc<StreamInfo>,
    /// The next one is the last.
    blocks: Vec<Place>,
    each: Fill,
}

/// The blocks of several splits, filled up: first those that are taken over, split by split,
/// then the new ones, stream by stream.
pub(crate) struct Merged<'a> {
    splits: &'a [Arc<Split>],
    /// What is below them is left out.
    floors: &'a Floors,
    now: i64,
    whole: std::vec::IntoIter<Place>,
    /// The one that is read is the last.
    runs: Vec<Run>,
    open: Option<OpenBlock>,
    /// Records read and not yet in a block.
    rest: std::vec::IntoIter<crate::record::Record>,
}

impl<'a> Merged<'a> {
    pub fn new(splits: &'a [Arc<Split>], floors: &'a Floors, now: i64) -> Self {
        let entry = |place: &Place| &splits[place.0].blocks()[place.1];
        let mut streams: BTreeMap<String, (Arc<StreamInfo>, Vec<Place>)> = BTreeMap::new();
        for (at, split) in splits.iter().enumerate() {
            for (block, entry) in split.blocks().iter().enumerate() {
                let info = &split.streams()[entry.stream as usize].info;
                if entry.head.max_time >= floors.of(&info.namespace, now) {
                    let stream = streams.entry(info.key()).or_insert_with(|| (info.clone(), Vec::new()));
                    stream.1.push((at, block));
                }
            }
        }
        let (mut whole, mut runs) = (Vec::new(), Vec::new());
        for (info, mut blocks) in streams.into_values() {
            blocks.sort_by_key(|place| entry(place).head.first_seq);
            let floor = floors.of(&info.namespace, now);
            let source = |place: &Place| {
                let entry = entry(place);
                Source::new(&entry.head, entry.head.min_time < floor || !entry.is_newest())
            };
            for step in pack(&blocks.iter().map(source).collect::<Vec<_>>()) {
                match step {
                    Step::Copy(at) => whole.push(blocks[at]),
                    Step::Renew(run, each) => {
                        let blocks = blocks[run].iter().rev().copied().collect();
                        runs.push(Run { info: info.clone(), blocks, each });
                    }
                }
            }
        }
        whole.sort_unstable();
        runs.reverse();
        Self { splits, floors, now, whole: whole.into_iter(), runs, open: None, rest: Vec::new().into_iter() }
    }

    fn seal(&mut self) -> Option<Result<Piece, IndexError>> {
        let open = self.open.take().filter(|open| !open.records.is_empty())?;
        let sealed = SealedBlock::seal(open.info, &open.records).map(|sealed| Piece::Fresh(Arc::new(sealed)));
        Some(sealed.map_err(IndexError::io("can't compress a block of", "a merge".as_ref())))
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Piece, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((split, block)) = self.whole.next() {
            return Some(Ok(Piece::Whole(split, block)));
        }
        loop {
            let run = self.runs.last_mut()?;
            let open = self.open.get_or_insert_with(|| OpenBlock::new(run.info.clone()));
            let floor = self.floors.of(&run.info.namespace, self.now);
            while let Some(next) = self.rest.as_slice().first() {
                let counts = next.time >= floor;
                if counts && !open.takes(next) {
                    return self.seal();
                }
                let Some(record) = self.rest.next().filter(|_| counts) else { continue };
                open.push(record);
                if pack::fill(open.records.len(), open.bytes) >= run.each {
                    return self.seal();
                }
            }
            if let Some((split, block)) = run.blocks.pop() {
                let split = &self.splits[split];
                let read = split.read_block(block);
                match read.and_then(|data| block::records(&data).map_err(|error| split.damaged(error))) {
                    Ok(records) => self.rest = records.into_iter(),
                    Err(error) => return Some(Err(error)),
                }
                continue;
            }
            self.runs.pop();
            if let Some(sealed) = self.seal() {
                return Some(sealed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{index::Retention, time};

    #[test]
    fn equals_are_merged_and_large_ones_left_alone() {
        let choose = |splits: &[SplitEntry]| choose(splits.iter(), 0);
        let split = |id, raw_bytes| SplitEntry { id, raw_bytes, ..SplitEntry::default() };
        let small: Vec<_> = (0..9).map(|id| split(id, 1000)).collect();
        assert_eq!(choose(&small), Some((0..8).collect()));
        assert_eq!(choose(&small[..7]), None);
        let mixed: Vec<_> = (0..14).map(|id| split(id, if id % 2 == 0 { 1000 } else { 100 << 20 })).collect();
        assert_eq!(choose(&mixed), None);
        let large: Vec<_> = (0..9).map(|id| split(id, LARGE)).collect();
        assert_eq!(choose(&large), None);
    }
    #[test]
    fn what_is_merged_was_committed_within_the_spread() {
        let split = |id: u64, oldest_created, created| SplitEntry {
            id,
            created,
            oldest_created,
            ..SplitEntry::default()
        };
        let mut splits: Vec<_> = (0..9).map(|id| split(id, None, id as i64 * 10)).collect();
        assert_eq!(choose(splits.iter(), 69), None);
        assert_eq!(choose(splits.iter(), 70), Some((0..8).collect()));
        // Its newest part is of 0, its oldest was before.
        splits[0].oldest_created = Some(-1);
        assert_eq!(choose(splits.iter(), 70), Some((1..9).collect()));
        // By their times, not by their numbers: what was merged has a later one.
        splits[8] = split(8, Some(-70), -10);
        assert_eq!(choose(splits.iter(), 70), None);
        assert_eq!(choose(splits.iter(), 71), Some((0..8).collect()));
        assert_eq!(choose(splits.iter(), 130), Some(vec![0, 1, 2, 3, 4, 5, 6, 8]));
    }

    /// A node that commits so many bytes now and then, a thousand times: the most splits that there
    /// were at a time.
    fn most_splits(interval: i64, raw_bytes: u64) -> usize {
        let retention = Retention::default();
        let age = i64::try_from(retention.age.as_nanos()).expect("a week");
        let start = 1_800_000_000 * time::SECOND;
        // Each with when its first record was committed.
        let mut splits: Vec<SplitEntry> = Vec::new();
        let mut firsts: BTreeMap<u64, i64> = BTreeMap::new();
        let (mut id, mut most) = (0, 0);
        for commit in 0..1000 {
            let now = start + commit * interval;
            splits.push(SplitEntry { id, created: now, raw_bytes, ..SplitEntry::default() });
            firsts.insert(id, now);
            id += 1;
            let expired = retention.expired(&splits, now, None).splits;
            splits.retain(|split| !expired.contains(&split.id));
            while let Some(ids) = choose(splits.iter(), retention.spread()) {
                let (gone, kept) = splits.drain(..).partition::<Vec<_>, _>(|split| ids.contains(&split.id));
                splits = kept;
                let created = gone.iter().map(|split| split.created).max().expect("eight of them");
                let raw_bytes = gone.iter().map(|split| split.raw_bytes).sum();
                let oldest_created = oldest(&gone, created);
                splits.push(SplitEntry { id, created, oldest_created, raw_bytes, ..SplitEntry::default() });
                let first = gone.iter().map(|split| firsts[&split.id]).min().expect("eight of them");
                firsts.insert(id, first);
                id += 1;
            }
            let first = splits.iter().map(|split| firsts[&split.id]).min().expect("the last commit's");
            assert!(now - first <= age + age / 8, "{interval}: kept for {}", now - first);
            most = splits.len().max(most);
        }
        most
    }

    #[test]
    fn records_of_a_quiet_node_go_in_their_time_and_its_splits_stay_few() {
        const MINUTE: i64 = 60 * time::SECOND;
        for (minutes, raw_bytes, bound) in [
            (30, 1_000, 20),
            (30, 3 << 20, 72),
            (120, 1_000, 20),
            // Eight of them are just within an eighth of a week, or just not.
            (180, 1_000, 20),
            (181, 1_000, 72),
            (240, 1_000, 72),
            (1440, 1_000, 10),
        ] {
            let most = most_splits(minutes * MINUTE, raw_bytes);
            assert!(most <= bound, "{most} splits of commits each {minutes} minutes");
        }
    }
}
