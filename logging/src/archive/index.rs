//! The archive's index of one node: which splits of it the archive has. It is
//! replaced as a whole, so that at any moment there is one that can be read.
//!
//! ```text
//! tiphys-archive 1 <CRC-32 of the rest, hex>
//! <JSON>
//! ```
//!
//! No record is in two of its splits: who takes a merged split in takes those out
//! that it was made of, in the same step.

use serde::{Deserialize, Serialize};

use super::wire::{self, SplitInfo, SplitList};
use crate::index::{FileSum, joined};

const HEAD: &str = "tiphys-archive 1 ";

/// Of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIndex {
    pub splits: Vec<ArchivedSplit>,
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
    pub namespaces: Vec<String>,
    pub files: Vec<FileSum>,
}

/// The index can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIndex {
    #[error("the archive's index is of a version that is not known: use a newer tiphys")]
    Version,
    #[error("the archive's index is damaged: its checksum is wrong")]
    Damaged,
}

impl NodeIndex {
    pub fn read(bytes: &[u8]) -> Result<Self, BadIndex> {
        let text = std::str::from_utf8(bytes).map_err(|_| BadIndex::Damaged)?;
        let (head, body) = text.split_once('\n').ok_or(BadIndex::Damaged)?;
        let crc = head.strip_prefix(HEAD).ok_or(match head.starts_with("tiphys-archive ") {
            true => BadIndex::Version,
            false => BadIndex::Damaged,
        })?;
        if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(body.as_bytes())) {
            return Err(BadIndex::Damaged);
        }
        serde_json::from_str(body).map_err(|_| BadIndex::Damaged)
    }

    pub fn write(&self) -> Vec<u8> {
        let body = serde_json::to_string(self).expect("strings and numbers have a JSON form");
        format!("{HEAD}{:08x}\n{body}", crc32fast::hash(body.as_bytes())).into_bytes()
    }

    pub fn find(&self, store: &str, id: u64) -> Option<&ArchivedSplit> {
        self.splits.iter().find(|split| split.store == store && split.id == id)
    }

    /// The splits of the node that are not here yet, oldest first.
    pub fn lacks<'a>(&self, list: &'a SplitList) -> Vec<&'a SplitInfo> {
        let mut lacking: Vec<_> =
            list.splits.iter().filter(|split| self.find(&list.store, split.id).is_none()).collect();
        lacking.sort_unstable_by_key(|split| split.id);
        lacking
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
    use super::*;

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
        NodeIndex { splits: splits.iter().map(split).collect() }
    }

    fn ids(splits: &[ArchivedSplit]) -> Vec<(&str, u64)> {
        splits.iter().map(|split| (split.store.as_str(), split.id)).collect()
    }

    #[test]
    fn an_index_is_read_as_written_and_not_when_a_bit_flipped() {
        let written = index(&[("a", 1), ("b", 2)]).write();
        assert_eq!(NodeIndex::read(&written), Ok(index(&[("a", 1), ("b", 2)])));
        for at in 0..written.len() {
            let mut bytes = written.clone();
            bytes[at] ^= 1;
            assert!(NodeIndex::read(&bytes).is_err(), "byte {at}");
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
