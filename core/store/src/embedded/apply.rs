//! Transactions applied one after the other, before anything is written: each
//! sees what those before it in its group did. The result is a list of changes
//! that become durable together.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    codec,
    disk::View,
    index::{Entry, Index, Position},
    leases::Leases,
};
use crate::{LeaseId, Op, OpResult, Record, Revision, StoreError, Txn, TxnResult};

/// Operations in one transaction.
const MOST_OPERATIONS: usize = 1024;
/// Bytes of a key.
const LONGEST_KEY: usize = 4096;

/// One change of a group.
pub struct Change {
    pub key: Arc<str>,
    pub revision: Revision,
    sub: u16,
    /// No further change belongs to the revision.
    last: bool,
    /// `None` deletes.
    pub record: Option<Record>,
    pub previous: Previous,
    pub former_lease: Option<LeaseId>,
}

/// Where the version before a change is.
#[derive(Clone)]
pub enum Previous {
    Absent,
    Stored(Position),
    /// Written by the same group.
    Fresh(Record),
}

/// A change as it goes to the disk and into the index.
pub struct Encoded {
    pub disk_key: [u8; 11],
    pub value: Vec<u8>,
    pub entry: Entry,
}

pub struct Group<'a> {
    index: &'a Index,
    leases: &'a Leases,
    view: &'a View<'a>,
    largest_value: usize,
    revision: Revision,
    /// Keys that the group wrote; `None` was deleted.
    fresh: HashMap<Arc<str>, Option<Record>>,
    changes: Vec<Change>,
}

/// A key as a transaction finds it.
struct Found {
    name: Option<Arc<str>>,
    mod_revision: Revision,
    create_revision: Revision,
    version: u64,
    lease: Option<LeaseId>,
    place: Previous,
}

impl<'a> Group<'a> {
    pub fn new(index: &'a Index, leases: &'a Leases, view: &'a View<'a>, largest_value: usize) -> Self {
        let revision = index.revision();
        Self { index, leases, view, largest_value, revision, fresh: HashMap::new(), changes: Vec::new() }
    }

    /// The changes of all transactions, in order.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Applies one transaction to what the group sees. After an error it did nothing.
    pub fn transact(&mut self, txn: &Txn) -> Result<TxnResult, StoreError> {
        self.check(txn)?;
        let succeeded =
            txn.compare.iter().all(|compare| self.find(&compare.key).mod_revision == compare.mod_revision);
        let operations = if succeeded { &txn.success } else { &txn.failure };
        let revision = self.revision + 1;
        let mut results = Vec::with_capacity(operations.len());
        let mut writes = Vec::new();
        for operation in operations {
            let found = self.find(operation.key());
            results.push(match operation {
                Op::Get { key } => OpResult::Get(self.record(key, &found)?),
                Op::Put { key, value, lease } => {
                    let record = found.put(key, value, *lease, revision);
                    writes.push((found, Some(record.clone()), key));
                    OpResult::Put(record)
                }
                Op::Delete { key } => {
                    let record = self.record(key, &found)?;
                    if record.is_some() {
                        writes.push((found, None, key));
                    }
                    OpResult::Delete(record)
                }
            });
        }
        self.write(revision, writes);
        Ok(TxnResult { succeeded, revision: self.revision, results })
    }

    fn write(&mut self, revision: Revision, writes: Vec<(Found, Option<Record>, &String)>) {
        let count = writes.len();
        for (sub, (found, record, key)) in writes.into_iter().enumerate() {
            self.revision = revision;
            let key = found.name.unwrap_or_else(|| Arc::from(key.as_str()));
            self.fresh.insert(key.clone(), record.clone());
            self.changes.push(Change {
                key,
                revision,
                sub: u16::try_from(sub).expect("transactions are limited to 1024 operations"),
                last: sub + 1 == count,
                record,
                previous: found.place,
                former_lease: found.lease,
            });
        }
    }

    fn find(&self, key: &str) -> Found {
        if let Some((name, fresh)) = self.fresh.get_key_value(key) {
            let name = Some(name.clone());
            return match fresh {
                None => Found::absent(name),
                Some(record) => Found {
                    name,
                    mod_revision: record.mod_revision,
                    create_revision: record.create_revision,
                    version: record.version,
                    lease: record.lease,
                    place: Previous::Fresh(record.clone()),
                },
            };
        }
        let Some((name, current)) = self.index.current(key) else { return Found::absent(None) };
        Found {
            name: Some(name),
            mod_revision: current.position.revision,
            create_revision: current.create_revision,
            version: current.version,
            lease: current.lease,
            place: Previous::Stored(current.position),
        }
    }

    fn record(&self, key: &str, found: &Found) -> Result<Option<Record>, StoreError> {
        let record = found.place.record(self.view)?;
        debug_assert!(record.as_ref().is_none_or(|record| record.key == key), "the index names another key");
        Ok(record)
    }

    fn check(&self, txn: &Txn) -> Result<(), StoreError> {
        for operations in [&txn.success, &txn.failure] {
            if operations.len() > MOST_OPERATIONS {
                return invalid(format!("more than {MOST_OPERATIONS} operations"));
            }
            let mut written = HashSet::new();
            for operation in operations {
                self.check_operation(operation)?;
                if !matches!(operation, Op::Get { .. }) && !written.insert(operation.key()) {
                    return invalid(format!("key {} is written twice", operation.key()));
                }
            }
        }
        Ok(())
    }

    fn check_operation(&self, operation: &Op) -> Result<(), StoreError> {
        let key = operation.key();
        if key.is_empty() || key.len() > LONGEST_KEY {
            return invalid(format!("a key must have 1 to {LONGEST_KEY} bytes, not {}", key.len()));
        }
        let Op::Put { value, lease, .. } = operation else { return Ok(()) };
        if value.len() > self.largest_value {
            let (size, most) = (value.len(), self.largest_value);
            return invalid(format!("the value of {key} has {size} bytes, more than {most}"));
        }
        match lease {
            Some(lease) if !self.leases.contains(*lease) => Err(StoreError::LeaseNotFound(*lease)),
            _ => Ok(()),
        }
    }
}

impl Found {
    fn absent(name: Option<Arc<str>>) -> Self {
        let place = Previous::Absent;
        Self { name, mod_revision: 0, create_revision: 0, version: 0, lease: None, place }
    }

    fn put(&self, key: &str, value: &bytes::Bytes, lease: Option<LeaseId>, revision: Revision) -> Record {
        Record {
            key: key.to_owned(),
            value: value.clone(),
            create_revision: if self.version == 0 { revision } else { self.create_revision },
            mod_revision: revision,
            version: self.version + 1,
            lease,
        }
    }
}

impl Previous {
    /// The version itself.
    pub fn record(&self, view: &View<'_>) -> Result<Option<Record>, StoreError> {
        match self {
            Self::Absent => Ok(None),
            Self::Fresh(record) => Ok(Some(record.clone())),
            Self::Stored(position) => view.record(*position).map(Some),
        }
    }
}

impl Change {
    pub fn encode(&self) -> Encoded {
        let value = match &self.record {
            Some(record) => codec::encode_put(record, self.last),
            None => codec::encode_tombstone(&self.key, self.last),
        };
        let size = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let position =
            Position { revision: self.revision, size, sub: self.sub, tombstone: self.record.is_none() };
        let record = self.record.as_ref();
        let entry = Entry {
            key: self.key.clone(),
            position,
            create_revision: record.map_or(0, |record| record.create_revision),
            version: record.map_or(0, |record| record.version),
            lease: record.and_then(|record| record.lease),
        };
        Encoded { disk_key: codec::history_key(self.revision, self.sub), value, entry }
    }
}

fn invalid(what: String) -> Result<(), StoreError> {
    Err(StoreError::InvalidTxn(what))
}
