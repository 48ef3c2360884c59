//! How keys and records stand on disk. Pure.
//!
//! ```text
//! h <revision u64 BE> <position in its transaction u16 BE>  ->  one version of one key
//! l <lease u64 BE>                                          ->  TTL and deadline
//! m <name>                                                  ->  counters
//! ```
//!
//! A version is: format byte, flags, create revision, version, lease, length of
//! the key, key, value; integers little endian. Checksums are the engine's.

use bytes::Bytes;

use crate::{LeaseId, Record, Revision};

const FORMAT: u8 = 1;
const TOMBSTONE: u8 = 1;
const LAST: u8 = 2;
const HEADER: usize = 2 + 8 + 8 + 8 + 4;

/// Before and behind every version.
pub const HISTORY: (&[u8], &[u8]) = (b"h", b"i");
/// Before and behind every lease.
pub const LEASES: (&[u8], &[u8]) = (b"l", b"m");
/// The revision up to which history has been given up.
pub const COMPACTED: &[u8] = b"mcompacted";
/// The next lease to grant.
pub const NEXT_LEASE: &[u8] = b"mnext-lease";

/// Written where only the act of writing matters.
pub const NOTHING: &[u8] = b"mnothing";

/// A version as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: String,
    pub value: Bytes,
    pub create_revision: Revision,
    pub version: u64,
    pub lease: Option<LeaseId>,
    /// The key was deleted; there is no value.
    pub tombstone: bool,
    /// No further change belongs to this revision.
    pub last: bool,
}

impl Stored {
    /// The record of a put at `mod_revision`.
    pub fn into_record(self, mod_revision: Revision) -> Record {
        Record {
            key: self.key,
            value: self.value,
            create_revision: self.create_revision,
            mod_revision,
            version: self.version,
            lease: self.lease,
        }
    }
}

/// The disk key of a version.
pub fn history_key(revision: Revision, sub: u16) -> [u8; 11] {
    let mut key = [0; 11];
    key[0] = b'h';
    key[1..9].copy_from_slice(&revision.to_be_bytes());
    key[9..].copy_from_slice(&sub.to_be_bytes());
    key
}

/// The inverse of [`history_key`].
pub fn parse_history_key(key: &[u8]) -> Option<(Revision, u16)> {
    let revision = Revision::from_be_bytes(key.get(1..9)?.try_into().ok()?);
    let sub = u16::from_be_bytes(key.get(9..)?.try_into().ok()?);
    Some((revision, sub))
}

/// A put, ready for the disk.
pub fn encode_put(record: &Record, last: bool) -> Vec<u8> {
    let flags = if last { LAST } else { 0 };
    let counters = [record.create_revision, record.version, record.lease.unwrap_or(0)];
    encode(flags, counters, &record.key, &record.value)
}

/// A deletion, ready for the disk.
pub fn encode_tombstone(key: &str, last: bool) -> Vec<u8> {
    encode(TOMBSTONE | if last { LAST } else { 0 }, [0; 3], key, &[])
}

fn encode(flags: u8, counters: [u64; 3], key: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + key.len() + value.len());
    bytes.extend_from_slice(&[FORMAT, flags]);
    for counter in counters {
        bytes.extend_from_slice(&counter.to_le_bytes());
    }
    let key_length = u32::try_from(key.len()).expect("keys are limited before they are encoded");
    bytes.extend_from_slice(&key_length.to_le_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// A version from the disk; `None` if the bytes are not one.
pub fn decode(bytes: &[u8]) -> Option<Stored> {
    let [FORMAT, flags] = *bytes.get(..2)? else { return None };
    let create_revision = u64_at(bytes, 2)?;
    let version = u64_at(bytes, 10)?;
    let lease = u64_at(bytes, 18)?;
    let key_length = u32::from_le_bytes(bytes.get(26..HEADER)?.try_into().ok()?) as usize;
    let key = std::str::from_utf8(bytes.get(HEADER..HEADER.checked_add(key_length)?)?).ok()?;
    Some(Stored {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(&bytes[HEADER + key_length..]),
        create_revision,
        version,
        lease: (lease != 0).then_some(lease),
        tombstone: flags & TOMBSTONE != 0,
        last: flags & LAST != 0,
    })
}

/// The disk key of a lease.
pub fn lease_key(lease: LeaseId) -> [u8; 9] {
    let mut key = [0; 9];
    key[0] = b'l';
    key[1..].copy_from_slice(&lease.to_be_bytes());
    key
}

/// The inverse of [`lease_key`].
pub fn parse_lease_key(key: &[u8]) -> Option<LeaseId> {
    Some(LeaseId::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

/// TTL in milliseconds and deadline in milliseconds since the Unix epoch.
pub fn encode_lease(ttl_ms: u64, deadline_ms: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&ttl_ms.to_le_bytes());
    bytes[8..].copy_from_slice(&deadline_ms.to_le_bytes());
    bytes
}

/// The inverse of [`encode_lease`].
pub fn decode_lease(bytes: &[u8]) -> Option<(u64, u64)> {
    (bytes.len() == 16).then_some(())?;
    Some((u64_at(bytes, 0)?, u64_at(bytes, 8)?))
}

/// A counter under `m`.
pub fn decode_counter(bytes: &[u8]) -> Option<u64> {
    (bytes.len() == 8).then_some(())?;
    u64_at(bytes, 0)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_back_as_they_went() {
        let record = Record {
            key: "/registry/pods/default/web".into(),
            value: Bytes::from_static(b"{}"),
            create_revision: 5,
            mod_revision: 9,
            version: 3,
            lease: Some(7),
        };
        let stored = decode(&encode_put(&record, true)).expect("a put");
        assert!(stored.last && !stored.tombstone);
        assert_eq!(stored.into_record(9), record);
        let gone = decode(&encode_tombstone("/a", false)).expect("a tombstone");
        assert!(gone.tombstone && !gone.last && gone.key == "/a");
    }

    #[test]
    fn bytes_cut_anywhere_in_the_header_are_no_version() {
        let whole = encode_tombstone("/a", true);
        for end in 0..whole.len() {
            assert_eq!(decode(&whole[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn history_keys_sort_by_revision_then_position() {
        let keys = [history_key(1, 0), history_key(1, 256), history_key(2, 0), history_key(256, 1)];
        assert!(keys.is_sorted());
        assert_eq!(parse_history_key(&keys[1]), Some((1, 256)));
    }
}
