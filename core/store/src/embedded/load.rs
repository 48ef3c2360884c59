//! Opening: the index is rebuilt from the versions on disk, and what doesn't fit
//! together is refused.
//!
//! Checked are: that every version can be read (the engine verifies checksums on
//! the way), that revisions after the last compaction follow each other without a
//! gap and each is whole, and that the store is not older than its mark.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    clock, codec,
    disk::{Disk, View, refused},
    engine::State,
    index::{Entry, Index, Position},
    leases::Leases,
    mark::Mark,
};
use crate::{LeaseId, Revision, StoreError};

/// Reads everything that memory has to know.
pub fn load(path: &Path, disk: &Disk, mark: &Mark) -> Result<State, StoreError> {
    let view = disk.view();
    let loader = Loader { path, view: &view };
    let mut leases = loader.leases()?;
    let index = loader.index(&mut leases)?;
    let marked = mark.read().map_err(|error| loader.damaged(format!("its mark cannot be read: {error}")))?;
    match marked {
        Some(marked) if marked > index.revision() => Err(loader.damaged(format!(
            "it ends at revision {}, but revision {marked} had been acknowledged",
            index.revision()
        ))),
        _ => Ok(State { index, leases }),
    }
}

struct Loader<'a> {
    path: &'a Path,
    view: &'a View<'a>,
}

/// That revisions follow each other and each ends with its last change.
struct Sequence {
    compacted: Revision,
    revision: Revision,
    next_sub: u16,
    whole: bool,
}

impl Loader<'_> {
    fn index(&self, leases: &mut Leases) -> Result<Index, StoreError> {
        let compacted = self.counter(codec::COMPACTED)?.unwrap_or(0);
        let mut index = Index::new(compacted);
        let mut sequence = Sequence::after(compacted);
        let (from, to) = codec::HISTORY;
        for pair in self.view.scan(from, to) {
            let (key, value) = pair.map_err(|error| refused(self.path, &error))?;
            let (revision, sub) = codec::parse_history_key(&key)
                .ok_or_else(|| self.damaged("a key of its history cannot be decoded".into()))?;
            let stored = codec::decode(&value)
                .ok_or_else(|| self.damaged(format!("revision {revision} cannot be decoded")))?;
            sequence.accept(revision, sub, stored.last).map_err(|what| self.damaged(what))?;
            let size = u32::try_from(value.len()).unwrap_or(u32::MAX);
            let position = Position { revision, size, sub, tombstone: stored.tombstone };
            let former = index.current(&stored.key).and_then(|(_, current)| current.lease);
            let key: Arc<str> = stored.key.into();
            leases.attach(&key, former, stored.lease);
            let (create_revision, version, lease) = (stored.create_revision, stored.version, stored.lease);
            index.apply(Entry { key, position, create_revision, version, lease });
        }
        sequence.finish().map_err(|what| self.damaged(what))?;
        Ok(index)
    }

    fn leases(&self) -> Result<Leases, StoreError> {
        let mut leases = Leases::new(self.counter(codec::NEXT_LEASE)?.unwrap_or(1));
        let (from, to) = codec::LEASES;
        for pair in self.view.scan(from, to) {
            let (key, value) = pair.map_err(|error| refused(self.path, &error))?;
            let (id, ttl, left) =
                lease(&key, &value).ok_or_else(|| self.damaged("a lease cannot be decoded".into()))?;
            leases.insert(id, ttl, Instant::now() + left);
        }
        Ok(leases)
    }

    fn counter(&self, key: &[u8]) -> Result<Option<u64>, StoreError> {
        let Some(bytes) = self.view.get(key).map_err(|error| refused(self.path, &error))? else {
            return Ok(None);
        };
        let counter = codec::decode_counter(&bytes);
        counter.map(Some).ok_or_else(|| self.damaged("a counter cannot be decoded".into()))
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { path: self.path.to_owned(), what }
    }
}

fn lease(key: &[u8], value: &[u8]) -> Option<(LeaseId, Duration, Duration)> {
    let (ttl_ms, deadline_ms) = codec::decode_lease(value)?;
    let ttl = Duration::from_millis(ttl_ms);
    Some((codec::parse_lease_key(key)?, ttl, clock::remaining(ttl_ms, deadline_ms)))
}

impl Sequence {
    fn after(compacted: Revision) -> Self {
        Self { compacted, revision: compacted.max(1), next_sub: 0, whole: true }
    }

    fn accept(&mut self, revision: Revision, sub: u16, last: bool) -> Result<(), String> {
        if revision <= self.compacted {
            return Ok(());
        }
        if revision != self.revision {
            self.finish()?;
            if revision != self.revision + 1 {
                return Err(format!("revision {} is missing", self.revision + 1));
            }
            (self.revision, self.next_sub) = (revision, 0);
        }
        if sub != self.next_sub {
            return Err(format!("a change of revision {revision} is missing"));
        }
        (self.next_sub, self.whole) = (sub + 1, last);
        Ok(())
    }

    fn finish(&self) -> Result<(), String> {
        if self.whole { Ok(()) } else { Err(format!("revision {} is incomplete", self.revision)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(compacted: Revision, versions: &[(Revision, u16, bool)]) -> Result<(), String> {
        let mut sequence = Sequence::after(compacted);
        for (revision, sub, last) in versions {
            sequence.accept(*revision, *sub, *last)?;
        }
        sequence.finish()
    }

    #[test]
    fn gaps_and_halves_are_found() {
        check(0, &[]).unwrap();
        check(0, &[(2, 0, false), (2, 1, true), (3, 0, true)]).unwrap();
        check(7, &[(3, 4, false), (5, 0, true), (8, 0, true)]).unwrap();
        for (compacted, versions, expected) in [
            (0, &[(3, 0, true)][..], "revision 2 is missing"),
            (0, &[(2, 0, true), (4, 0, true)], "revision 3 is missing"),
            (0, &[(2, 1, true)], "a change of revision 2 is missing"),
            (0, &[(2, 0, false), (3, 0, true)], "revision 2 is incomplete"),
            (7, &[(5, 0, true), (9, 0, true)], "revision 8 is missing"),
        ] {
            assert_eq!(check(compacted, versions), Err(expected.into()));
        }
    }
}
