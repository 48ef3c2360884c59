//! What is known of Pods and namespaces: tables that outlive them, so that records
//! of a deleted Pod are still found by its labels, and what a namespace said of
//! its logs holds from the first record after a restart.
//!
//! A table is there twice, under two names, in the form of [`super::sealed`]: one that is damaged
//! costs nothing. Earlier versions had it once, as bare JSON. One of a later version is no damage:
//! it stays beside, as `pods.json.newer`, and what the cluster still has is learnt anew.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    IndexError,
    manifest::{put_aside, replace_all},
    sealed::{BadFile, Form},
};
use crate::{policy::Annotations, record::Labels};

const FORM: Form = Form { kind: "tiphys-logs-table", version: 1 };

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
    /// The same once more.
    const COPY: &'static str;
    /// The cluster doesn't have it any more.
    fn is_gone(&self) -> bool;
    fn set_gone(&mut self);
}

impl Meta for PodMeta {
    const FILE: &'static str = "pods.json";
    const COPY: &'static str = "pods.json.copy";

    fn is_gone(&self) -> bool {
        self.gone
    }

    fn set_gone(&mut self) {
        self.gone = true;
    }
}

impl Meta for NamespaceMeta {
    const FILE: &'static str = "namespaces.json";
    const COPY: &'static str = "namespaces.json.copy";

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
    /// How many of its files were damaged when it was opened.
    damaged: u64,
    /// That it began empty because its files can't be read, as a sentence.
    lost: Option<String>,
}

type ByKey<M> = HashMap<String, Arc<M>>;

struct Entries<M> {
    by_key: ByKey<M>,
    changed: bool,
    /// Nobody asked for them when it was looked the last time.
    unread: HashSet<String>,
}

impl<M> Default for Entries<M> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), changed: false, unread: HashSet::new() }
    }
}

/// What a file of a table is.
#[derive(PartialEq)]
enum Found<M> {
    Nothing,
    Damaged,
    /// Of a later version.
    Newer,
    /// Of a version that had no checksums.
    Bare(ByKey<M>),
    Sealed(ByKey<M>),
}

impl<M: Meta> Found<M> {
    /// What can't be read is put aside under its name and `.damaged`, or `.newer`.
    fn open(directory: &Path, name: &str) -> Result<Self, IndexError> {
        let path = directory.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nothing),
            Err(error) => return Err(IndexError::io("can't read", &path)(error)),
        };
        let read = match bytes.first() {
            Some(b'{') => serde_json::from_slice(&bytes).map(Self::Bare).map_err(|_| BadFile::Damaged),
            _ => FORM.read(&bytes).map(Self::Sealed),
        };
        match read {
            Ok(found) => Ok(found),
            Err(BadFile::Version(_)) => {
                let aside = directory.join(format!("{name}.newer"));
                fs::rename(&path, &aside).map_err(IndexError::io("can't put aside", &path))?;
                tracing::error!(path = %aside.display(), "table of the logs is of a later version");
                Ok(Self::Newer)
            }
            Err(why) => {
                let aside = put_aside(directory, name)?;
                tracing::error!(path = %aside.display(), %why, "table of the logs can't be read and was put aside");
                Ok(Self::Damaged)
            }
        }
    }
}

impl<M: Meta> Table<M> {
    /// One that is never written.
    pub fn in_memory() -> Self {
        Self { directory: PathBuf::new(), entries: RwLock::default(), damaged: 0, lost: None }
    }

    /// The table in a directory. Where one of its files can't be read the other one serves;
    /// without both it begins empty: labels also stand in the splits.
    pub fn open(directory: &Path) -> Result<Self, IndexError> {
        let (file, copy) = (Found::open(directory, M::FILE)?, Found::open(directory, M::COPY)?);
        let damaged = [&file, &copy].iter().filter(|found| matches!(found, Found::Damaged)).count() as u64;
        // Else both are written with the next commit, whatever it brings.
        let is_whole = !matches!(file, Found::Bare(_)) && file == copy;
        let mut lost = None;
        let by_key = match (file, copy) {
            // The copy is written first: it may be of a commit that a crash cut off.
            (Found::Sealed(by_key) | Found::Bare(by_key), _)
            | (_, Found::Sealed(by_key) | Found::Bare(by_key)) => by_key,
            (Found::Nothing, Found::Nothing) => HashMap::new(),
            (Found::Newer, _) | (_, Found::Newer) => {
                lost = Some(format!(
                    "{} of {} is of a later version and stays beside as .newer: labels and annotations of what the cluster has no more are missing",
                    M::FILE,
                    directory.display()
                ));
                HashMap::new()
            }
            (Found::Damaged, _) | (_, Found::Damaged) => {
                lost = Some(format!(
                    "{} of {} is damaged and there is no copy: labels and annotations of what the cluster has no more are missing",
                    M::FILE,
                    directory.display()
                ));
                HashMap::new()
            }
        };
        let entries = RwLock::new(Entries { by_key, changed: !is_whole, ..Entries::default() });
        Ok(Self { directory: directory.to_owned(), entries, damaged, lost })
    }

    /// How many of its files were damaged when it was opened.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// That it began empty because its files can't be read, as a sentence.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
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
        let bytes = {
            let mut entries = self.entries.write();
            if !std::mem::take(&mut entries.changed) {
                return Ok(());
            }
            FORM.write(&entries.by_key).map_err(IndexError::Manifest)?
        };
        let stored = replace_all(&self.directory, &[M::COPY, M::FILE], &bytes);
        if stored.is_err() {
            self.entries.write().changed = true;
        }
        stored
    }
}
