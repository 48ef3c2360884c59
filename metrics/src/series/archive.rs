//! The archive: sealed days of series in an object store, to be asked when they are here no more.
//!
//! ```text
//! <place>/<cluster>/series/<store>/index                        which blocks, with which metrics
//!                                  <start>-<end>-<crc>.parquet  as they were here
//!                                  <...>.damaged                set aside
//!
//! keep   sealed block ─> copied ─> read back ─> named by the index ─> gone from here when it is old
//! ask    indexes of all stores ─> objects that may have it ─> footer, row groups, pages, by range
//! ```
//!
//! Each server's store has a folder and an index of its own, which it alone writes; what no index
//! names is not there. A server asks its own, and those of others for the days of which it has
//! nothing. What it must not do: fail a question because the archive can't be reached.

mod cache;
mod index;
mod keep;
mod reach;
mod replaced;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use tiphys_objects::Objects;
use tokio::runtime::Handle;

use super::{
    Matcher, Missing,
    block::{Block, BlockError},
};
use cache::Cache;
use index::{Archived, Index};
use reach::{Reach, Remote, UNREACHED};
use replaced::Leaving;

pub use keep::{ArchiveCounts, ArchiveError};
#[cfg(test)]
pub use replaced::KEPT;

/// Of the memory for what was read, a part is for what is known of open blocks.
const OPENED: usize = 4;
/// A day that could not be made coarser is tried again after so long.
pub const AGAIN: Duration = Duration::from_secs(3600);

/// Where and how long series are archived.
#[derive(Debug, Clone)]
pub struct ArchiveConfig {
    /// Below it each store has a folder.
    pub objects: Objects,
    /// What is archived and older is not kept here.
    pub local: Duration,
    /// What is older goes.
    pub keep: Duration,
    /// Bytes of all stores; beyond them the oldest go.
    pub keep_bytes: u64,
    /// Bytes of memory for what was read lately.
    pub cache_bytes: usize,
    /// A read that takes longer is of an archive that can't be reached.
    pub deadline: Duration,
}

/// The archive, as one store writes and asks it.
pub struct Archive {
    config: ArchiveConfig,
    /// The name of this store.
    own: String,
    reach: Arc<Reach>,
    opened: Cache<Arc<str>, Arc<Block>>,
    known: RwLock<Known>,
    /// One writes the index at a time.
    writing: tokio::sync::Mutex<()>,
    pub counts: ArchiveCounts,
}

/// What is known of it.
#[derive(Default)]
struct Known {
    /// Whether the indexes were read once.
    read: bool,
    indexes: BTreeMap<String, Index>,
    /// Stores whose index can't be used, and why.
    faults: BTreeMap<String, String>,
    /// Objects that are not asked though an index names them: damaged, or deleted.
    left: BTreeSet<String>,
    /// Damaged as it seems, and why, until that is looked at.
    suspects: Vec<(Entry, String)>,
    /// Objects that were read wrongly though they are as they were written, of which the log has told: as
    /// long as an index names them as they are.
    misread: BTreeSet<String>,
    /// Objects of this store that its index names no more, of which somebody may still read.
    replaced: Leaving,
    /// Objects of days that could not be made coarser, and when they are tried again: as long as the index
    /// names them as they are.
    put_off: BTreeMap<String, Instant>,
}

/// A block that a question reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub range: Range<i64>,
    store: String,
    block: Archived,
}

impl Entry {
    fn object(&self) -> Arc<str> {
        format!("{}/{}", self.store, self.block.name()).into()
    }

    /// What an answer calls it.
    pub fn path(&self) -> PathBuf {
        Path::new("archive").join(&self.store).join(self.block.name())
    }
}

impl Archive {
    /// Nothing is read yet. Must be called on the server's runtime.
    pub fn new(config: ArchiveConfig, own: String) -> Self {
        let for_opened = config.cache_bytes / OPENED;
        let reach = Reach::new(&config, Handle::current(), config.cache_bytes - for_opened);
        Self {
            config,
            own,
            reach,
            opened: Cache::new(for_opened),
            known: RwLock::default(),
            writing: tokio::sync::Mutex::default(),
            counts: ArchiveCounts::default(),
        }
    }

    /// The blocks to read for a range, of which `here` is here already. `since` is where what is
    /// here begins. What can't be known is told as missing.
    pub fn chosen(
        &self,
        matchers: &[Matcher],
        range: &Range<i64>,
        here: &[Range<i64>],
        since: Option<i64>,
        missing: &Missing,
    ) -> Vec<Entry> {
        let known = self.known.read();
        let older = range.start..since.map_or(range.end, |since| range.end.min(since));
        if !older.is_empty() && !known.read {
            missing.add(UNREACHED, &older);
        }
        if !older.is_empty() {
            known.faults.iter().for_each(|(store, why)| {
                missing.add(&format!("the archive's index of {store} can't be used: {why}"), &older);
            });
        }
        let own = known.indexes.get(&self.own);
        let within =
            |inner: &Range<i64>, outer: &Range<i64>| outer.start <= inner.start && inner.end <= outer.end;
        let mut chosen: Vec<Entry> = Vec::new();
        for (store, index) in &known.indexes {
            for block in index.chosen(matchers, range) {
                let is_own = *store == self.own;
                let is_here = here.iter().any(|here| within(&block.range, here))
                    || !is_own
                        && own.is_some_and(|own| {
                            own.blocks().iter().any(|one| within(&block.range, &one.range))
                        });
                if !is_here {
                    let entry =
                        Entry { range: block.range.clone(), store: store.clone(), block: block.clone() };
                    chosen.push(entry);
                }
            }
        }
        chosen.retain(|entry| !known.left.contains(&*entry.object()));
        chosen.sort_by_key(|entry| entry.range.start);
        chosen
    }

    /// The oldest of the own blocks that have ended by then and are finer than a step, both milliseconds,
    /// but for those that are put off.
    pub fn finer(&self, step: i64, before: i64, now: Instant) -> Option<Entry> {
        let known = self.known.read();
        let own = known.indexes.get(&self.own)?.blocks().iter();
        let due = own.filter(|block| block.resolution < step && block.range.end <= before);
        let entry = |block: &Archived| Entry {
            range: block.range.clone(),
            store: self.own.clone(),
            block: block.clone(),
        };
        due.map(entry).find(|entry| {
            let object = entry.object();
            let is_put_off = known.put_off.get(&*object).is_some_and(|again| *again > now);
            !is_put_off && !known.left.contains(&*object)
        })
    }

    /// A day can't be made coarser now: the others go on, and it is tried again later. It is counted and
    /// logged the first time.
    pub fn put_off(&self, entry: &Entry, why: &ArchiveError, now: Instant) {
        let name = entry.object().to_string();
        let is_known = self.known.write().put_off.insert(name.clone(), now + AGAIN).is_some();
        if !is_known {
            self.counts.put_off.inc();
            let error = chain(why);
            tracing::error!(
                name,
                error,
                "an archived day of series can't be made coarser; it is tried again later"
            );
        }
    }

    /// Reads at once what opening these will need. Blocks the thread.
    pub fn prepare(&self, entries: &[Entry]) {
        let closed = entries.iter().filter(|entry| self.opened.get(&entry.object()).is_none());
        self.reach.prepare(closed.map(|entry| (entry.object(), entry.block.size)).collect());
    }

    /// Opens a block. Blocks the thread.
    ///
    /// # Errors
    /// It can't be reached, or is damaged.
    pub fn open(&self, entry: &Entry) -> Result<Arc<Block>, BlockError> {
        let name = entry.object();
        if let Some(block) = self.opened.get(&name) {
            return Ok(block);
        }
        let remote = Remote::new(self.reach.clone(), name.clone(), entry.block.size);
        let block =
            Block::open_elsewhere(&entry.path(), entry.range.clone(), entry.block.size, Arc::new(remote))?;
        let block = Arc::new(block);
        self.opened.put(name, block.clone(), block.memory());
        Ok(block)
    }

    /// A block that answered wrongly answers no more. The next round sets it aside, unless only
    /// what was read of it was wrong.
    pub fn give_up(&self, entry: &Entry, why: &str) {
        let name = entry.object();
        let mut known = self.known.write();
        if known.left.insert(name.to_string()) {
            known.suspects.push((entry.clone(), why.to_owned()));
            // One that is whole is read wrongly each time, which was told.
            let is_known = known.misread.contains(&*name);
            drop(known);
            if !is_known {
                tracing::error!(name = &*name, why, "a block of the archive of series is damaged");
            }
            self.opened.forget(|key| *key == name);
            self.reach.forget(&name);
        }
    }

    /// Whether there is something to do for a round.
    pub fn is_due(&self, sealed: &[Arc<Block>], now: i64) -> bool {
        !self.known.read().suspects.is_empty() || sealed.iter().any(|block| self.wants(block, now))
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
