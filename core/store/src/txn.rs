//! Transactions: comparisons on modification revisions, and what to do in either case.

use bytes::Bytes;

use crate::{LeaseId, Record, Revision};

/// Holds if the key's current mod revision is `mod_revision`; 0 means that the key must be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    pub key: String,
    pub mod_revision: Revision,
}

/// One operation of a transaction. No key may be written twice in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Reads the key as it was before the transaction.
    Get { key: String },
    /// Writes the key; a new lease (or none) takes the place of its former one.
    Put { key: String, value: Bytes, lease: Option<LeaseId> },
    /// Deletes the key; of an absent key it changes nothing and takes no revision.
    Delete { key: String },
}

/// `success` is applied if all comparisons hold, else `failure`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    pub compare: Vec<Compare>,
    pub success: Vec<Op>,
    pub failure: Vec<Op>,
}

/// What became of an operation, in the order of the list that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResult {
    Get(Option<Record>),
    /// The record as it was written.
    Put(Record),
    /// The record that was there, if any.
    Delete(Option<Record>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnResult {
    /// Whether the comparisons held.
    pub succeeded: bool,
    /// The revision of this transaction's changes, or the store's if it changed nothing.
    pub revision: Revision,
    pub results: Vec<OpResult>,
}

impl Op {
    /// The key it reads or writes.
    pub fn key(&self) -> &str {
        match self {
            Self::Get { key } | Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

impl Txn {
    /// Creates a key that must not be there; otherwise answers with what is there.
    pub fn create(key: impl Into<String>, value: impl Into<Bytes>, lease: Option<LeaseId>) -> Self {
        Self::put_at(key, 0, value, lease)
    }

    /// Writes a key that must be at `mod_revision`; otherwise answers with what is there.
    pub fn put_at(
        key: impl Into<String>,
        mod_revision: Revision,
        value: impl Into<Bytes>,
        lease: Option<LeaseId>,
    ) -> Self {
        let key = key.into();
        Self {
            compare: vec![Compare { key: key.clone(), mod_revision }],
            success: vec![Op::Put { key: key.clone(), value: value.into(), lease }],
            failure: vec![Op::Get { key }],
        }
    }

    /// Deletes a key that must be at `mod_revision`; otherwise answers with what is there.
    pub fn delete_at(key: impl Into<String>, mod_revision: Revision) -> Self {
        let key = key.into();
        Self {
            compare: vec![Compare { key: key.clone(), mod_revision }],
            success: vec![Op::Delete { key: key.clone() }],
            failure: vec![Op::Get { key }],
        }
    }

    /// Writes a key whatever is there.
    pub fn put(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self {
            success: vec![Op::Put { key: key.into(), value: value.into(), lease: None }],
            ..Self::default()
        }
    }

    /// Deletes a key whatever is there.
    pub fn delete(key: impl Into<String>) -> Self {
        Self { success: vec![Op::Delete { key: key.into() }], ..Self::default() }
    }
}

impl Txn {
    /// Bytes of the values it may write.
    pub(crate) fn bytes(&self) -> usize {
        let operations = self.success.iter().chain(&self.failure);
        operations.map(|operation| if let Op::Put { value, .. } = operation { value.len() } else { 0 }).sum()
    }
}

impl TxnResult {
    /// The record that the first operation read, wrote or deleted.
    pub fn record(&self) -> Option<&Record> {
        match self.results.first()? {
            OpResult::Get(record) | OpResult::Delete(record) => record.as_ref(),
            OpResult::Put(record) => Some(record),
        }
    }
}
