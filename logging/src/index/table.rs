//! What is known of Pods and namespaces: tables that outlive them, so that records
//! of a deleted Pod are still found by its labels, and what a namespace said of
//! its logs holds from the first record after a restart.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{IndexError, manifest::replace};
use crate::{policy::Annotations, record::Labels};

/// All Pods whose records there are, by UID.
pub type PodTable = Table<PodMeta>;
/// All namespaces whose records there are, by name.
pub type NamespaceTable = Table<NamespaceMeta>;

/// One Pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodMeta {
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub labels: Labels,
    /// `Deployment/web`, `ReplicaSet/web-7f9c`, ...; empty when it has none.
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub node: String,
    /// What it says of its logs.
    #[serde(default)]
    pub annotations: Annotations,
    /// The cluster doesn't have it any more.
    #[serde(default)]
    pub gone: bool,
}

/// One namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceMeta {
    /// What it says of its logs.
    #[serde(default)]
    pub annotations: Annotations,
    /// The cluster doesn't have it any more.
    #[serde(default)]
    pub gone: bool,
}

/// What a [`Table`] holds.
pub trait Meta: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The table's file.
    const FILE: &'static str;
    /// The cluster doesn't have it any more.
    fn is_gone(&self) -> bool;
    fn set_gone(&mut self);
}

impl Meta for PodMeta {
    const FILE: &'static str = "pods.json";

    fn is_gone(&self) -> bool {
        self.gone
    }

    fn set_gone(&mut self) {
        self.gone = true;
    }
}

impl Meta for NamespaceMeta {
    const FILE: &'static str = "namespaces.json";

    fn is_gone(&self) -> bool {
        self.gone
    }

    fn set_gone(&mut self) {
        self.gone = true;
    }
}

/// What is known of some objects, by name or UID.
pub struct Table<M> {
    directory: PathBuf,
    entries: RwLock<Entries<M>>,
}

struct Entries<M> {
    by_key: HashMap<String, Arc<M>>,
    changed: bool,
    /// Nobody asked for them when it was looked the last time.
    unread: HashSet<String>,
}

impl<M> Default for Entries<M> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), changed: false, unread: HashSet::new() }
    }
}

impl<M: Meta> Table<M> {
    /// One that is never written.
    pub fn in_memory() -> Self {
        Self { directory: PathBuf::new(), entries: RwLock::default() }
    }

    /// The table in a directory. One that can't be read begins empty: labels
    /// also stand in the splits.
    pub fn open(directory: &Path) -> Result<Self, IndexError> {
        let path = directory.join(M::FILE);
        let by_key = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(%error, path = %path.display(), "table is damaged and begins empty");
                HashMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(IndexError::io("can't read", &path)(error)),
        };
        let entries = RwLock::new(Entries { by_key, ..Entries::default() });
        Ok(Self { directory: directory.to_owned(), entries })
    }

    pub fn get(&self, key: &str) -> Option<Arc<M>> {
        self.entries.read().by_key.get(key).cloned()
    }

    /// What is known now.
    pub fn update(&self, key: &str, meta: M) {
        let mut entries = self.entries.write();
        entries.unread.remove(key);
        if entries.by_key.get(key).is_none_or(|known| **known != meta) {
            entries.by_key.insert(key.to_owned(), Arc::new(meta));
            entries.changed = true;
        }
    }

    /// These are all that the cluster has.
    pub fn mark_gone_except(&self, live: &HashSet<String>) {
        let mut entries = self.entries.write();
        let Entries { by_key, changed, .. } = &mut *entries;
        for (_, meta) in by_key.iter_mut().filter(|(key, meta)| !meta.is_gone() && !live.contains(*key)) {
            Arc::make_mut(meta).set_gone();
            *changed = true;
        }
    }

    /// Forgets what is gone and has no records now and had none the last time: who looks began
    /// to look long ago, and what was told since is of lines that are still to be read.
    pub fn retain(&self, with_records: &HashSet<String>) {
        let mut entries = self.entries.write();
        let Entries { by_key, changed, unread } = &mut *entries;
        let is_unread = |key: &String, meta: &Arc<M>| meta.is_gone() && !with_records.contains(key);
        let now: HashSet<String> =
            by_key.iter().filter(|(key, meta)| is_unread(key, meta)).map(|(key, _)| key.clone()).collect();
        let before = by_key.len();
        by_key.retain(|key, _| !(now.contains(key) && unread.contains(key)));
        *changed |= by_key.len() != before;
        *unread = now;
        unread.retain(|key| by_key.contains_key(key));
    }

    /// Writes the table, if it changed.
    pub fn store(&self) -> Result<(), IndexError> {
        let text = {
            let mut entries = self.entries.write();
            if !std::mem::take(&mut entries.changed) {
                return Ok(());
            }
            serde_json::to_vec(&entries.by_key).map_err(IndexError::Manifest)?
        };
        let stored = replace(&self.directory, M::FILE, &text);
        if stored.is_err() {
            self.entries.write().changed = true;
        }
        stored
    }
}
