//! Where each version of each key stands: the part of the store that is in
//! memory. Values are not. Pure; rebuilt from the disk when the store is opened.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use crate::{LeaseId, Revision};

/// One version of a key, as its place on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub revision: Revision,
    /// Bytes on disk.
    pub size: u32,
    /// Which change of its revision.
    pub sub: u16,
    pub tombstone: bool,
}

/// One change, about to be put into the index.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Arc<str>,
    pub position: Position,
    pub create_revision: Revision,
    pub version: u64,
    pub lease: Option<LeaseId>,
}

/// What is known of a key that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    pub position: Position,
    pub create_revision: Revision,
    pub version: u64,
    pub lease: Option<LeaseId>,
}

#[derive(Debug, Default)]
struct History {
    create_revision: Revision,
    version: u64,
    /// 0 is none.
    lease: LeaseId,
    /// Ascending, never empty while the key is in the index.
    positions: Vec<Position>,
}

/// A version that nobody can ask for once the history up to `since` is given up.
#[derive(Debug)]
struct Superseded {
    since: Revision,
    key: Arc<str>,
    revision: Revision,
}

/// Keys with their versions, and how far the store is.
#[derive(Debug)]
pub struct Index {
    keys: BTreeMap<Arc<str>, History>,
    superseded: VecDeque<Superseded>,
    revision: Revision,
    compacted: Revision,
    bytes: u64,
}

/// Keys of a page with their places, and whether some follow.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Slice {
    pub places: Vec<(Arc<str>, Position)>,
    pub more: bool,
}

impl Index {
    /// An empty index of a store whose history up to `compacted` is gone.
    pub fn new(compacted: Revision) -> Self {
        Self {
            keys: BTreeMap::new(),
            superseded: VecDeque::new(),
            revision: compacted.max(1),
            compacted,
            bytes: 0,
        }
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    /// Bytes on disk of all versions that can still be read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The key as it is now, if it exists, with the index's own copy of its name.
    pub fn current(&self, key: &str) -> Option<(Arc<str>, Current)> {
        let (key, history) = self.keys.get_key_value(key)?;
        let position = *history.positions.last()?;
        if position.tombstone {
            return None;
        }
        let lease = (history.lease != 0).then_some(history.lease);
        let (create_revision, version) = (history.create_revision, history.version);
        Some((key.clone(), Current { position, create_revision, version, lease }))
    }

    /// Where the value of the key at `revision` stands, if it existed then.
    pub fn at(&self, key: &str, revision: Revision) -> Option<Position> {
        self.keys.get(key)?.at(revision)
    }

    /// Keys that begin with `prefix` and existed at `revision`, behind `start_after`.
    pub fn slice(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        revision: Revision,
        limit: Option<usize>,
    ) -> Slice {
        let start = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        let limit = limit.unwrap_or(usize::MAX);
        let mut slice = Slice::default();
        for (key, history) in self.keys.range::<str, _>((start, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            let Some(position) = history.at(revision) else { continue };
            if slice.places.len() >= limit {
                slice.more = true;
                break;
            }
            slice.places.push((key.clone(), position));
        }
        slice
    }

    /// How many keys begin with `prefix` and exist.
    pub fn count(&self, prefix: &str) -> u64 {
        let keys = self.keys.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let keys = keys.take_while(|(key, _)| key.starts_with(prefix));
        let existing = |history: &History| history.positions.last().is_some_and(|last| !last.tombstone);
        keys.filter(|(_, history)| existing(history)).count() as u64
    }

    /// Takes in a change; changes come in the order of revisions.
    pub fn apply(&mut self, entry: Entry) {
        let Entry { key, position, create_revision, version, lease } = entry;
        self.revision = self.revision.max(position.revision);
        self.bytes += u64::from(position.size);
        let history = self.keys.entry(key.clone()).or_default();
        let since = position.revision;
        if let Some(before) = history.positions.last().filter(|before| !before.tombstone) {
            self.superseded.push_back(Superseded { since, key: key.clone(), revision: before.revision });
        }
        if position.tombstone {
            self.superseded.push_back(Superseded { since, key, revision: since });
        }
        history.positions.push(position);
        (history.create_revision, history.version) = (create_revision, version);
        history.lease = lease.unwrap_or(0);
    }

    /// Gives up the history up to `revision` and names the versions that may be removed from disk.
    pub fn compact(&mut self, revision: Revision) -> Vec<Position> {
        self.compacted = self.compacted.max(revision.min(self.revision));
        let mut removed = Vec::new();
        while self.superseded.front().is_some_and(|version| version.since <= self.compacted) {
            let Some(version) = self.superseded.pop_front() else { break };
            removed.extend(self.remove(&version));
        }
        removed
    }

    fn remove(&mut self, version: &Superseded) -> Option<Position> {
        let history = self.keys.get_mut(&version.key)?;
        let at = history.positions.iter().position(|position| position.revision == version.revision)?;
        let position = history.positions.remove(at);
        if history.positions.is_empty() {
            self.keys.remove(&version.key);
        } else if history.positions.capacity() > 4 * history.positions.len() {
            history.positions.shrink_to_fit();
        }
        self.bytes -= u64::from(position.size);
        Some(position)
    }
}

impl History {
    fn at(&self, revision: Revision) -> Option<Position> {
        let behind = self.positions.partition_point(|position| position.revision <= revision);
        let position = *self.positions.get(behind.checked_sub(1)?)?;
        (!position.tombstone).then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(index: &mut Index, key: &str, revision: Revision, tombstone: bool) {
        let position = Position { revision, size: 10, sub: 0, tombstone };
        let entry = Entry { key: key.into(), position, create_revision: 2, version: 1, lease: None };
        index.apply(entry);
    }

    fn keys(slice: &Slice) -> Vec<&str> {
        slice.places.iter().map(|(key, _)| &**key).collect()
    }

    #[test]
    fn reads_see_the_state_of_their_revision() {
        let mut index = Index::new(0);
        change(&mut index, "/a", 2, false);
        change(&mut index, "/b", 3, false);
        change(&mut index, "/a", 4, true);
        assert_eq!(keys(&index.slice("/", None, 3, None)), ["/a", "/b"]);
        assert_eq!(keys(&index.slice("/", None, 4, None)), ["/b"]);
        assert_eq!(index.at("/a", 3).map(|position| position.revision), Some(2));
        assert_eq!(index.at("/a", 4), None);
        assert_eq!((index.count("/"), index.count("/a"), index.count("/b")), (1, 0, 1));
        assert_eq!(index.current("/a"), None);
    }

    #[test]
    fn a_limit_says_whether_more_follows() {
        let mut index = Index::new(0);
        for (revision, key) in (2..).zip(["/p/a", "/p/b", "/p/c", "/q"]) {
            change(&mut index, key, revision, false);
        }
        let page = index.slice("/p/", None, 5, Some(1));
        assert_eq!((keys(&page), page.more), (vec!["/p/a"], true));
        let page = index.slice("/p/", Some("/p/a"), 5, Some(5));
        assert_eq!((keys(&page), page.more), (vec!["/p/b", "/p/c"], false));
    }

    #[test]
    fn compaction_names_what_nobody_can_ask_for() {
        let mut index = Index::new(0);
        change(&mut index, "/a", 2, false);
        change(&mut index, "/a", 3, false);
        change(&mut index, "/b", 4, false);
        change(&mut index, "/b", 5, true);
        change(&mut index, "/a", 6, false);
        let removed = |positions: Vec<Position>| -> Vec<_> {
            positions.into_iter().map(|position| position.revision).collect()
        };
        assert_eq!(removed(index.compact(4)), [2]);
        assert_eq!(index.at("/b", 4).map(|position| position.revision), Some(4));
        assert_eq!(removed(index.compact(6)), [4, 5, 3]);
        assert_eq!(index.bytes(), 10);
        assert_eq!(keys(&index.slice("/", None, 6, None)), ["/a"]);
    }
}
