//! The archive's index of one node: which splits of it the archive has. It is
//! replaced as a whole, so that at any moment there is one that can be read; its form
//! is that of [`super::sealed`].
//!
//! No record is in two of its splits: who takes a merged split in takes those out
//! that it was made of, in the same step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::{self, Part, SplitInfo, SplitList};
use crate::index::{FileSum, joined};

/// Of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIndex {
    pub splits: Vec<ArchivedSplit>,
    /// Splits by the name of their index that retention took: they are not taken in again.
    #[serde(default)]
    let_go: BTreeMap<String, Vec<(u64, u64)>>,
}

/// A split that the archive has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedSplit {
    /// The node's index that it is of, and its number there.
    pub store: String,
    pub id: u64,
    /// How often it was written anew in the archive.
    #[serde(default)]
    pub revision: u32,
    pub created: i64,
    pub records: u64,
    pub raw_bytes: u64,
    pub min_time: i64,
    pub max_time: i64,
    pub namespaces: BTreeMap<String, Part>,
    pub files: Vec<FileSum>,
}

impl NodeIndex {
    pub fn find(&self, store: &str, id: u64) -> Option<&ArchivedSplit> {
        self.splits.iter().find(|split| split.store == store && split.id == id)
    }

    /// The splits of the node that are not here yet, oldest first.
    pub fn lacks<'a>(&self, list: &'a SplitList) -> Vec<&'a SplitInfo> {
        let let_go = self.let_go.get(&list.store).map_or(&[][..], Vec::as_slice);
        let lacks =
            |info: &&SplitInfo| !wire::contains(let_go, info.id) && self.find(&list.store, info.id).is_none();
        let mut lacking: Vec<_> = list.splits.iter().filter(lacks).collect();
        lacking.sort_unstable_by_key(|split| split.id);
        lacking
    }

    /// Takes a split out for good.
    pub fn let_go(&mut self, split: &ArchivedSplit) {
        self.splits.retain(|other| other != split);
        let runs = self.let_go.entry(split.store.clone()).or_default();
        *runs = joined(runs.iter().copied().chain([(split.id, split.id)]));
    }

    /// Puts a split in the place of one, if that is still here.
    pub fn replace(&mut self, old: &ArchivedSplit, fresh: ArchivedSplit) -> bool {
        let Some(place) = self.splits.iter_mut().find(|split| *split == old) else { return false };
        *place = fresh;
        true
    }

    /// Takes a split in, if there is one, and those out whose records are in others of the
    /// node's that are here; gives what was taken out.
    pub fn settle(&mut self, list: &SplitList, fresh: Option<ArchivedSplit>) -> Vec<ArchivedSplit> {
        self.splits.extend(fresh);
        let of_now = |split: &&ArchivedSplit| split.store == list.store;
        let here = |info: &&SplitInfo| self.find(&list.store, info.id).is_some();
        let merged = joined(list.splits.iter().filter(here).flat_map(|info| info.ancestors.iter().copied()));
        // The same bytes of a time when the node's index had another name.
        let twins: Vec<_> = self.splits.iter().filter(of_now).map(|split| split.files.clone()).collect();
        let (kept, out) =
            std::mem::take(&mut self.splits).into_iter().partition(|split| match split.store == list.store {
                true => !wire::contains(&merged, split.id),
                false => !twins.contains(&split.files),
            });
        self.splits = kept;
        out
    }
}

impl ArchivedSplit {
    pub fn new(store: &str, info: &SplitInfo) -> Self {
        Self {
            store: store.to_owned(),
            id: info.id,
            revision: 0,
            created: info.created,
            records: info.records,
            raw_bytes: info.raw_bytes,
            min_time: info.min_time,
            max_time: info.max_time,
            namespaces: info.namespaces.clone(),
            files: info.files.clone(),
        }
    }

    /// The name of its folder below the node's.
    pub fn folder(&self) -> String {
        match self.revision {
            0 => format!("{}-{}", self.store, self.id),
            revision => format!("{}-{}-{revision}", self.store, self.id),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sealed, *};

    /// Splits and what they were made of.
    fn list(live: &[(u64, &[(u64, u64)])]) -> SplitList {
        let split = |(id, ancestors): &(u64, &[(u64, u64)])| SplitInfo {
            id: *id,
            ancestors: ancestors.to_vec(),
            files: vec![FileSum { name: "blocks".into(), size: *id, crc: 7 }],
            ..SplitInfo::default()
        };
        SplitList { version: 1, store: "a".into(), splits: live.iter().map(split).collect() }
    }

    fn index(splits: &[(&str, u64)]) -> NodeIndex {
        let split = |(store, id): &(&str, u64)| {
            let files = vec![FileSum { name: "blocks".into(), size: *id, crc: 7 }];
            ArchivedSplit::new(store, &SplitInfo { id: *id, files, ..SplitInfo::default() })
        };
        NodeIndex { splits: splits.iter().map(split).collect(), ..NodeIndex::default() }
    }

    fn ids(splits: &[ArchivedSplit]) -> Vec<(&str, u64)> {
        splits.iter().map(|split| (split.store.as_str(), split.id)).collect()
    }

    #[test]
    fn an_index_is_read_as_written_and_not_when_a_bit_flipped() {
        let written = sealed::write(&index(&[("a", 1), ("b", 2)]));
        assert_eq!(sealed::read(&written), Ok(index(&[("a", 1), ("b", 2)])));
        for at in 0..written.len() {
            let mut bytes = written.clone();
            bytes[at] ^= 1;
            assert!(sealed::read::<NodeIndex>(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn parts_stay_until_the_whole_is_there() {
        let merged = list(&[(8, &[(1, 2), (5, 5)]), (9, &[])]);
        let mut archived = index(&[("a", 1), ("a", 2), ("a", 3)]);
        assert_eq!(archived.settle(&merged, None), []);
        assert_eq!(archived.lacks(&merged).iter().map(|split| split.id).collect::<Vec<_>>(), [8, 9]);
        let whole = index(&[("a", 8)]).splits.pop();
        assert_eq!(ids(&archived.settle(&merged, whole)), [("a", 1), ("a", 2)]);
        assert_eq!(ids(&archived.splits), [("a", 3), ("a", 8)], "what the node has no more stays");
    }

    #[test]
    fn another_life_of_the_node_stays_but_for_what_it_took_over() {
        let mut archived = index(&[("old", 1), ("old", 2)]);
        let list = list(&[(1, &[])]);
        assert_eq!(archived.settle(&list, None), []);
        let same = index(&[("a", 1)]).splits.pop();
        assert_eq!(ids(&archived.settle(&list, same)), [("old", 1)]);
        assert_eq!(ids(&archived.splits), [("old", 2), ("a", 1)]);
    }
}
