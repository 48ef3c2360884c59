//! A segment's bytes: pure.
//!
//! ```text
//! head    "TPLWAL" version (two digits), salt u64 LE, CRC-32 of both u32 LE
//! entry   salt u64 LE, length u32 LE, number u64 LE, CRC-32 of salt, length, number, payload; payload
//! ```
//!
//! Entries begin with the segment's own random number, so that after damage the
//! next one is found again, and no sender can write bytes into a record that look
//! like an entry.

use std::ops::Range;

const MAGIC: &[u8; 8] = b"TPLWAL01";
/// Bytes before the first entry.
pub const HEAD: usize = 20;
const ENTRY_HEAD: usize = 24;
/// No payload is longer.
pub const MAX_ENTRY: usize = 256 << 20;

/// The begin of a segment.
pub fn head(salt: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32fast::hash(&head[..16]);
    head[16..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Appends an entry.
pub fn put(out: &mut Vec<u8>, salt: u64, number: u64, payload: &[u8]) {
    let length = (payload.len() as u32).to_le_bytes();
    let crc = crc(&salt.to_le_bytes(), &length, &number.to_le_bytes(), payload);
    out.extend_from_slice(&salt.to_le_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
}

fn crc(salt: &[u8], length: &[u8], number: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    [salt, length, number, payload].into_iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// What is in a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Numbers, ascending, and where the payloads are.
    pub entries: Vec<(u64, Range<usize>)>,
    /// Bytes between entries that are none.
    pub damaged: Vec<Range<usize>>,
    /// Bytes at the end that are no entry: a write that a crash cut off.
    pub torn: usize,
}

/// The bytes are no segment of a version that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSegment(&'static str);

/// All entries whose numbers are greater than `after`. A file shorter than its head has none:
/// it was begun and nothing was acknowledged from it.
pub fn scan(bytes: &[u8], mut after: u64) -> Result<Scan, NoSegment> {
    let Some(given) = bytes.get(..HEAD) else { return Ok(Scan { torn: bytes.len(), ..Scan::default() }) };
    let salt: [u8; 8] = given[8..16].try_into().expect("eight bytes");
    if given != head(u64::from_le_bytes(salt)) {
        let known = &given[..8] == MAGIC || &given[..6] != b"TPLWAL";
        return Err(NoSegment(if known { "its head is damaged" } else { "its version is not known" }));
    }
    let mut scan = Scan::default();
    let (mut at, mut sound) = (HEAD, HEAD);
    while at < bytes.len() {
        let Some((number, payload)) = entry(bytes, at, &salt) else {
            // On to the next place where one may begin.
            let next = bytes[at + 1..].windows(8).position(|window| window == salt);
            at = next.map_or(bytes.len(), |next| at + 1 + next);
            continue;
        };
        if sound < at {
            scan.damaged.push(sound..at);
        }
        (at, sound) = (payload.end, payload.end);
        if number > after {
            after = number;
            scan.entries.push((number, payload));
        }
    }
    scan.torn = bytes.len() - sound;
    Ok(scan)
}

/// The first entry of a segment, if it is sound.
pub fn first(bytes: &[u8]) -> Option<&[u8]> {
    let salt = bytes.get(8..16)?;
    (bytes.get(..HEAD)? == head(u64::from_le_bytes(salt.try_into().ok()?))).then_some(())?;
    entry(bytes, HEAD, salt).map(|(_, payload)| &bytes[payload])
}

fn entry(bytes: &[u8], at: usize, salt: &[u8]) -> Option<(u64, Range<usize>)> {
    let given = bytes.get(at..at + ENTRY_HEAD)?;
    let (length, number) = (&given[8..12], &given[12..20]);
    let size = u32::from_le_bytes(length.try_into().ok()?) as usize;
    if &given[..8] != salt || size > MAX_ENTRY {
        return None;
    }
    let start = at + ENTRY_HEAD;
    let payload = bytes.get(start..start + size)?;
    let sound = crc(salt, length, number, payload).to_le_bytes() == given[20..];
    sound.then(|| Some((u64::from_le_bytes(number.try_into().ok()?), start..start + size)))?
}
