//! The manifest: which splits there are and where reading stands, replaced as a
//! whole by a rename.
//!
//! Its form is that of [`super::sealed`]. It is there twice, under two names: one that is damaged costs
//! nothing. Without both, it is put together from what the splits carry ([`super::resume`]). Of a later
//! version it is no damage: it lists what this version can't see, so nothing is done in its folder.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    IndexError,
    sealed::{BadFile, Form},
};
use crate::{journal::JournalCheckpoint, tail::StreamCheckpoint, wal::Mark};

const NAME: &str = "MANIFEST";
const COPY: &str = "MANIFEST.copy";
const FORM: Form = Form { kind: "tiphys-logs", version: 1 };

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Counts the manifests of this index: of two states the one with more is the later.
    #[serde(default)]
    pub generation: u64,
    /// The next split's number.
    pub next: u64,
    pub splits: Vec<SplitEntry>,
    pub streams: Arc<[StreamCheckpoint]>,
    /// Of what came by a door.
    #[serde(default)]
    pub wal: Mark,
    /// Of the journal of systemd.
    #[serde(default)]
    pub journal: JournalCheckpoint,
    /// When the archive asked last for what is here; 0 if it never did.
    #[serde(default)]
    pub archive_asked: i64,
    /// How far records had aged ([`super::clock`]); 0 where an earlier version wrote it.
    #[serde(default)]
    pub aged: i64,
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

impl FileSum {
    /// What its bytes add up to.
    pub fn sum(&self) -> tiphys_objects::Sum {
        tiphys_objects::Sum { size: self.size, crc: self.crc }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitEntry {
    pub id: u64,
    /// When its newest part was committed; retention counts from here, because a
    /// record's own time can be anything.
    pub created: i64,
    /// When its oldest part was, if that was earlier; absent where earlier versions merged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_created: Option<i64>,
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
    /// A later version wrote what it carries, and the manifest was put together without it: nothing
    /// else is known of it, and its records are read again from where they came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later: bool,
}

impl SplitEntry {
    /// It and what it was made of.
    pub fn family(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ancestors.iter().copied().chain([(self.id, self.id)])
    }

    /// When its oldest part was committed.
    pub fn oldest(&self) -> i64 {
        self.oldest_created.map_or(self.created, |oldest| oldest.min(self.created))
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

/// What of the manifest a directory has.
pub enum Loaded {
    /// All of it; a directory without splits has a new one.
    Whole(Manifest),
    /// One of the two is missing, damaged or older: write both before anything else changes.
    Half(Manifest),
    /// There are splits and nothing that lists them.
    Lost,
}

impl Manifest {
    /// The manifest in a directory. What can't be read is put aside under its name and
    /// `.damaged`.
    ///
    /// # Errors
    ///
    /// [`IndexError::NewerManifest`], and then all is as it was; or a disk that fails.
    pub fn load(directory: &Path) -> Result<Loaded, IndexError> {
        let (file, copy) = (Found::read(directory, NAME)?, Found::read(directory, COPY)?);
        file.check_version(&copy)?;
        copy.check_version(&file)?;
        Ok(match (file.or_put_aside(directory)?, copy.or_put_aside(directory)?) {
            (Some(manifest), Some(copy)) if manifest.generation == copy.generation => Loaded::Whole(manifest),
            // The copy is written first: it may be of a commit that a crash cut off.
            (Some(manifest), _) => Loaded::Half(manifest),
            (None, Some(copy)) => Loaded::Half(copy),
            // Both were put aside, and no other could be written since.
            (None, None) if super::commit::numbered(&directory.join("splits"))?.is_empty() => {
                Loaded::Half(Self::default())
            }
            (None, None) => Loaded::Lost,
        })
    }

    /// Whether a manifest in the directory may list the split.
    pub(super) fn may_name(directory: &Path, id: u64) -> bool {
        let names = |manifest: Self| manifest.splits.iter().any(|split| split.id == id);
        [NAME, COPY].into_iter().any(|name| match fs::read(directory.join(name)) {
            Ok(bytes) => FORM.read(&bytes).ok().is_none_or(names),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        })
    }

    /// Where the clock stood that records age by, if there is anything that tells.
    pub fn stood(&self, wall: i64) -> Option<i64> {
        match self.aged {
            0 => self.splits.iter().map(|split| split.created).filter(|created| *created <= wall).max(),
            aged => Some(aged),
        }
    }

    /// Puts it in the place of the one before; durable when this returns.
    pub fn store(&self, directory: &Path) -> Result<(), IndexError> {
        let bytes = FORM.write(self).map_err(IndexError::Manifest)?;
        replace_all(directory, &[COPY, NAME], &bytes)
    }
}

/// One of the two files.
struct Found {
    name: &'static str,
    path: PathBuf,
    bytes: Vec<u8>,
    /// `None` when there is none.
    manifest: Option<Result<Manifest, BadFile>>,
}

impl Found {
    fn read(directory: &Path, name: &'static str) -> Result<Self, IndexError> {
        let path = directory.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Self { name, path, manifest: Some(FORM.read(&bytes)), bytes }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { name, path, manifest: None, bytes: Vec::new() })
            }
            Err(error) => Err(IndexError::io("can't read", &path)(error)),
        }
    }

    /// Whether a later version wrote it. If the other one says the same in this version, the number
    /// is damaged.
    fn check_version(&self, other: &Self) -> Result<(), IndexError> {
        let Some(Err(BadFile::Version(version))) = self.manifest else { return Ok(()) };
        let is_damaged =
            matches!(other.manifest, Some(Ok(_))) && Form::is_same_content(&self.bytes, &other.bytes);
        if version < FORM.version || is_damaged {
            return Ok(());
        }
        Err(IndexError::NewerManifest { path: self.path.clone(), version, known: FORM.version })
    }

    fn or_put_aside(self, directory: &Path) -> Result<Option<Manifest>, IndexError> {
        match self.manifest {
            None => Ok(None),
            Some(Ok(manifest)) => Ok(Some(manifest)),
            Some(Err(why)) => {
                let aside = put_aside(directory, self.name)?;
                tracing::error!(path = %aside.display(), %why, "manifest of the logs can't be read and was put aside");
                Ok(None)
            }
        }
    }
}

/// Gives a file that can't be read the name `<name>.damaged`, for who wants to know what became
/// of it.
pub(super) fn put_aside(directory: &Path, name: &str) -> Result<PathBuf, IndexError> {
    let (path, aside) = (directory.join(name), directory.join(format!("{name}.damaged")));
    fs::rename(&path, &aside).map_err(IndexError::io("can't put aside", &path))?;
    Ok(aside)
}

/// Writes a file so that a crash leaves the old or the new content, never a mix.
pub fn replace(directory: &Path, name: &str, content: &[u8]) -> Result<(), IndexError> {
    replace_all(directory, &[name], content)
}

/// Several of the same content, one after the other. A full disk leaves all of them as they were.
pub(super) fn replace_all(directory: &Path, names: &[&str], content: &[u8]) -> Result<(), IndexError> {
    let fresh = |name: &str| directory.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        // Before anything is renamed: there may be no descriptor left for it.
        let folder = File::open(directory)?;
        for name in names {
            let mut file = File::create(fresh(name))?;
            file.write_all(content)?;
            file.sync_all()?;
        }
        for name in names {
            fs::rename(fresh(name), directory.join(name))?;
        }
        folder.sync_all()
    };
    let path = directory.join(names.last().copied().unwrap_or_default());
    write()
        .inspect_err(|_| {
            // Half a file is in nobody's way but takes room that may be what is missing.
            names.iter().for_each(|name| drop(fs::remove_file(fresh(name))));
        })
        .map_err(IndexError::io("can't write", &path))
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

    #[test]
    fn an_entry_of_before_it_told_its_oldest_part_is_read_and_written_as_it_was() {
        let old =
            r#"{"id":3,"created":70,"records":1,"raw_bytes":2,"disk_bytes":3,"files":[],"ancestors":[]}"#;
        let entry: SplitEntry = serde_json::from_str(old).expect("an entry");
        assert_eq!((entry.oldest_created, entry.oldest()), (None, 70));
        assert_eq!(serde_json::to_string(&entry).expect("JSON"), old);
        let merged = SplitEntry { oldest_created: Some(50), ..entry };
        let json = serde_json::to_string(&merged).expect("JSON");
        let again: SplitEntry = serde_json::from_str(&json).expect("an entry");
        assert_eq!((&again, again.oldest()), (&merged, 50));
    }
}
