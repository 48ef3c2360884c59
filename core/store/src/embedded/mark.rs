//! The high-water mark: a small file beside the database that says which revision
//! had been acknowledged a moment ago.
//!
//! The database recovers from a torn journal by cutting it off where it stops
//! making sense. After a crash that is right; after damage in the middle it would
//! quietly forget acknowledged writes. The mark tells the two apart: a store that
//! comes back older than its mark is refused.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{Revision, StoreError};

const FILE: &str = "acknowledged";

/// The mark of a store's folder.
#[derive(Debug)]
pub struct Mark {
    folder: PathBuf,
    /// What this process wrote last; held while the file is replaced.
    written: Mutex<Revision>,
}

impl Mark {
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), written: Mutex::new(0) }
    }

    /// The revision last marked; `None` if there never was one.
    pub fn read(&self) -> io::Result<Option<Revision>> {
        match fs::read_to_string(self.folder.join(FILE)) {
            Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the place of an older mark in one step, durably.
    pub fn write(&self, revision: Revision) -> io::Result<()> {
        let mut written = self.written.lock();
        if *written >= revision {
            return Ok(());
        }
        let fresh = self.folder.join(format!("{FILE}.new"));
        let mut file = File::create(&fresh)?;
        writeln!(file, "{revision}")?;
        file.sync_data()?;
        fs::rename(&fresh, self.folder.join(FILE))?;
        *written = revision;
        Ok(())
    }

    /// [`Mark::write`] for tasks.
    pub async fn keep(self: &Arc<Self>, revision: Revision) -> Result<(), StoreError> {
        let mark = self.clone();
        let written = tokio::task::spawn_blocking(move || mark.write(revision)).await;
        match written {
            Ok(result) => result.map_err(|error| StoreError::Io(error.to_string())),
            Err(error) => Err(StoreError::Io(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mark_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::of(folder.path());
        assert_eq!(mark.read().unwrap(), None);
        mark.write(7).unwrap();
        mark.write(12).unwrap();
        assert_eq!(mark.read().unwrap(), Some(12));
        fs::write(folder.path().join(FILE), "twelve").unwrap();
        mark.read().unwrap_err();
    }
}
