//! What can go wrong in a store. Cloneable, since one failed disk write answers
//! every transaction of its group.

use std::path::PathBuf;

use crate::{LeaseId, Revision};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The history before this revision is gone: list again.
    #[error("required revision has been compacted: the oldest kept is {oldest}")]
    Compacted { oldest: Revision },
    /// A read at a revision that isn't there yet.
    #[error("revision {requested} is in the future: the store is at {current}")]
    FutureRevision { requested: Revision, current: Revision },
    /// The lease was never granted, was revoked, or has expired.
    #[error("lease {0} not found")]
    LeaseNotFound(LeaseId),
    /// A transaction that can't be meant: an empty key, one key written twice, too large a value.
    #[error("invalid transaction: {0}")]
    InvalidTxn(String),
    /// The watcher didn't read for so long that its buffer filled up; it may start
    /// again after the last revision that it saw.
    #[error("watcher fell behind by more than {events} events or {bytes} bytes and was cut off")]
    SlowWatcher { events: usize, bytes: usize },
    /// The files on disk don't fit together; nothing is opened, nothing is repaired.
    #[error("store at {} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    /// Another process has the folder open.
    #[error("store at {} is in use by another process", path.display())]
    InUse { path: PathBuf },
    /// The disk failed. For a write: it is unknown whether it took place.
    #[error("store input or output failed: {0}")]
    Io(String),
    /// Nobody answers, or not in time. For a write: it is unknown whether it took place.
    #[error("store did not answer: {0}")]
    Unavailable(String),
    /// No member of the cluster could be reached at start.
    #[error("etcd at {endpoints} can't be reached: {why}")]
    Unreachable { endpoints: String, why: String },
    /// A member of the cluster, or how it is to be reached, is of no use.
    #[error("etcd at {endpoint} can't be used: {why}")]
    Unfit { endpoint: String, why: String },
    /// The store has been shut down, or stopped after a failed write.
    #[error("store is closed")]
    Closed,
}
