//! The ids of a block: a binary fuse filter (xorf), nine bits an id, one wrong
//! yes in 256 and never a wrong no. A handful of ids is kept as hashes.
//!
//! ```text
//! 0 (no id) | 1, hashes (u64 LE, sorted) | 2, descriptor of the filter, fingerprints
//! ```

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

use crate::query::text::id_hash;

const NONE: u8 = 0;
const HASHES: u8 = 1;
const FUSE: u8 = 2;
/// Below this a filter's fixed parts outweigh the hashes.
const FEW: usize = 16;

/// The ids of a block, in the bytes that are written to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdFilter(Box<[u8]>);

impl IdFilter {
    /// From the hashes of all ids ([`id_hash`]), in any order.
    pub(super) fn build(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.is_empty() {
            return Self(Box::new([NONE]));
        }
        if hashes.len() > FEW
            && let Ok(filter) = BinaryFuse8::try_from(&hashes)
        {
            let mut bytes = vec![0; 1 + BinaryFuse8::DESCRIPTOR_LEN];
            bytes[0] = FUSE;
            filter.dma_copy_descriptor_to(&mut bytes[1..]);
            bytes.extend_from_slice(filter.dma_fingerprints());
            return Self(bytes.into());
        }
        let mut bytes = vec![HASHES];
        bytes.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
        Self(bytes.into())
    }

    /// From bytes that [`IdFilter::as_bytes`] gave; `None` when they can't be.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::is_sound(bytes).then(|| Self(bytes.into()))
    }

    /// Whether the bytes are of a filter's form.
    pub fn is_sound(bytes: &[u8]) -> bool {
        bytes.split_first().is_some_and(|(kind, rest)| match *kind {
            NONE => rest.is_empty(),
            HASHES => rest.len().is_multiple_of(8),
            FUSE => rest.len() > BinaryFuse8::DESCRIPTOR_LEN,
            _ => false,
        })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a record may have the id; a no is certain.
    pub fn may_have(&self, id: &[u8]) -> bool {
        ids_may_have(&self.0, id)
    }

    pub fn memory(&self) -> usize {
        self.0.len()
    }
}

/// Whether a filter that lies in these bytes, as [`IdFilter::from_bytes`] takes them, may have the id.
pub fn ids_may_have(filter: &[u8], id: &[u8]) -> bool {
    let hash = id_hash(id);
    let Some((kind, rest)) = filter.split_first() else { return true };
    match *kind {
        HASHES => rest.chunks_exact(8).any(|bytes| bytes == hash.to_le_bytes()),
        FUSE => {
            let (descriptor, fingerprints) = rest.split_at(BinaryFuse8::DESCRIPTOR_LEN);
            BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&hash)
        }
        _ => false,
    }
}
