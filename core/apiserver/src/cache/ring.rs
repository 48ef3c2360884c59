//! The recent changes of a cache: what a watch from a revision replays, and what
//! a list at a revision undoes. Bounded in number and bytes; pure.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, OnceLock},
};

use tiphys_store::Revision;

use super::CachedObject;

/// One change of one object. At least one side is there.
#[derive(Debug)]
pub struct Change {
    pub revision: Revision,
    pub previous: Option<Arc<CachedObject>>,
    pub current: Option<Arc<CachedObject>>,
    departed: OnceLock<Arc<CachedObject>>,
    added: OnceLock<bytes::Bytes>,
}

impl Change {
    pub fn new(
        revision: Revision,
        previous: Option<Arc<CachedObject>>,
        current: Option<Arc<CachedObject>>,
    ) -> Self {
        Self { revision, previous, current, departed: OnceLock::new(), added: OnceLock::new() }
    }

    /// The former state as those see it for whom the object is gone: made once for all of them.
    pub fn departed(&self) -> Option<Arc<CachedObject>> {
        let previous = self.previous.as_ref()?;
        Some(self.departed.get_or_init(|| Arc::new(previous.departed(self.revision))).clone())
    }

    /// The line for those who see the object for the first time, made once for all of them.
    pub fn added_line(&self, object: &CachedObject) -> bytes::Bytes {
        self.added.get_or_init(|| object.line(super::EventKind::Added)).clone()
    }

    /// What the change keeps in memory for the sake of a watcher.
    pub fn bytes(&self) -> usize {
        let length =
            |object: &Option<Arc<CachedObject>>| object.as_ref().map_or(0, |object| object.json.len());
        length(&self.previous).max(length(&self.current)) + 256
    }

    pub fn key(&self) -> Option<&Arc<str>> {
        self.current.as_ref().or(self.previous.as_ref()).map(|object| &object.key)
    }
}

#[derive(Debug)]
pub struct Ring {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    most_changes: usize,
    most_bytes: usize,
    /// Every change after this revision is there.
    complete_after: Revision,
}

impl Ring {
    pub fn new(most_changes: usize, most_bytes: usize, complete_after: Revision) -> Self {
        Self { changes: VecDeque::new(), bytes: 0, most_changes, most_bytes, complete_after }
    }

    /// The oldest revision from which a watch can go on.
    pub fn complete_after(&self) -> Revision {
        self.complete_after
    }

    pub fn push(&mut self, change: Arc<Change>) {
        self.bytes += change.bytes();
        self.changes.push_back(change);
        while self.changes.len() > self.most_changes || self.bytes > self.most_bytes {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.complete_after = oldest.revision;
        }
    }

    /// Takes in what happened after one revision up to another, where the ring began; not if there is
    /// no room for all of it, or the ring begins elsewhere by now.
    pub fn prepend(&mut self, changes: Vec<Arc<Change>>, after: Revision, until: Revision) {
        let bytes: usize = changes.iter().map(|change| change.bytes()).sum();
        let fits =
            self.changes.len() + changes.len() <= self.most_changes && self.bytes + bytes <= self.most_bytes;
        if !fits || self.complete_after != until {
            return;
        }
        changes.into_iter().rev().for_each(|change| self.changes.push_front(change));
        self.bytes += bytes;
        self.complete_after = after;
    }

    /// Every change after a revision, in order; `None` if some are gone.
    pub fn after(&self, revision: Revision) -> Option<impl Iterator<Item = &Arc<Change>>> {
        if revision < self.complete_after {
            return None;
        }
        let start = self.changes.partition_point(|change| change.revision <= revision);
        Some(self.changes.range(start..))
    }

    /// What differs from the present at a revision: each changed key with its object then.
    pub fn undo(&self, revision: Revision) -> Option<BTreeMap<Arc<str>, Option<Arc<CachedObject>>>> {
        let mut former = BTreeMap::new();
        for change in self.after(revision)? {
            let Some(key) = change.key() else { continue };
            former.entry(key.clone()).or_insert_with(|| change.previous.clone());
        }
        Some(former)
    }
}
