//! What is known of Pods: a table that outlives them, so that records of a
//! deleted Pod are still found by its labels.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::{IndexError, manifest::replace};
use crate::record::Labels;

const NAME: &str = "pods.json";

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
    /// The cluster doesn't have it any more.
    #[serde(default)]
    pub gone: bool,
}

/// All Pods whose records there are, by UID.
pub struct PodTable {
    directory: PathBuf,
    pods: RwLock<Pods>,
}

#[derive(Default)]
struct Pods {
    by_uid: HashMap<String, Arc<PodMeta>>,
    changed: bool,
}

impl PodTable {
    /// The table in a directory. One that can't be read begins empty: labels
    /// also stand in the splits.
    pub fn open(directory: &Path) -> Result<Self, IndexError> {
        let path = directory.join(NAME);
        let by_uid = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(%error, "table of Pods is damaged and begins empty");
                HashMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(IndexError::io("can't read", &path)(error)),
        };
        Ok(Self { directory: directory.to_owned(), pods: RwLock::new(Pods { by_uid, changed: false }) })
    }

    pub fn get(&self, uid: &str) -> Option<Arc<PodMeta>> {
        self.pods.read().by_uid.get(uid).cloned()
    }

    /// What is known of the Pod now.
    pub fn update(&self, uid: &str, meta: PodMeta) {
        let mut pods = self.pods.write();
        if pods.by_uid.get(uid).is_none_or(|known| **known != meta) {
            pods.by_uid.insert(uid.to_owned(), Arc::new(meta));
            pods.changed = true;
        }
    }

    /// These are all Pods that the cluster has on the node.
    pub fn mark_gone_except(&self, live: &HashSet<String>) {
        let mut pods = self.pods.write();
        let Pods { by_uid, changed } = &mut *pods;
        for (_, meta) in by_uid.iter_mut().filter(|(uid, meta)| !meta.gone && !live.contains(*uid)) {
            *meta = Arc::new(PodMeta { gone: true, ..(**meta).clone() });
            *changed = true;
        }
    }

    /// Forgets Pods that are gone and have no records.
    pub fn retain(&self, with_records: &HashSet<String>) {
        let mut pods = self.pods.write();
        let before = pods.by_uid.len();
        pods.by_uid.retain(|uid, meta| !meta.gone || with_records.contains(uid));
        pods.changed |= pods.by_uid.len() != before;
    }

    /// Writes the table, if it changed.
    pub fn store(&self) -> Result<(), IndexError> {
        let text = {
            let mut pods = self.pods.write();
            if !std::mem::take(&mut pods.changed) {
                return Ok(());
            }
            serde_json::to_vec(&pods.by_uid).map_err(IndexError::Manifest)?
        };
        let stored = replace(&self.directory, NAME, &text);
        if stored.is_err() {
            self.pods.write().changed = true;
        }
        stored
    }
}
