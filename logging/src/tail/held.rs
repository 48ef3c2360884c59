//! Pods whose files are not read yet, because it isn't known what is to become of
//! their lines.
//!
//! Nothing of them is in memory: the files are held open and stay where they are,
//! and so does where reading stands. Files without a name keep their disk only as
//! long as somebody has them open, so of those there is a bound: [`MAX_DELETED`].

use std::collections::{HashMap, HashSet};

use super::{name, system};
use crate::policy::Annotations;

/// Unread bytes of deleted files that are held, of all Pods together. The kubelet keeps as
/// much of a node that isn't read before it comes to this.
pub const MAX_DELETED: u64 = 1 << 30;

/// Whose rules must be known before files are read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    pub namespace: String,
    /// None for parts of the node and for what comes by a door.
    pub pod: Option<PodName>,
}

/// The Pod of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodName {
    pub name: String,
    pub uid: String,
    /// What the Pod says of its logs, as the kubelet wrote it to the directory.
    pub says: Option<Annotations>,
}

impl Owner {
    /// Of a Pod's directory, by its name.
    pub fn of(directory: &str, says: Option<Annotations>) -> Self {
        match name::pod_dir(directory) {
            Some((namespace, name, uid)) => {
                let pod = PodName { name: name.to_owned(), uid: uid.to_owned(), says };
                Self { namespace: namespace.to_owned(), pod: Some(pod) }
            }
            None => Self { namespace: system::NAMESPACE.to_owned(), pod: None },
        }
    }
}

/// A container's directory: see the tailer.
type Key = (String, String);

/// What is held, by the Pod's directory.
#[derive(Debug, Default)]
pub struct Held {
    is_on: bool,
    known: HashSet<String>,
    waiting: HashMap<String, HashSet<Key>>,
    asked: Vec<String>,
}

impl Held {
    /// From now on no Pod is read before it is released.
    pub fn turn_on(&mut self) {
        self.is_on = true;
    }

    /// Whether the container may be read. If not, it is given back by [`Held::release`].
    pub fn may_read(&mut self, key: &Key) -> bool {
        let directory = &key.0;
        if !self.is_on || self.known.contains(directory) {
            return true;
        }
        if !self.waiting.contains_key(directory) {
            self.asked.push(directory.clone());
        }
        self.waiting.entry(directory.clone()).or_default().insert(key.clone());
        false
    }

    /// Directories of Pods that wait and that nobody was asked about yet.
    pub fn take_asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    /// The Pod's rules are known: these containers can be read.
    pub fn release(&mut self, directory: &str) -> HashSet<Key> {
        self.known.insert(directory.to_owned());
        self.waiting.remove(directory).unwrap_or_default()
    }

    /// The Pod's directory is gone, and all of it was read.
    pub fn forget(&mut self, directory: &str) {
        self.known.remove(directory);
    }

    /// Containers that wait.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.waiting.values().flatten()
    }

    /// Pods that wait.
    pub fn n_pods(&self) -> usize {
        self.waiting.len()
    }
}
