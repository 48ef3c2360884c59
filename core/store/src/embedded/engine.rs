//! The embedded store below its tasks: the disk, the index, the leases and the
//! watchers, and the steps that keep them in agreement.
//!
//! Order of a write: evaluated, durable on disk, visible in the index, sent to
//! the watchers, acknowledged. Locks are taken hub first, then state.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::RwLock;
use tokio::time::Instant;

use super::{
    Options,
    apply::{Change, Group},
    clock, codec,
    disk::{Batch, Disk},
    hub::Hub,
    index::Index,
    leases::Leases,
};
use crate::{LeaseId, Page, Range, Record, Revision, StoreError, Txn, TxnResult};

/// Keys of a lease that are deleted in one revision.
const EXPIRY_CHUNK: usize = 500;

pub struct Engine {
    pub options: Options,
    pub disk: Disk,
    pub state: RwLock<State>,
    pub hub: Hub,
    pub next_watcher: AtomicU64,
    /// Bytes removed since the tables were last written anew.
    pub garbage: AtomicU64,
    /// A write failed: memory and disk may differ, so nothing more is written.
    pub failed: AtomicBool,
}

pub struct State {
    pub index: Index,
    pub leases: Leases,
}

impl Engine {
    pub fn revision(&self) -> Revision {
        self.state.read().index.revision()
    }

    /// Applies transactions in order and makes them durable together; one answer for each.
    /// The error is of the disk and means that none was acknowledged.
    pub fn transact_all(&self, txns: &[Txn]) -> Result<Vec<Result<TxnResult, StoreError>>, StoreError> {
        let view = self.disk.view();
        let (results, changes) = {
            let state = self.state.read();
            let mut group = Group::new(&state.index, &state.leases, &view, self.options.largest_value);
            let results = txns.iter().map(|txn| group.transact(txn)).collect();
            (results, group.into_changes())
        };
        drop(view);
        if !changes.is_empty() {
            self.commit(&changes, |_| {}, |_| {})?;
        }
        Ok(results)
    }

    /// Makes changes durable, then visible, then known to watchers. `on_disk` adds to the
    /// same batch, `in_memory` to the same moment.
    fn commit(
        &self,
        changes: &[Change],
        on_disk: impl FnOnce(&mut Batch<'_>),
        in_memory: impl FnOnce(&mut State),
    ) -> Result<(), StoreError> {
        let mut batch = self.disk.batch();
        let mut entries = Vec::with_capacity(changes.len());
        for change in changes {
            let encoded = change.encode();
            batch.put(&encoded.disk_key, &encoded.value);
            entries.push(encoded.entry);
        }
        on_disk(&mut batch);
        self.write(batch)?;

        let mut watchers = self.hub.lock();
        let events = watchers
            .events(changes, &self.disk.view())
            .inspect_err(|_| self.failed.store(true, Ordering::Release))?;
        let mut state = self.state.write();
        for (entry, change) in entries.into_iter().zip(changes) {
            state.leases.attach(&entry.key, change.former_lease, entry.lease);
            state.index.apply(entry);
        }
        in_memory(&mut state);
        let revision = state.index.revision();
        drop(state);
        watchers.send(events, revision);
        Ok(())
    }

    /// Commits a batch; after a failure the store takes no more.
    pub fn write(&self, batch: Batch<'_>) -> Result<(), StoreError> {
        self.working()?;
        batch.commit().inspect_err(|_| self.failed.store(true, Ordering::Release))
    }

    /// Whether batches are taken.
    pub fn working(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    pub fn get(&self, key: &str, revision: Option<Revision>) -> Result<Option<Record>, StoreError> {
        let state = self.state.read();
        let revision = state.readable(revision)?;
        let Some(position) = state.index.at(key, revision) else { return Ok(None) };
        let view = self.disk.view();
        drop(state);
        view.record(position).map(Some)
    }

    pub fn range(&self, range: &Range) -> Result<Page, StoreError> {
        let state = self.state.read();
        let revision = state.readable(range.revision)?;
        let slice = state.index.slice(&range.prefix, range.start_after.as_deref(), revision, range.limit);
        let view = self.disk.view();
        drop(state);
        let records = slice.places.iter().map(|(_, position)| view.record(*position));
        Ok(Page { records: records.collect::<Result<_, _>>()?, revision, more: slice.more })
    }

    pub fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let id = self.state.read().leases.next_id();
        let stored = codec::encode_lease(clock::millis(ttl), clock::unix_millis_in(ttl));
        self.commit(
            &[],
            |batch| {
                batch.put(&codec::lease_key(id), &stored);
                batch.put(codec::NEXT_LEASE, &(id + 1).to_le_bytes());
            },
            |state| state.leases.insert(id, ttl, Instant::now() + ttl),
        )?;
        Ok(id)
    }

    pub fn keep_alive(&self, id: LeaseId) -> Result<(), StoreError> {
        let ttl = self.state.read().leases.ttl(id).ok_or(StoreError::LeaseNotFound(id))?;
        let stored = codec::encode_lease(clock::millis(ttl), clock::unix_millis_in(ttl));
        self.commit(
            &[],
            |batch| batch.put(&codec::lease_key(id), &stored),
            |state| state.leases.extend(id, Instant::now() + ttl),
        )
    }

    pub fn revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        if !self.state.read().leases.contains(id) {
            return Err(StoreError::LeaseNotFound(id));
        }
        while !self.end_lease(id)? {}
        Ok(())
    }

    /// Ends a part of one lease whose time is over; what is left comes with the next call.
    pub fn expire(&self) -> Result<(), StoreError> {
        let expired = self.state.read().leases.expired(Instant::now());
        expired.map_or(Ok(()), |id| self.end_lease(id).map(drop))
    }

    /// Deletes some keys of a lease, and the lease with the last of them: then true.
    fn end_lease(&self, id: LeaseId) -> Result<bool, StoreError> {
        let view = self.disk.view();
        let (changes, done) = {
            let state = self.state.read();
            let keys = state.leases.keys(id, EXPIRY_CHUNK);
            let done = keys.len() < EXPIRY_CHUNK;
            let mut group = Group::new(&state.index, &state.leases, &view, self.options.largest_value);
            let success = keys.iter().map(|key| crate::Op::Delete { key: key.to_string() }).collect();
            group.transact(&Txn { success, ..Txn::default() })?;
            (group.into_changes(), done)
        };
        drop(view);
        if !done {
            return self.commit(&changes, |_| {}, |_| {}).map(|()| false);
        }
        let key = codec::lease_key(id);
        self.commit(&changes, |batch| batch.remove(&key), |state| state.leases.remove(id))?;
        Ok(true)
    }
}

impl State {
    /// The revision to read at, if it can be read.
    pub fn readable(&self, revision: Option<Revision>) -> Result<Revision, StoreError> {
        let current = self.index.revision();
        match revision {
            None => Ok(current),
            Some(requested) if requested > current => Err(StoreError::FutureRevision { requested, current }),
            Some(requested) if requested < self.index.compacted() => {
                Err(StoreError::Compacted { oldest: self.index.compacted() })
            }
            Some(requested) => Ok(requested),
        }
    }
}
