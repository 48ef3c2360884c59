//! What the archive is told of the splits here.
//!
//! The server pulls: it asks for the list and takes the files it lacks. Nothing here
//! knows what it has. Each split names those it was made of, so that the archive sees
//! what it may let go of for it; and each answer to a question names all splits whose
//! records are here, so that the archive is asked for the others.

use std::{fs::File, path::Path, sync::Arc};

use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::Mode,
};
use tokio::sync::watch;

use super::{IndexError, Store, purge::parts, sum};
use crate::archive::wire::{SplitInfo, SplitList};

/// Whose records a store has.
#[derive(Clone)]
pub struct Holds {
    /// Names the store.
    pub store: String,
    /// Numbers of splits, first to last of each run, ascending.
    pub splits: Arc<Vec<(u64, u64)>>,
    /// Counts how often records went for good.
    pub departures: u64,
}

impl Store {
    /// Turns when a split comes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// All splits at this moment. Blocks.
    pub fn listing(&self) -> Result<SplitList, IndexError> {
        let version = *self.changed.borrow();
        let manifest = self.manifest.lock().clone();
        let open = self.state.read().splits.clone();
        let mut splits = Vec::new();
        for entry in manifest.splits {
            // Gone since the line above: the version is another by now.
            let Some(split) = open.iter().find(|split| split.id == entry.id) else { continue };
            let heads = || split.blocks().iter().map(|block| &block.head);
            let path = self.split_path(entry.id);
            let files = match entry.files.is_empty() {
                false => entry.files,
                true => {
                    let mut sums = sum::split(&path).map_err(IndexError::io("can't read", &path))?;
                    sums.retain(|file| is_file_name(&file.name));
                    sums
                }
            };
            splits.push(SplitInfo {
                id: entry.id,
                created: entry.created,
                records: entry.records,
                raw_bytes: entry.raw_bytes,
                min_time: heads().map(|head| head.min_time).min().unwrap_or_default(),
                max_time: heads().map(|head| head.max_time).max().unwrap_or_default(),
                namespaces: parts(split),
                ancestors: entry.ancestors,
                files,
            });
        }
        Ok(SplitList { version, store: manifest.store, splits })
    }

    /// Whose records are here, at this moment.
    pub fn holds(&self) -> Holds {
        let state = self.state.read();
        Holds { store: state.store.clone(), splits: state.holds.clone(), departures: state.departures }
    }

    /// A file of a split, by its name in the list; `None` when there is no such file.
    pub fn split_file(&self, id: u64, name: &str) -> Result<Option<File>, IndexError> {
        let known = self.manifest.lock().splits.iter().any(|entry| entry.id == id);
        if !known || !is_file_name(name) {
            return Ok(None);
        }
        let path = self.split_path(id);
        match open_below(&path, name) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(IndexError::io("can't open", &path.join(name))(error)),
        }
    }
}

/// Whether a split can have a file of this name: `blocks`, or `words/` and one more name.
pub fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let inner = name.strip_prefix("words/");
    name == "blocks"
        || inner.is_some_and(|name| {
            (1..=128).contains(&name.len())
                && name.chars().all(plain)
                && !name.starts_with("..")
                && name != "."
        })
}

/// No link leads out of the split, or anywhere.
fn open_below(folder: &Path, name: &str) -> std::io::Result<File> {
    let folder = File::open(folder)?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .mode(Mode::empty())
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = File::from(openat2(&folder, name, how)?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::ErrorKind::NotFound.into()),
    }
}
