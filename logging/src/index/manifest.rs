//! The manifest: which splits there are and where reading stands, replaced as a
//! whole by a rename.
//!
//! ```text
//! tiphys-logs 1 <CRC-32 of the rest, hex>
//! <JSON>
//! ```

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::IndexError;
use crate::{tail::StreamCheckpoint, wal::Mark};

const NAME: &str = "MANIFEST";
const HEAD: &str = "tiphys-logs 1 ";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The next split's number.
    pub next: u64,
    pub splits: Vec<SplitEntry>,
    pub streams: Vec<StreamCheckpoint>,
    /// Of what came by a door.
    #[serde(default)]
    pub wal: Mark,
    /// Tells this index from another that the node had before, or has after a loss: split
    /// numbers begin anew there.
    #[serde(default)]
    pub store: String,
    /// What was ordered to be deleted and may still be in splits or log files.
    #[serde(default)]
    pub deletions: Vec<Deletion>,
}

/// Records of a namespace that are to be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub namespace: String,
    /// Those of an earlier time, nanoseconds.
    pub before: i64,
    /// When it was ordered.
    pub ordered: i64,
}

/// A file of a split, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Below the split's directory: `blocks`, `words/...`.
    pub name: String,
    pub size: u64,
    /// CRC-32.
    pub crc: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitEntry {
    pub id: u64,
    /// When its newest part was committed; retention counts from here, because a
    /// record's own time can be anything.
    pub created: i64,
    pub records: u64,
    /// Bytes of the bodies.
    pub raw_bytes: u64,
    /// Bytes of all its files.
    pub disk_bytes: u64,
    /// Absent from splits of versions that didn't sum them up.
    #[serde(default)]
    pub files: Vec<FileSum>,
    /// The splits whose records are in it, also of merges before, first to last of each run.
    #[serde(default)]
    pub ancestors: Vec<(u64, u64)>,
}

impl SplitEntry {
    /// It and what it was made of.
    pub fn family(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ancestors.iter().copied().chain([(self.id, self.id)])
    }
}

/// As few runs as say the same, ascending.
pub fn joined(runs: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = runs.collect();
    runs.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, last) in runs {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

impl Manifest {
    /// The manifest in a directory; a new one when there is none. What can't be
    /// read is put aside as `MANIFEST.damaged` and gives `None`.
    pub fn load(directory: &Path) -> Result<Option<Self>, IndexError> {
        let path = directory.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Splits without a list of them: it was put aside, and no other could be written.
                let splits = super::commit::numbered(&directory.join("splits"))?;
                return Ok(splits.is_empty().then(Self::default));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(error) => return Err(IndexError::io("can't read", &path)(error)),
        };
        if let Some(manifest) = Self::read(&text) {
            return Ok(Some(manifest));
        }
        let aside = directory.join("MANIFEST.damaged");
        fs::rename(&path, &aside).map_err(IndexError::io("can't put aside", &path))?;
        tracing::error!(path = %aside.display(), "manifest of the logs is damaged and was put aside");
        Ok(None)
    }

    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once('\n')?;
        let crc = u32::from_str_radix(head.strip_prefix(HEAD)?, 16).ok()?;
        if crc32fast::hash(body.as_bytes()) != crc {
            return None;
        }
        serde_json::from_str(body).ok()
    }

    /// Puts it in the place of the one before; durable when this returns.
    pub fn store(&self, directory: &Path) -> Result<(), IndexError> {
        let body = serde_json::to_string(self).map_err(IndexError::Manifest)?;
        let text = format!("{HEAD}{:08x}\n{body}", crc32fast::hash(body.as_bytes()));
        replace(directory, NAME, text.as_bytes())
    }
}

/// Writes a file so that a crash leaves the old or the new content, never a mix.
pub fn replace(directory: &Path, name: &str, content: &[u8]) -> Result<(), IndexError> {
    let path = directory.join(name);
    let fresh = directory.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(IndexError::io("can't write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined() {
        let check = |runs: &[(u64, u64)], expected: &[(u64, u64)]| {
            assert_eq!(joined(runs.iter().copied()), expected);
        };
        check(&[], &[]);
        check(&[(3, 3), (1, 1), (2, 2), (9, 9)], &[(1, 3), (9, 9)]);
        check(&[(1, 8), (2, 3), (10, 10)], &[(1, 8), (10, 10)]);
        check(&[(0, u64::MAX), (5, 6)], &[(0, u64::MAX)]);
    }
}
