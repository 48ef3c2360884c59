//! Revisions, transactions, watch, compaction and leases over bytes.
//!
//! [`Store`] is what the API server keeps its objects in: keys such as
//! `/registry/pods/default/web` (they begin with a slash), values that the store never looks into, and one
//! revision counter for all of it, so that "the state at revision 42" means the
//! same for every reader.
//!
//! - [`Embedded`]: the default, in a folder of this machine, no other process.
//! - [`Etcd`]: on an etcd cluster that several servers share.
//! - [`Metered`]: another store, whose requests and objects are counted.
//! - `tests/`: the contract any implementation must pass, over `Arc<dyn Store>`.
//!
//! What it must not do: know about kinds, JSON or HTTP.

mod embedded;
mod error;
mod etcd;
mod lease_pool;
mod metered;
mod queue;
mod record;
mod snapshot;
mod txn;
mod watch;

use std::time::Duration;

use async_trait::async_trait;

pub use embedded::{Embedded, Options};
pub use error::StoreError;
pub use etcd::{Etcd, EtcdOptions, EtcdTls};
pub use lease_pool::LeasePool;
pub use metered::{Metered, Place, PlaceOf};
pub use record::{LeaseId, Page, Range, Record, Revision};
pub use snapshot::{AHEAD, Chunks, Snapshot, SnapshotError};
pub use txn::{Compare, Op, OpResult, Txn, TxnResult};
pub use watch::{Event, Progress, Watch, WatchBatch};

/// A versioned map from keys to bytes. Object safe: use it as `Arc<dyn Store>`.
///
/// An empty store is at revision 1; each transaction that changes something
/// takes the next revision, once for all its operations. Every write that was
/// answered with success survives a crash of the process and of the machine.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The record of `key`, as it is now or as it was at `revision`.
    async fn get(&self, key: &str, revision: Option<Revision>) -> Result<Option<Record>, StoreError>;

    /// Records of a prefix in key order, at one revision.
    async fn range(&self, range: Range) -> Result<Page, StoreError>;

    /// Applies one of the two lists of operations, atomically. A comparison that
    /// doesn't hold is an answer ([`TxnResult::succeeded`]), not an error.
    ///
    /// After [`StoreError::Io`] or [`StoreError::Unavailable`] it is unknown whether
    /// the write took place.
    async fn transact(&self, txn: Txn) -> Result<TxnResult, StoreError>;

    /// Every change of keys that begin with `prefix`, from revision `from` on,
    /// `from` included: pass `page.revision + 1` after a range. No gap and no
    /// duplicate, in the order of revisions; [`StoreError::Compacted`] if `from`
    /// lies at or before the last compaction.
    async fn watch(&self, prefix: &str, from: Revision) -> Result<Watch, StoreError>;

    /// Gives up the history up to `revision`: reads at older revisions and
    /// watches from there end with [`StoreError::Compacted`].
    async fn compact(&self, revision: Revision) -> Result<(), StoreError>;

    /// The revision of the last durable change.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// A new lease: keys put with it are deleted `ttl` after the grant or the last
    /// [`Store::keep_alive`], never earlier, at restart included.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Lets the lease live its whole time again, counted from now.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// What is left of the lease.
    async fn time_to_live(&self, lease: LeaseId) -> Result<Duration, StoreError>;

    /// Ends the lease and deletes its keys.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// How many keys begin with `prefix`, now. A store that can count without reading does so.
    async fn count(&self, prefix: &str) -> Result<u64, StoreError> {
        Ok(self.range(Range::prefix(prefix)).await?.records.len() as u64)
    }

    /// Bytes that the store takes on disk, of a cluster those of one member; `None` where that isn't
    /// known.
    async fn size(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// What the store consists of: a store of this machine of itself, one on etcd of the members.
    fn parts(&self) -> Vec<String>;

    /// Whether that part, counted as in [`Store::parts`], can do its work at the moment.
    async fn probe(&self, part: usize) -> Result<(), StoreError>;
}
