//! How a snapshot stands in a file. Pure.
//!
//! ```text
//! "TIPHYS SNAPSHOT\n" <format u32> <revision u64> <taken, ms since the Unix epoch u64>
//! L <lease u64> <ms left u64>
//! R <create revision u64> <mod revision u64> <version u64> <lease u64> <key u32 + bytes> <value u32 + bytes>
//! E <number of records u64> <SHA-256 of all before it>
//! ```
//!
//! Integers are little endian; lease 0 is none. Leases come before records.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::{Snapshot, SnapshotError};
use crate::Record;

const MAGIC: &[u8] = b"TIPHYS SNAPSHOT\n";
const FORMAT: u32 = 1;
const SUM: usize = 32;
/// Bytes of one chunk, roughly.
const CHUNK: usize = 256 << 10;

/// The bytes of a snapshot, in chunks.
pub struct Chunks {
    sum: Sha256,
    leases: std::vec::IntoIter<(u64, Duration)>,
    records: std::vec::IntoIter<Record>,
    count: u64,
    head: Option<BytesMut>,
    done: bool,
}

pub fn encode(snapshot: Snapshot) -> Chunks {
    let mut head = BytesMut::from(MAGIC);
    head.put_u32_le(FORMAT);
    head.put_u64_le(snapshot.revision);
    head.put_u64_le(snapshot.taken_ms);
    Chunks {
        sum: Sha256::new(),
        count: snapshot.records.len() as u64,
        leases: snapshot.leases.into_iter(),
        records: snapshot.records.into_iter(),
        head: Some(head),
        done: false,
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut chunk = self.head.take().unwrap_or_default();
        for (lease, left) in self.leases.by_ref() {
            chunk.put_u8(b'L');
            chunk.put_u64_le(lease);
            chunk.put_u64_le(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        }
        while chunk.len() < CHUNK {
            let Some(record) = self.records.next() else {
                chunk.put_u8(b'E');
                chunk.put_u64_le(self.count);
                self.sum.update(&chunk);
                chunk.put_slice(&self.sum.finalize_reset());
                self.done = true;
                return Some(chunk.freeze());
            };
            put_record(&mut chunk, &record);
        }
        self.sum.update(&chunk);
        Some(chunk.freeze())
    }
}

fn put_record(chunk: &mut BytesMut, record: &Record) {
    chunk.put_u8(b'R');
    for number in [record.create_revision, record.mod_revision, record.version, record.lease.unwrap_or(0)] {
        chunk.put_u64_le(number);
    }
    for bytes in [record.key.as_bytes(), &record.value] {
        let length = u32::try_from(bytes.len()).expect("stores limit keys and values");
        chunk.put_u32_le(length);
        chunk.put_slice(bytes);
    }
}

pub fn decode(bytes: &Bytes) -> Result<Snapshot, SnapshotError> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err(SnapshotError::Foreign) };
    let mut head = Parts { bytes: bytes.slice_ref(rest) };
    let cut = || SnapshotError::Damaged("it ends too early".to_owned());
    match head.u32().ok_or_else(cut)? {
        FORMAT => {}
        other => return Err(SnapshotError::Format(other)),
    }
    let body = bytes.len().checked_sub(SUM).ok_or_else(cut)?;
    if *Sha256::digest(&bytes[..body]) != bytes[body..] {
        return Err(SnapshotError::Damaged("its checksum is wrong".to_owned()));
    }
    parse(head).ok_or_else(|| SnapshotError::Damaged("it can't be understood".to_owned()))
}

fn parse(mut parts: Parts) -> Option<Snapshot> {
    let (revision, taken_ms) = (parts.u64()?, parts.u64()?);
    let mut snapshot = Snapshot { revision, taken_ms, leases: Vec::new(), records: Vec::new() };
    loop {
        match parts.take(1)?[0] {
            b'L' => snapshot.leases.push((parts.u64()?, Duration::from_millis(parts.u64()?))),
            b'R' => snapshot.records.push(parts.record()?),
            b'E' => {
                let whole = parts.u64()? == snapshot.records.len() as u64 && parts.bytes.len() == SUM;
                return whole.then_some(snapshot);
            }
            _ => return None,
        }
    }
}

struct Parts {
    bytes: Bytes,
}

impl Parts {
    fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.bytes.len()).then(|| self.bytes.split_to(length))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.as_ref().try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.as_ref().try_into().ok()?))
    }

    fn long(&mut self) -> Option<Bytes> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn record(&mut self) -> Option<Record> {
        let (create_revision, mod_revision) = (self.u64()?, self.u64()?);
        let (version, lease) = (self.u64()?, self.u64()?);
        let key = String::from_utf8(self.long()?.into()).ok()?;
        let value = self.long()?;
        Some(Record {
            key,
            value,
            create_revision,
            mod_revision,
            version,
            lease: (lease != 0).then_some(lease),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(records: usize) -> Snapshot {
        let record = |n: usize| Record {
            key: format!("/a/{n}"),
            value: Bytes::from(vec![n as u8; 300]),
            create_revision: 2,
            mod_revision: n as u64 + 2,
            version: 3,
            lease: n.is_multiple_of(2).then_some(7),
        };
        Snapshot {
            revision: 5000,
            taken_ms: 1,
            leases: vec![(7, Duration::from_millis(1500))],
            records: (0..records).map(record).collect(),
        }
    }

    fn bytes(snapshot: Snapshot) -> Vec<u8> {
        encode(snapshot).flatten().collect()
    }

    #[test]
    fn a_snapshot_comes_back_as_it_went() {
        for records in [0, 1, 3000] {
            let chunks = encode(sample(records)).count();
            assert_eq!(chunks > 2, records > 1000, "{chunks} chunks");
            assert_eq!(decode(&bytes(sample(records)).into()).unwrap(), sample(records));
        }
    }

    #[test]
    fn any_changed_byte_and_any_cut_is_found() {
        let whole = bytes(sample(2));
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            decode(&changed.into()).unwrap_err();
            decode(&whole[..at].to_vec().into()).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_snapshot_is_told_from_a_newer_one() {
        assert!(matches!(decode(&Bytes::from_static(b"hello")), Err(SnapshotError::Foreign)));
        let mut newer = bytes(sample(1));
        newer[MAGIC.len()] = 9;
        assert!(matches!(decode(&newer.into()), Err(SnapshotError::Format(9))));
    }
}
