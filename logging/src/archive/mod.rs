//! The archive: sealed splits of all nodes in an object store, to be searched when
//! the node has them no more, or is no more.
//!
//! ```text
//! pull     the server takes each node's splits as they are sealed (collectors have no credentials):
//!          files, checked -> index of the node, replaced at once -> what became another split is deleted
//! catalog  the indexes of all nodes
//! ask      a question to a node's archived splits: fetched into a bounded cache, and
//!          answered by the handlers that answer on a node
//! ```
//!
//! ```text
//! <place>/<cluster>/nodes/<node>/index                      see index
//!                                <store>-<split>/blocks     as on the node
//!                                <store>-<split>/words/...
//!                   orders/...                            see orders
//! ```
//!
//! Of several servers one pulls, and purges what retention or an order takes. A crash at any moment leaves indexes that can be
//! read and name only what is there; what no index names is deleted by the next pull.
//!
//! No record counts twice: a node's answer names the splits whose records it has (also
//! those that were merged into others), and only the others are asked for here.

mod ask;
mod cache;
mod catalog;
mod index;
mod keeps;
mod orders;
pub(crate) mod page;
mod pull;
mod purge;
mod sealed;
pub mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tiphys_lifecycle::Tasks;
use tiphys_telemetry::Component;

pub use ask::{Asked, Moment, Wanted};
pub use index::{ArchivedSplit, NodeIndex};
use tiphys_objects::{Objects, ObjectsError};

use self::{cache::Cache, catalog::Catalog, orders::Order};
use crate::{
    index::{Clock, Deletion, IndexError, Keep, Retention},
    serve, time,
};

/// The archive of a cluster. Clones share it.
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    catalog: Arc<Catalog>,
    cache: Arc<Cache>,
    shared: serve::Shared,
    retention: Retention,
    keeps: Keeps,
    /// What is deleted is deleted by it; made when there is a split.
    clock: OnceLock<Clock>,
    /// Held while a folder is there that no index names yet, or while such folders are deleted.
    unnamed: tokio::sync::Mutex<()>,
}

/// All namespaces that there are, and what they say of how much they keep.
pub type Keeps = Box<dyn Fn() -> BTreeMap<String, Keep> + Send + Sync>;

/// What an archive is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tells the cluster from others in the same place.
    pub cluster: String,
    /// A folder of the server's own for splits that are searched; it is emptied.
    pub cache: PathBuf,
    /// Bytes that may be in it.
    pub cache_bytes: u64,
    /// What is kept of all nodes.
    pub retention: Retention,
}

/// Thirty days and 100 GiB of all nodes.
pub const RETENTION: Retention = Retention { age: Duration::from_secs(30 * 86_400), bytes: 100 << 30 };

/// Something about the archive failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the log archive can't be reached")]
    Store(#[from] object_store::Error),
    #[error("folder `{path}` of the log archive can't be used")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{name}` in the log archive is not what was written")]
    Other { name: String },
    #[error("the log archive's index of {node} can't be used: {fault}")]
    Index { node: String, fault: String },
    #[error("the log archive's place `{0}` can't be used")]
    Place(String),
    #[error("a split of the log archive can't be read")]
    Split(#[from] IndexError),
    #[error("{0}")]
    Collector(String),
    #[error("a split can't be fetched: {0}")]
    Fetch(String),
    #[error("they are still being fetched: ask again")]
    Slow,
    #[error("the server is stopping")]
    Stopping,
}

impl From<ObjectsError> for ArchiveError {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::Store(error) => Self::Store(error),
            ObjectsError::Folder { path, source } => Self::Folder { path, source },
            ObjectsError::Other { name } => Self::Other { name },
            ObjectsError::Place(place) => Self::Place(place),
        }
    }
}

impl Archive {
    /// Over an object store; nothing is read yet.
    pub fn new(
        objects: &Objects,
        config: &Config,
        keeps: Keeps,
        tasks: &Tasks,
    ) -> Result<Self, ArchiveError> {
        Ok(Self {
            inner: Arc::new(Inner {
                catalog: Arc::new(Catalog::new(objects.below(&config.cluster), tasks)),
                cache: Arc::new(Cache::new(&config.cache, config.cache_bytes, tasks)?),
                shared: serve::Shared::new(tasks),
                retention: config.retention,
                keeps,
                clock: OnceLock::new(),
                unnamed: tokio::sync::Mutex::default(),
            }),
        })
    }
}

impl Archive {
    /// What it tells of itself.
    pub fn component(&self) -> Component {
        self.inner.shared.counts.component.clone()
    }

    /// Hides a namespace's records of an earlier time at once, and takes them out of the archive;
    /// nodes that wait are told when they are back.
    pub async fn delete_records(
        &self,
        namespace: &str,
        before: i64,
        waiting: BTreeSet<String>,
    ) -> Result<(), ArchiveError> {
        let deletion = Deletion { namespace: namespace.to_owned(), before, ordered: time::now() };
        self.inner.catalog.put_order(Order::new(deletion, waiting)).await
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
