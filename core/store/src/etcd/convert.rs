//! Records, events and transactions between the store's words and etcd's. Pure.
//!
//! etcd carries a transaction's operations out in their order; the store's reads
//! see what was there before it. So reads are put first. What a put made (its
//! creation and version) is read behind it, without the value.

use bytes::Bytes;
use etcd_client::{
    Compare, CompareOp, DeleteOptions, EventType, GetOptions, KeyValue, PutOptions, TxnOp, TxnOpResponse,
};

use super::keys::Keys;
use crate::{Event, LeaseId, Op, OpResult, Record, Revision, StoreError, Txn};

/// Bytes of a key.
const LONGEST_KEY: usize = 4096;

pub fn revision(number: i64) -> Revision {
    u64::try_from(number).unwrap_or(0)
}

pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A record of the store; `None` if the key isn't one of its user's.
pub fn record(keys: &Keys, kv: &KeyValue) -> Option<Record> {
    Some(described(keys.inner(kv.key())?, Bytes::copy_from_slice(kv.value()), kv))
}

fn described(key: String, value: Bytes, kv: &KeyValue) -> Record {
    Record {
        key,
        value,
        create_revision: revision(kv.create_revision()),
        mod_revision: revision(kv.mod_revision()),
        version: u64::try_from(kv.version()).unwrap_or(0),
        lease: lease(kv.lease()),
    }
}

fn lease(id: i64) -> Option<LeaseId> {
    u64::try_from(id).ok().filter(|id| *id != 0)
}

/// What an event of etcd says.
#[derive(Debug)]
pub enum Told {
    Event(Box<Event>),
    /// It is of no interest but for its revision.
    Passed(Revision),
    /// The version before it was compacted away: what was there can't be told.
    Lost(Revision),
}

pub fn event(keys: &Keys, event: &etcd_client::Event) -> Told {
    let Some(kv) = event.kv() else { return Told::Passed(0) };
    let at = revision(kv.mod_revision());
    let Some(key) = keys.inner(kv.key()) else { return Told::Passed(at) };
    let previous = event.prev_kv().and_then(|kv| record(keys, kv));
    let deleted = event.event_type() == EventType::Delete;
    let created = !deleted && kv.version() == 1;
    if previous.is_none() != created {
        return Told::Lost(at);
    }
    let current = (!deleted).then(|| described(key.clone(), Bytes::copy_from_slice(kv.value()), kv));
    Told::Event(Box::new(Event { key, revision: at, current, previous }))
}

/// Refuses what can't be meant, before etcd is asked.
pub fn check(txn: &Txn) -> Result<(), StoreError> {
    let invalid = |what: String| Err(StoreError::InvalidTxn(what));
    for list in [&txn.success, &txn.failure] {
        let mut written = std::collections::HashSet::new();
        for operation in list {
            let key = operation.key();
            if !key.starts_with('/') || key.len() > LONGEST_KEY {
                return invalid(format!(
                    "a key must begin with / and have at most {LONGEST_KEY} bytes: {key:?}"
                ));
            }
            if !matches!(operation, Op::Get { .. }) && !written.insert(key) {
                return invalid(format!("{key} is written twice"));
            }
        }
    }
    Ok(())
}

/// The transaction as etcd takes it.
pub fn request(keys: &Keys, txn: &Txn) -> etcd_client::Txn {
    let compares = txn.compare.iter().map(|compare| {
        Compare::mod_revision(keys.outer(&compare.key), CompareOp::Equal, signed(compare.mod_revision))
    });
    // Without any operation etcd would answer from the member alone, which may lag behind.
    let nothing = txn.success.is_empty() && txn.failure.is_empty();
    let success = if nothing { vec![presence(keys.own("progress"))] } else { operations(keys, &txn.success) };
    let failure = if nothing { vec![presence(keys.own("progress"))] } else { operations(keys, &txn.failure) };
    etcd_client::Txn::new().when(compares.collect::<Vec<_>>()).and_then(success).or_else(failure)
}

/// Reads all of a key but its value.
fn presence(key: Vec<u8>) -> TxnOp {
    TxnOp::get(key, Some(GetOptions::new().with_keys_only()))
}

fn operations(keys: &Keys, list: &[Op]) -> Vec<TxnOp> {
    let mut reads = Vec::new();
    let mut writes = Vec::with_capacity(list.len());
    let mut made = Vec::new();
    for operation in list {
        let key = keys.outer(operation.key());
        match operation {
            Op::Get { .. } => reads.push(TxnOp::get(key, None)),
            Op::Put { value, lease, .. } => {
                let options = lease.map(|lease| PutOptions::new().with_lease(signed(lease)));
                writes.push(TxnOp::put(key.clone(), value.to_vec(), options));
                made.push(presence(key));
            }
            Op::Delete { .. } => {
                writes.push(TxnOp::delete(key, Some(DeleteOptions::new().with_prev_key())));
            }
        }
    }
    reads.append(&mut writes);
    reads.append(&mut made);
    reads
}

/// The results of the list that was applied, in its order.
pub fn results(keys: &Keys, list: &[Op], answers: Vec<TxnOpResponse>) -> Result<Vec<OpResult>, StoreError> {
    let n_reads = list.iter().filter(|operation| matches!(operation, Op::Get { .. })).count();
    let (mut read, mut written, mut made) = (0, n_reads, list.len());
    let next = |counter: &mut usize| {
        *counter += 1;
        answers.get(*counter - 1)
    };
    let results = list.iter().map(|operation| match operation {
        Op::Get { .. } => match next(&mut read)? {
            TxnOpResponse::Get(found) => {
                Some(OpResult::Get(found.kvs().first().and_then(|kv| record(keys, kv))))
            }
            _ => None,
        },
        Op::Put { key, value, .. } => {
            next(&mut written)?;
            match next(&mut made)? {
                TxnOpResponse::Get(found) => {
                    let kv = found.kvs().first()?;
                    Some(OpResult::Put(described(key.clone(), value.clone(), kv)))
                }
                _ => None,
            }
        }
        Op::Delete { .. } => match next(&mut written)? {
            TxnOpResponse::Delete(gone) => {
                Some(OpResult::Delete(gone.prev_kvs().first().and_then(|kv| record(keys, kv))))
            }
            _ => None,
        },
    });
    let results: Option<Vec<_>> = results.collect();
    results.ok_or_else(|| StoreError::Io("etcd answered a transaction with less than was asked".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str) -> Op {
        Op::Put { key: key.into(), value: "v".into(), lease: None }
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let txn = |success| Txn { success, ..Txn::default() };
        for bad in [
            vec![put("")],
            vec![put("a")],
            vec![put(&format!("/{}", "x".repeat(LONGEST_KEY)))],
            vec![put("/a"), Op::Delete { key: "/a".into() }],
        ] {
            assert!(check(&txn(bad.clone())).is_err(), "{bad:?}");
        }
        check(&txn(vec![Op::Get { key: "/a".into() }, put("/a"), put("/b")])).unwrap();
    }

    #[test]
    fn a_short_answer_is_an_error() {
        let keys = Keys::new("");
        assert!(results(&keys, &[put("/a")], Vec::new()).is_err());
        assert_eq!(results(&keys, &[], Vec::new()), Ok(Vec::new()));
    }
}
