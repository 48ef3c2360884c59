//! Where a block's bytes are: in a file here, or elsewhere, from where they are read by range.
//!
//! Parquet's reader makes a text of any error. So that what could not be reached is not taken
//! for damage, a source elsewhere remembers what went wrong with it.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::Range,
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

pub enum Source {
    File(File),
    Elsewhere(Elsewhere),
}

/// Bytes that are not on this machine.
#[derive(Clone)]
pub struct Elsewhere {
    bytes: Arc<dyn Ranges>,
    size: u64,
    fault: Fault,
}

/// Why bytes could not be had, once that was so.
pub type Fault = Arc<OnceLock<String>>;

impl Source {
    pub fn elsewhere(bytes: Arc<dyn Ranges>, size: u64) -> Self {
        Self::Elsewhere(Elsewhere { bytes, size, fault: Fault::default() })
    }

    /// The same bytes, for another reader, with what goes wrong for it.
    pub fn again(&self) -> io::Result<(Self, Fault)> {
        match self {
            Self::File(file) => Ok((Self::File(file.try_clone()?), Fault::default())),
            Self::Elsewhere(one) => {
                let fault = Fault::default();
                Ok((Self::Elsewhere(Elsewhere { fault: fault.clone(), ..one.clone() }), fault))
            }
        }
    }
}

impl Elsewhere {
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

impl Length for Source {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => Length::len(file),
            Self::Elsewhere(one) => one.size,
        }
    }
}

impl ChunkReader for Source {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        match self {
            Self::File(file) => Ok(Box::new(file.get_read(start)?)),
            Self::Elsewhere(one) => {
                Ok(Box::new(BufReader::with_capacity(AHEAD, Reading { of: one.clone(), at: start })))
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Elsewhere(one) => one.get(start, length),
        }
    }
}

/// Reads on from a place.
struct Reading {
    of: Elsewhere,
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
