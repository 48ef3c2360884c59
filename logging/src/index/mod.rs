//! What was read, in memory and on disk.
//!
//! ```text
//! append -> open block of the stream          searchable at once, plain
//!        -> sealed block (4,096 records, 1 MiB, or commit)   compressed, in memory
//!        -> commit: split = file of blocks + tantivy index over their words;
//!           then one atomic manifest: the list of splits and where reading stands
//!        -> merge of small splits, retention by age and size, purge of what is to be gone
//! ```
//!
//! The manifest is the only truth: a split that it doesn't list doesn't exist,
//! and a checkpoint in it covers exactly the records of the splits it lists. So a
//! crash at any moment loses nothing that the log files can't give again, and
//! doubles nothing. Each split carries what of it is needed to put it together again,
//! should it and its copy be lost.
//!
//! Bounds: open blocks [`MAX_OPEN_BYTES`], sealed blocks [`MAX_SEALED_BYTES`] of
//! raw text; [`Store::is_full`] asks the caller to stop reading.

mod archived;
mod clock;
mod commit;
mod floors;
mod manifest;
mod merge;
mod pack;
mod publish;
mod purge;
mod resume;
mod retention;
pub(crate) mod sealed;
mod split;
mod store;
mod sum;
mod table;
mod unread;
mod upkeep;
mod words;

pub(crate) use clock::Clock;
pub use commit::Pending;
pub use floors::{Floors, Keep};
pub(crate) use floors::{Purge, Weight, purge};
pub(crate) use manifest::joined;
pub use manifest::{Deletion, FileSum};
pub use publish::{Holds, is_file_name};
pub(crate) use purge::rewrite;
pub use retention::Retention;
pub(crate) use retention::is_set;
pub use split::{BlockEntry, Split, SplitWriter, StreamEntry};
pub use store::{Snapshot, Store};
pub use table::{NamespaceMeta, NamespaceTable, PodMeta, PodTable, Table};

/// Raw bytes in open blocks; beyond it the blocks are sealed early.
pub const MAX_OPEN_BYTES: usize = 8 << 20;
/// Raw bytes in sealed blocks that start a commit.
pub const SPLIT_BYTES: usize = 64 << 20;
/// Raw bytes in memory at which reading stops until a commit is through.
pub const MAX_SEALED_BYTES: usize = 2 * SPLIT_BYTES;

/// Index and disk failures.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("{what} `{path}`")]
    Io {
        what: &'static str,
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("words of a split can't be indexed or read")]
    Words(#[from] tantivy::TantivyError),
    /// A file is not what was written.
    #[error("split {split} is damaged: {what}")]
    Damaged { split: u64, what: String },
    /// The disk or the system doesn't give what was written, which may pass.
    #[error("split {split} can't be read now, which is tried again: {what}")]
    Unread { split: u64, what: String },
    /// It stays where it is, for who can read it.
    #[error("split {split} is newer than this tiphys: it has {what}, which a later release reads")]
    Newer { split: u64, what: String },
    /// Nothing of the index is touched.
    #[error(
        "manifest `{path}` is of version {version}, and this tiphys reads {known}: start the later tiphys \
         that wrote it, or move the folder away and begin without the logs in it"
    )]
    NewerManifest { path: std::path::PathBuf, version: u32, known: u32 },
    #[error("index `{0}` is used by another collector: stop it first")]
    InUse(std::path::PathBuf),
    #[error("manifest can't be written")]
    Manifest(#[source] serde_json::Error),
}

impl IndexError {
    pub(crate) fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod full_tests;
#[cfg(test)]
mod idle_tests;
#[cfg(test)]
mod loss_tests;
#[cfg(test)]
mod newer_tests;
#[cfg(test)]
pub(crate) mod old_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod unread_tests;
