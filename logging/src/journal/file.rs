//! One journal file: its header, and its entries in the order they were written.
//!
//! ```text
//! header   signature, flags, ids, number of entries, place of the first entry array
//! arrays   places of entries, each array with the place of the next
//! entry    number, times, places of its fields
//! data     `NAME=value`, maybe compressed
//! ```
//!
//! It is written to while it is read: the number of entries in the header says how many are
//! whole. Nothing in a file is trusted to be in its bounds.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

const SIGNATURE: &[u8; 8] = b"LPKSHHRH";
/// The oldest header; newer ones have more behind it.
const HEADER: usize = 208;
/// Flags of files that can't be read without knowing them: XZ, LZ4, keyed hashes, ZSTD, compact.
const KNOWN: u32 = 1 | 2 | 4 | 8 | COMPACT;
const COMPACT: u32 = 16;
const ARCHIVED: u8 = 2;

const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ARRAY: u8 = 6;
const OBJECT: u64 = 16;

/// Fields of one entry beyond which none is looked at.
const MAX_FIELDS: u64 = 1024;
/// The field that is the line, with its name.
const MESSAGE: &[u8] = b"MESSAGE=";
/// Bytes of the message that are kept, with its name.
const MAX_MESSAGE: usize = 1 << 20;
/// Bytes of any other field that are kept: more of it is in no line. So an entry has three MiB at
/// most, also one with a dump of a process.
const MAX_OTHER: usize = 2 << 10;
/// What packs bytes does so in pieces that are never longer unpacked (zstd's are the longest), so
/// with so many more than what is wanted all of that can be unpacked.
const PIECE: usize = 256 << 10;
/// Short fields are the same for many entries and are remembered by their place.
const SHORT: usize = 256;
const REMEMBERED: usize = 4096;

/// Why something of a journal can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("it can't be read")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Form(&'static str),
}

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Names the file for as long as it lives.
    pub id: String,
    flags: u32,
    /// Nothing more is written to it.
    pub is_archived: bool,
    entries: u64,
    first_array: u64,
    /// Time and number of the first entry.
    pub head: (u64, u64),
}

/// An open file, and how many of its entries were read.
#[derive(Debug)]
pub struct JournalFile {
    file: File,
    pub header: Header,
    pub read: u64,
    /// The array that has the next entry, the number of its first one, how many it can have.
    array: Option<(u64, u64, u64)>,
    short: HashMap<u64, Arc<[u8]>>,
}

/// One entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Microseconds.
    pub time: u64,
    /// Which start of the machine it was, and microseconds since.
    pub boot: u128,
    pub monotonic: u64,
    /// `NAME=value`, in their order.
    pub fields: Vec<Arc<[u8]>>,
    /// How many bytes of the message were left out, if some were; 0 where nobody knows how many.
    pub left_out: Option<u64>,
}

/// The begin of a field.
struct Begin {
    bytes: Arc<[u8]>,
    /// As [`Entry::left_out`].
    left_out: Option<u64>,
}

impl Header {
    pub fn read(file: &File) -> Result<Self, Fault> {
        let mut bytes = [0; HEADER];
        file.read_exact_at(&mut bytes, 0)?;
        if bytes[..8] != *SIGNATURE {
            return Err(Fault::Form("it is no journal"));
        }
        let flags = u32::from_le_bytes([12, 13, 14, 15].map(|at: usize| bytes[at]));
        if flags & !KNOWN != 0 {
            return Err(Fault::Form("it is of a version that is not known here"));
        }
        let id = bytes[24..40].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            id,
            flags,
            is_archived: bytes[16] == ARCHIVED,
            entries: word(&bytes, 152),
            first_array: word(&bytes, 176),
            head: (word(&bytes, 184), word(&bytes, 168)),
        })
    }

    /// How many entries it had when it was read.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    fn is_compact(&self) -> bool {
        self.flags & COMPACT != 0
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

impl JournalFile {
    /// Goes on behind so many entries.
    pub fn new(file: File, header: Header, read: u64) -> Self {
        Self { file, header, read, array: None, short: HashMap::new() }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether there are entries that were not read, as the header says now.
    pub fn has_more(&mut self) -> Result<bool, Fault> {
        if self.read >= self.header.entries {
            self.header = Header::read(&self.file)?;
        }
        Ok(self.read < self.header.entries)
    }

    /// The next entry; `None` when all were read. One that can't be read is passed over by the
    /// next call, unless the way to it is broken: then [`JournalFile::read`] stays.
    pub fn next(&mut self) -> Result<Option<Entry>, Fault> {
        if !self.has_more()? {
            return Ok(None);
        }
        let Some(place) = self.place()? else { return Ok(None) };
        self.read += 1;
        self.entry(place).map(Some)
    }

    /// Where the next entry is.
    fn place(&mut self) -> Result<Option<u64>, Fault> {
        loop {
            let (array, first, capacity) = match self.array {
                Some(array) => array,
                None if self.header.first_array == 0 => return Ok(None),
                None => (self.header.first_array, 0, self.capacity(self.header.first_array)?),
            };
            self.array = Some((array, first, capacity));
            if self.read < first + capacity {
                let at = self.read - first;
                let place = match self.header.is_compact() {
                    true => u64::from(u32::from_le_bytes(self.bytes(array + 24 + at * 4)?)),
                    false => u64::from_le_bytes(self.bytes(array + 24 + at * 8)?),
                };
                return Ok((place != 0).then_some(place));
            }
            let next = u64::from_le_bytes(self.bytes(array + 16)?);
            if next == 0 {
                return Ok(None);
            }
            // They are written one behind the other, so this ends.
            if next <= array {
                return Err(Fault::Form("its entries lead in a circle"));
            }
            self.array = Some((next, first + capacity, self.capacity(next)?));
        }
    }

    fn capacity(&self, array: u64) -> Result<u64, Fault> {
        let size = self.object(array, ARRAY)?.1.saturating_sub(24);
        Ok(size / if self.header.is_compact() { 4 } else { 8 })
    }

    /// Flags and size of an object.
    fn object(&self, at: u64, kind: u8) -> Result<(u8, u64), Fault> {
        let head: [u8; 16] = self.bytes(at)?;
        let size = word(&head, 8);
        if head[0] != kind || size < OBJECT {
            return Err(Fault::Form("an object is not what it should be"));
        }
        Ok((head[1], size))
    }

    fn entry(&mut self, at: u64) -> Result<Entry, Fault> {
        let (_, size) = self.object(at, ENTRY)?;
        let head: [u8; 40] = self.bytes(at + 16)?;
        let boot = u128::from_be_bytes(std::array::from_fn(|byte| head[24 + byte]));
        let width = if self.header.is_compact() { 4 } else { 16 };
        let count = (size.saturating_sub(64) / width).min(MAX_FIELDS);
        let mut items = vec![0; (count * width) as usize];
        self.file.read_exact_at(&mut items, at + 64)?;
        let mut fields = Vec::with_capacity(count as usize);
        let (mut has_message, mut left_out) = (false, None);
        for item in items.chunks_exact(width as usize) {
            let mut place = [0; 8];
            let length = item.len().min(8);
            place[..length].copy_from_slice(&item[..length]);
            let place = u64::from_le_bytes(place);
            // Unused ones stand at the end.
            if place == 0 {
                continue;
            }
            let mut field = self.data(place, MAX_OTHER)?;
            // The first one counts.
            if !has_message && field.bytes.starts_with(MESSAGE) {
                has_message = true;
                if field.left_out.is_some() {
                    field = self.data(place, MAX_MESSAGE)?;
                }
                left_out = field.left_out;
            }
            fields.push(field.bytes);
        }
        Ok(Entry { time: word(&head, 8), boot, monotonic: word(&head, 16), fields, left_out })
    }

    /// So many bytes of a field at most.
    fn data(&mut self, at: u64, most: usize) -> Result<Begin, Fault> {
        if let Some(known) = self.short.get(&at) {
            return Ok(Begin { bytes: known.clone(), left_out: None });
        }
        let (flags, size) = self.object(at, DATA)?;
        let payload = if self.header.is_compact() { 72 } else { 64 };
        let length = size.checked_sub(payload).ok_or(Fault::Form("a field is too short"))?;
        let packing = flags & 7;
        let wanted = if packing == 0 { most } else { most + PIECE };
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(wanted).min(wanted)];
        self.file.read_exact_at(&mut bytes, at + payload)?;
        let (bytes, left_out) = match packing {
            0 => {
                let rest = length - bytes.len() as u64;
                (bytes, (rest > 0).then_some(rest))
            }
            2 => lz4(&bytes, most)?,
            4 => zstd(&bytes, most),
            _ => return Err(Fault::Form("a field is compressed in a way that is not known here")),
        };
        let bytes: Arc<[u8]> = bytes.into();
        if left_out.is_none() && bytes.len() <= SHORT {
            if self.short.len() >= REMEMBERED {
                self.short.clear();
            }
            self.short.insert(at, bytes.clone());
        }
        Ok(Begin { bytes, left_out })
    }

    fn bytes<const N: usize>(&self, at: u64) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// What is unpacked, and how much of it was left out.
type Unpacked = (Vec<u8>, Option<u64>);

/// As much as is there, and not more than `most`.
fn zstd(bytes: &[u8], most: usize) -> Unpacked {
    let mut out = Vec::new();
    // One more tells whether there is more.
    let read = zstd::stream::read::Decoder::new(bytes)
        .and_then(|decoder| decoder.take(most as u64 + 1).read_to_end(&mut out));
    if let Err(error) = read {
        tracing::debug!(%error, unpacked = out.len(), "a field of the journal is not unpacked to its end");
    }
    if out.len() <= most {
        return (out, None);
    }
    out.truncate(most);
    let length = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    (out, Some(length.map_or(0, |length| length.saturating_sub(most as u64))))
}

/// The length when unpacked, then one block (LZ4 Block Format): runs of a token, literals, and
/// a place behind to copy from. Not more than `most`.
fn lz4(bytes: &[u8], most: usize) -> Result<Unpacked, Fault> {
    let unpack = || -> Option<Unpacked> {
        let (length, mut rest) = bytes.split_first_chunk::<8>()?;
        let length = u64::from_le_bytes(*length);
        let limit = usize::try_from(length).map_or(most, |it| it.min(most));
        let mut out = Vec::new();
        while out.len() < limit {
            let token = take(&mut rest, 1)?[0];
            let literals = run(&mut rest, usize::from(token >> 4))?;
            // Those that are not wanted may not have been read.
            out.extend_from_slice(take(&mut rest, literals.min(limit - out.len()))?);
            if rest.is_empty() || out.len() == limit {
                break;
            }
            let offset = usize::from(u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?));
            let copied = run(&mut rest, usize::from(token & 15))? + 4;
            let from = out.len().checked_sub(offset).filter(|_| offset > 0)?;
            // It may overlap with what it makes.
            (0..copied.min(limit)).for_each(|at| out.push(out[from + at]));
        }
        out.truncate(limit);
        Some((out, length.checked_sub(most as u64).filter(|left_out| *left_out > 0)))
    };
    unpack().ok_or(Fault::Form("a field can't be unpacked"))
}

/// A length whose first part is four bits; 15 says that bytes follow, of which 255 says the same.
fn run(rest: &mut &[u8], first: usize) -> Option<usize> {
    let mut length = first;
    let mut goes_on = first == 15;
    while goes_on {
        let byte = take(rest, 1)?[0];
        length = length.checked_add(usize::from(byte))?;
        goes_on = byte == 255;
    }
    Some(length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lz4_blocks() {
        let block = |length: u64, block: &[u8]| [&length.to_le_bytes()[..], block].concat();
        // Five literals, then ten bytes from five behind, then one literal.
        let repeated = block(16, b"\x56hello\x05\x00\x10!");
        let unpacked = |block: &[u8], most| lz4(block, most).expect("unpacked");
        assert_eq!(unpacked(&repeated, 100), (b"hellohellohello!".to_vec(), None));
        assert_eq!(unpacked(&repeated, 16), (b"hellohellohello!".to_vec(), None));
        assert_eq!(unpacked(&repeated, 12), (b"hellohellohe".to_vec(), Some(4)));
        let long = [&b"\xf0\x05"[..], &[b'x'; 20]].concat();
        assert_eq!(unpacked(&block(20, &long), 100), (vec![b'x'; 20], None));
        // Of a long field the begin is read.
        assert_eq!(unpacked(&block(20, &long[..12]), 10), (vec![b'x'; 10], Some(10)));
        for wrong in [&b""[..], b"\x56he", b"\x14a\x09\x00", b"\x14a\x00\x00"] {
            assert!(lz4(&block(16, wrong), 100).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn zstd_frames_are_unpacked_as_far_as_is_wanted() {
        // The next is never as the one before, so packing makes it no shorter.
        let mut next = 1u32;
        let mut number = || {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (next >> 24) as u8
        };
        let text: Vec<u8> = (0..1 << 20).map(|_| number()).collect();
        let packed = zstd::bulk::compress(&text, 1).expect("packed");
        let whole = zstd(&packed, text.len());
        assert!(whole.0 == text && whole.1.is_none());
        for most in [1, MAX_OTHER, text.len() - 1] {
            let read = &packed[..packed.len().min(most + PIECE)];
            let (begin, left_out) = zstd(read, most);
            assert!(begin == text[..most], "{most}");
            assert_eq!(left_out, Some((text.len() - most) as u64));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_unpacked_within_bounds_or_refused(bytes: Vec<u8>) {
            if let Ok((out, _)) = lz4(&bytes, MAX_OTHER) {
                prop_assert!(out.len() <= MAX_OTHER);
            }
            prop_assert!(zstd(&bytes, MAX_OTHER).0.len() <= MAX_OTHER);
        }
    }
}
