//! Sections: the pieces of a block that can be read alone.
//!
//! ```text
//! bytes when unpacked (u32 LE), bytes (u32 LE), CRC-32 of the bytes (u32 LE), zstd frame
//! ```
//!
//! Each has its own checksum, and a length that can't be is refused before
//! memory is taken.

use std::{cell::RefCell, io};

use zstd::bulk::{Compressor, Decompressor};

const HEAD: usize = 12;
const ZSTD_LEVEL: i32 = 3;
/// No section is longer when unpacked.
pub const MAX_SECTION: usize = 4 * super::MAX_BODIES;

/// The bytes are no block, or were changed.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("block is damaged: {0}")]
pub struct CorruptBlock(pub(super) &'static str);

/// Appends a section.
pub fn put(block: &mut Vec<u8>, raw: &[u8]) -> io::Result<()> {
    if raw.len() > MAX_SECTION {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a section is too long"));
    }
    let packed = compress(raw)?;
    block.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    block.extend_from_slice(&(packed.len() as u32).to_le_bytes());
    block.extend_from_slice(&crc32fast::hash(&packed).to_le_bytes());
    block.extend_from_slice(&packed);
    Ok(())
}

/// A section, not yet unpacked.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    packed: &'a [u8],
    length: usize,
    crc: u32,
}

impl<'a> Section<'a> {
    /// Takes the first section off the front.
    pub fn take(bytes: &mut &'a [u8]) -> Result<Self, CorruptBlock> {
        let short = CorruptBlock("it ends early");
        let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Err(short) };
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let Some((packed, rest)) = rest.split_at_checked(number(4) as usize) else { return Err(short) };
        *bytes = rest;
        Ok(Self { packed, length: number(0) as usize, crc: number(8) })
    }

    /// Whether the packed bytes are those that were written.
    pub fn check(self) -> Result<(), CorruptBlock> {
        match crc32fast::hash(self.packed) == self.crc {
            true => Ok(()),
            false => Err(CorruptBlock("its checksum is wrong")),
        }
    }

    /// Its bytes, checked.
    pub fn unpack(self) -> Result<Vec<u8>, CorruptBlock> {
        self.check()?;
        if self.length > MAX_SECTION {
            return Err(CorruptBlock("a length is too great"));
        }
        match decompress(self.packed, self.length) {
            Ok(raw) if raw.len() == self.length => Ok(raw),
            _ => Err(CorruptBlock("it can't be unpacked")),
        }
    }
}

thread_local! {
    /// A thread makes one context for all of its sections: making one takes longer than packing or
    /// unpacking a small section.
    static PACK: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACK: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn compress(raw: &[u8]) -> io::Result<Vec<u8>> {
    PACK.with_borrow_mut(|pack| match pack {
        Some(pack) => pack.compress(raw),
        None => pack.insert(Compressor::new(ZSTD_LEVEL)?).compress(raw),
    })
}

fn decompress(packed: &[u8], length: usize) -> io::Result<Vec<u8>> {
    UNPACK.with_borrow_mut(|unpack| match unpack {
        Some(unpack) => unpack.decompress(packed, length),
        None => unpack.insert(Decompressor::new()?).decompress(packed, length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_unpacked_spoils_nothing_for_the_next() {
        let mut block = Vec::new();
        for text in ["first", "second"] {
            put(&mut block, text.repeat(100).as_bytes()).expect("put");
        }
        let mut rest = block.as_slice();
        let (first, second) =
            (Section::take(&mut rest).expect("there"), Section::take(&mut rest).expect("there"));
        let cut = &first.packed[..first.packed.len() - 3];
        let damaged = [
            Section { packed: b"no frame", crc: crc32fast::hash(b"no frame"), ..first },
            Section { packed: cut, crc: crc32fast::hash(cut), ..first },
            Section { length: first.length - 1, ..first },
        ];
        for damaged in damaged {
            assert_eq!(damaged.unpack(), Err(CorruptBlock("it can't be unpacked")));
            assert_eq!(second.unpack(), Ok("second".repeat(100).into_bytes()));
        }
    }
}
