//! A file that is appended to: it has all of an append or nothing of it, whatever a full disk leaves.
//!
//! What is appended outlives the process. It outlives the machine's end once it is synced, which needs a
//! handle of its own and not this file: a disk may take its time for that, and what comes meanwhile is
//! appended. What could not be synced is asked for again.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::durable;

/// What of a file outlives the machine's end.
#[derive(Debug)]
struct Durable {
    bytes: AtomicU64,
    /// Its name does, too.
    name: AtomicBool,
}

#[derive(Debug)]
pub struct Appending {
    path: PathBuf,
    file: File,
    /// Bytes that are whole appends.
    length: u64,
    /// Half an append stands behind them: it could not be cut off.
    is_torn: bool,
    /// Brought up to date by handles.
    durable: Arc<Durable>,
}

/// What is not durable yet.
#[derive(Debug)]
pub struct Unsynced {
    path: PathBuf,
    file: File,
    /// Bytes that are there to be made durable.
    length: u64,
    /// Neither is its name durable.
    pub(super) is_new: bool,
    durable: Arc<Durable>,
}

impl Appending {
    /// Makes a file, where there must be none.
    ///
    /// # Errors
    /// The disk's.
    pub fn make(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        Ok(Self::of(path, file, 0))
    }

    /// Goes on in a file of so many bytes, which was opened to be appended to. What it has is taken for
    /// durable.
    pub(super) fn of(path: &Path, file: File, length: u64) -> Self {
        let durable = Durable { bytes: AtomicU64::new(length), name: AtomicBool::new(length > 0) };
        Self { path: path.to_owned(), file, length, is_torn: false, durable: Arc::new(durable) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of all appends.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends bytes, all of them or none. They outlive the process when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        if let Err(error) = self.file.write_all(bytes) {
            self.is_torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// A handle on what is not durable.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn unsynced(&self) -> io::Result<Option<Unsynced>> {
        if self.durable.bytes.load(Ordering::Acquire) >= self.length {
            return Ok(None);
        }
        Ok(Some(Unsynced {
            path: self.path.clone(),
            file: self.file.try_clone()?,
            length: self.length,
            is_new: !self.durable.name.load(Ordering::Acquire),
            durable: self.durable.clone(),
        }))
    }
}

impl Unsynced {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(self) -> io::Result<()> {
        durable::data(&self.file)?;
        if self.is_new
            && let Some(folder) = self.path.parent()
        {
            durable::names(folder)?;
            self.durable.name.store(true, Ordering::Release);
        }
        self.durable.bytes.fetch_max(self.length, Ordering::AcqRel);
        Ok(())
    }
}
