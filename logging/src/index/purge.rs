//! Records that are to be gone: hidden at once, then taken off the disk.
//!
//! ```text
//! order (in the manifest, survives a crash) -> floor: no answer has them from here on
//!   -> the next commit leaves them out of what was in memory
//!   -> purge: splits that have any are written again without them
//! ```
//!
//! An order is kept for [`KEPT`] after it is carried out, for lines that are read late.
//! What a namespace keeps works in the same way, but a split is written again only
//! when it is worth it.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::{
    Deletion, FileSum, Floors, IndexError, Keep, Split, SplitWriter, Store,
    floors::{self, Purge, Weight},
    merge::Merged,
};
use crate::{
    archive::wire::Part,
    block::{self, OpenBlock, SealedBlock},
    record::Labels,
    time,
};

/// Orders are forgotten after this.
const KEPT: Duration = Duration::from_secs(3600);

impl Store {
    /// Hides a namespace's records of an earlier time, for good; durable when this returns. They
    /// leave the disk with the next commit and purge.
    pub fn delete_records(&self, namespace: &str, before: i64) -> Result<(), IndexError> {
        let order = Deletion { namespace: namespace.to_owned(), before, ordered: time::now() };
        let mut manifest = self.manifest.lock();
        let mut next = manifest.clone();
        // One order a namespace: the one that takes most.
        let earlier = next.deletions.iter().position(|other| other.namespace == namespace);
        let before = earlier.map(|at| next.deletions.swap_remove(at).before).max(Some(order.before));
        next.deletions.push(Deletion { before: before.unwrap_or(order.before), ..order });
        let floors = self.floors_of(&next.deletions);
        self.turn(&mut manifest, next, |state| {
            state.floors = Arc::new(floors);
            state.departures += 1;
        })?;
        drop(manifest);
        self.purge_wanted.notify_one();
        Ok(())
    }

    /// Until records are to leave the disk. One waits at a time.
    pub async fn purge_wanted(&self) {
        self.purge_wanted.notified().await;
    }

    /// Times below which records count no more, at this moment.
    pub fn floors(&self) -> Arc<Floors> {
        self.state.read().floors.clone()
    }

    /// Takes in what namespaces keep by now.
    pub fn refresh_floors(&self) {
        let manifest = self.manifest.lock();
        let floors = self.floors_of(&manifest.deletions);
        self.state.write().floors = Arc::new(floors);
    }

    fn floors_of(&self, deletions: &[Deletion]) -> Floors {
        let splits = self.state.read().splits.clone();
        let mut namespaces = self.namespaces();
        namespaces.retain(|namespace| !namespace.is_empty());
        let keeps: BTreeMap<String, Keep> = namespaces
            .into_iter()
            .filter_map(|name| {
                // Its mistakes are told where its records come by.
                let (keep, _) = Keep::read(&self.namespace_table().get(&name)?.annotations);
                (keep != Keep::default()).then_some((name, keep))
            })
            .collect();
        Floors::new(deletions, &keeps, self.clock.now().passed(), |namespace| {
            let blocks = splits.iter().flat_map(|split| weights(split));
            blocks.filter(|(name, _)| *name == namespace).map(|(_, weight)| weight).collect()
        })
    }

    /// Takes what is gone out of one split, if there is one that it is worth for. Blocks.
    pub fn purge(&self) -> Result<bool, IndexError> {
        self.refresh_floors();
        let (floors, now) = (self.floors(), self.clock.now().passed());
        if floors.is_empty() {
            return Ok(false);
        }
        let deletions = self.manifest.lock().deletions.clone();
        let splits = self.state.read().splits.clone();
        for split in splits {
            match floors::purge(weights(&split), &floors, &deletions, now) {
                Purge::Nothing => {}
                Purge::Drop => {
                    self.swap(&[split.id], None)?;
                    return Ok(true);
                }
                Purge::Rewrite if self.state.read().is_resting(split.id) => {}
                Purge::Rewrite => {
                    self.rewrite(&split, &floors, now)?;
                    return Ok(true);
                }
            }
        }
        self.forget_orders(&deletions, now)?;
        Ok(false)
    }

    fn rewrite(&self, split: &Arc<Split>, floors: &Floors, now: i64) -> Result<(), IndexError> {
        let (id, created) = {
            let mut manifest = self.manifest.lock();
            let Some(entry) = manifest.splits.iter().find(|entry| entry.id == split.id) else {
                return Ok(());
            };
            let created = entry.created;
            manifest.next += 1;
            (manifest.next - 1, created)
        };
        let sources = std::slice::from_ref(split);
        let mut pieces = Merged::new(sources, floors, now).peekable();
        if pieces.peek().is_none() {
            return self.swap(&[split.id], None);
        }
        match self.write_split(id, sources, pieces, created) {
            Ok(written) => self.swap(&[split.id], Some(written)),
            Err(IndexError::Damaged { split, what }) => {
                self.set_aside(split, &IndexError::Damaged { split, what })
            }
            Err(IndexError::Unread { split: unread, what }) if unread == split.id => {
                self.rest(unread, &what);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Orders that are carried out and old. In a split that is not open, or rests, none is.
    pub(super) fn forget_orders(&self, deletions: &[Deletion], now: i64) -> Result<(), IndexError> {
        let kept = i64::try_from(KEPT.as_nanos()).unwrap_or(i64::MAX);
        let is_old = |order: &Deletion| order.ordered < now.saturating_sub(kept);
        let is_undone = {
            let state = self.state.read();
            !state.unopened.is_empty() || !state.resting.is_empty()
        };
        if is_undone || !deletions.iter().any(is_old) {
            return Ok(());
        }
        let mut manifest = self.manifest.lock();
        let mut next = manifest.clone();
        next.deletions.retain(|order| !is_old(order));
        let floors = self.floors_of(&next.deletions);
        self.turn(&mut manifest, next, |state| state.floors = Arc::new(floors))
    }

    /// What of a block on its way to disk still counts.
    pub(super) fn still_counts(
        &self,
        block: &Arc<SealedBlock>,
        floors: &Floors,
        now: i64,
    ) -> Result<Option<Arc<SealedBlock>>, IndexError> {
        let floor = floors.of(&block.info.namespace, now);
        if block.head.min_time >= floor {
            return Ok(Some(block.clone()));
        }
        let mut open = OpenBlock::new(block.info.clone());
        let records = block::records(&block.data)
            .map_err(|error| IndexError::Damaged { split: u64::MAX, what: error.to_string() })?;
        records.into_iter().filter(|record| record.time >= floor).for_each(|record| open.push(record));
        if open.records.is_empty() {
            return Ok(None);
        }
        let sealed = SealedBlock::seal(open.info, &open.records);
        sealed
            .map(|sealed| Some(Arc::new(sealed)))
            .map_err(IndexError::io("can't compress a block for", &self.directory))
    }
}

/// A split that was written again.
pub struct Rewritten {
    pub files: Vec<FileSum>,
    pub records: u64,
    pub raw_bytes: u64,
    pub parts: BTreeMap<String, Part>,
}

/// Writes a split of the archive again, into a folder, without what is gone; `None` when
/// nothing is left. Blocks.
pub fn rewrite(
    split: &Arc<Split>,
    path: &Path,
    floors: &Floors,
    now: i64,
) -> Result<Option<Rewritten>, IndexError> {
    let labels: HashMap<String, &Labels> = split
        .streams()
        .iter()
        .filter_map(|stream| Some((stream.info.key(), stream.labels.as_ref()?)))
        .collect();
    let mut writer = SplitWriter::create(path)?;
    let (mut records, mut raw_bytes) = (0, 0);
    let sources = std::slice::from_ref(split);
    for piece in Merged::new(sources, floors, now) {
        let head =
            writer.put(piece?, sources, |info| labels.get(&info.key()).map(|labels| (*labels).clone()))?;
        records += u64::from(head.count);
        raw_bytes += head.raw_bytes;
    }
    let files = writer.finish()?;
    let parts = parts(&Split::open(split.id, path)?);
    Ok((records > 0).then_some(Rewritten { files, records, raw_bytes, parts }))
}

/// What each namespace has in a split.
pub(super) fn parts(split: &Split) -> BTreeMap<String, Part> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for (namespace, weight) in weights(split) {
        let Weight { min_time, max_time, bytes } = weight;
        match parts.get_mut(namespace) {
            None => drop(parts.insert(namespace.to_owned(), Part { min_time, max_time, bytes })),
            Some(part) => {
                part.min_time = part.min_time.min(min_time);
                part.max_time = part.max_time.max(max_time);
                part.bytes += bytes;
            }
        }
    }
    parts
}

/// A split's blocks, by namespace.
pub(crate) fn weights(split: &Split) -> impl Iterator<Item = (&str, Weight)> {
    split.blocks().iter().map(|entry| {
        let (min_time, max_time) = (entry.head.min_time, entry.head.max_time);
        let namespace = split.streams()[entry.stream as usize].info.namespace.as_str();
        (namespace, Weight { min_time, max_time, bytes: entry.disk_bytes() })
    })
}
