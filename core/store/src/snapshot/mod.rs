//! A whole store at one revision, in a file that either store can be made from.
//!
//! Taken while the store serves; restored into an empty one only. An embedded
//! store comes back with its revisions, moved on by [`AHEAD`]; on etcd, which gives
//! revisions itself, they begin anew. Values are taken as they are, so what is
//! encrypted in the store is encrypted in the file.

mod format;
mod restore;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

pub use self::format::Chunks;
use crate::{LeaseId, Range, Record, Revision, Store, StoreError};

/// How far the revision of a restored embedded store lies beyond the snapshot's.
/// Clients may know revisions that were given after it was taken: they are told
/// that those are gone, and list again, instead of being given others for them.
pub const AHEAD: Revision = 1_000_000_000;

/// All that a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub revision: Revision,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub taken_ms: u64,
    /// What was left of each lease.
    pub leases: Vec<(LeaseId, Duration)>,
    pub records: Vec<Record>,
}

/// What can go wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the store can't be read or written")]
    Store(#[from] StoreError),
    #[error("{} can't be read", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("this is no snapshot of Tiphys")]
    Foreign,
    #[error("the snapshot has the format {0}, which this version of tiphys doesn't know; use a newer one")]
    Format(u32),
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    #[error("{0} is not empty: a snapshot is restored into an empty store only")]
    NotEmpty(String),
}

impl Snapshot {
    /// Everything as it is now, while the store goes on.
    pub async fn take(store: &dyn Store) -> Result<Self, StoreError> {
        let page = store.range(Range::prefix("/")).await?;
        let mut records = page.records;
        let mut ids: Vec<_> = records.iter().filter_map(|record| record.lease).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut leases = Vec::with_capacity(ids.len());
        for id in ids {
            match store.time_to_live(id).await {
                Ok(left) => leases.push((id, left)),
                // It ended meanwhile, and its keys with it.
                Err(StoreError::LeaseNotFound(_)) => records.retain(|record| record.lease != Some(id)),
                Err(error) => return Err(error),
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let taken_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { revision: page.revision, taken_ms, leases, records })
    }

    /// Its bytes, in chunks.
    pub fn encode(self) -> Chunks {
        format::encode(self)
    }

    /// The inverse of [`Snapshot::encode`]; checks that nothing is missing or changed.
    pub fn decode(bytes: &Bytes) -> Result<Self, SnapshotError> {
        format::decode(bytes)
    }

    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, SnapshotError> {
        let bytes =
            std::fs::read(path).map_err(|source| SnapshotError::File { path: path.to_owned(), source })?;
        Self::decode(&bytes.into())
    }
}
