//! Where a block's bytes are: in a file here or elsewhere; they are read by range, by many at once.
//!
//! Parquet's reader makes a text of any error. So that what could not be reached is not taken
//! for damage, a source remembers what went wrong with it.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use datafusion::parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

/// What is read ahead of who reads byte by byte.
const AHEAD: usize = 16 << 10;

/// Gives bytes of one block. Blocks the thread.
pub trait Ranges: Send + Sync {
    /// # Errors
    /// They can't be had.
    fn read(&self, range: Range<u64>) -> std::result::Result<Bytes, Unread>;
}

/// Why bytes can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// Perhaps another time.
    Away(String),
    /// They are not as they were written.
    Wrong(String),
}

/// The bytes of one block as Parquet's reader asks for them.
#[derive(Clone)]
pub struct Source {
    bytes: Arc<dyn Ranges>,
    size: u64,
    fault: Fault,
}

/// Why bytes could not be had, once that was so.
pub type Fault = Arc<OnceLock<String>>;

impl Source {
    pub fn new(bytes: Arc<dyn Ranges>, size: u64) -> Self {
        Self { bytes, size, fault: Fault::default() }
    }

    /// The same bytes, for another reader, with what goes wrong for it.
    pub fn again(&self) -> (Self, Fault) {
        let fault = Fault::default();
        (Self { fault: fault.clone(), ..self.clone() }, fault)
    }

    fn get(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.saturating_add(length as u64);
        if end > self.size {
            return Err(ParquetError::EOF(format!("it has {} bytes, not {end}", self.size)));
        }
        self.bytes.read(start..end).map_err(|unread| match unread {
            Unread::Wrong(why) => ParquetError::General(why),
            Unread::Away(why) => {
                // The first cause counts.
                let _ = self.fault.set(why.clone());
                ParquetError::General(why)
            }
        })
    }
}

/// A file here. Several readers have it at once, and a descriptor's place is one for all of its
/// copies: each reading names the place where it begins.
impl Ranges for File {
    fn read(&self, range: Range<u64>) -> std::result::Result<Bytes, Unread> {
        let length = usize::try_from(range.end - range.start).map_err(|_| too_short(&range))?;
        let mut bytes = vec![0; length];
        match self.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(too_short(&range)),
            Err(error) => Err(Unread::Away(error.to_string())),
        }
    }
}

fn too_short(range: &Range<u64>) -> Unread {
    Unread::Wrong(format!("it ends before byte {}", range.end))
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Source {
    type T = BufReader<Reading>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::with_capacity(AHEAD, Reading { of: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.get(start, length)
    }
}

/// Reads on from a place.
pub struct Reading {
    of: Source,
    at: u64,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.of.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = into.len().min(left);
        if length == 0 {
            return Ok(0);
        }
        let bytes = self.of.get(self.at, length).map_err(io::Error::other)?;
        into[..length].copy_from_slice(&bytes);
        self.at += length as u64;
        Ok(length)
    }
}
