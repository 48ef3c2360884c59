//! Records, ranges and pages: what is read from a store.

use bytes::Bytes;

/// The store's one counter: 1 in an empty store, one more for each transaction that changed something.
pub type Revision = u64;

/// Names a lease; never 0.
pub type LeaseId = u64;

/// One version of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: String,
    pub value: Bytes,
    /// Of the put that made the key, after its last deletion.
    pub create_revision: Revision,
    /// Of this version.
    pub mod_revision: Revision,
    /// 1 for the creation, then one more for each put.
    pub version: u64,
    /// The lease the key lives by, if any.
    pub lease: Option<LeaseId>,
}

/// What to read: keys that begin with `prefix`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    pub prefix: String,
    /// Only keys greater than this one (the last key of the page before).
    pub start_after: Option<String>,
    /// The state at this revision; `None` is the newest.
    pub revision: Option<Revision>,
    /// At most this many records; `None` is all.
    pub limit: Option<usize>,
}

impl Range {
    /// All records of a prefix, as they are now.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..Self::default() }
    }
}

/// A part of a range, in key order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub records: Vec<Record>,
    /// The revision that the page shows; ask for it again to get a consistent next page.
    pub revision: Revision,
    /// Whether the limit cut the range off.
    pub more: bool,
}
