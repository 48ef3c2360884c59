//! Links in place of log files, as a node with docker has them:
//!
//! ```text
//! /var/log/pods/<pod>/<container>/0.log -> /var/lib/docker/containers/<id>/<id>-json.log
//! ```
//!
//! The kernel never follows one. Its text is read, and what it names is opened from the
//! folder that the operator allowed, without a link on the way. A container that can place
//! links (by a hostPath volume) gets nothing by it: only `<id>/<id>-json.log` is a log, not
//! what docker keeps beside it, such as the environment; and only where docker itself says
//! that this is the link to it, so that nobody has another Pod's lines under his own name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use nix::libc;
use serde::Deserialize;

use super::{
    Place, Watch,
    again::{Again, Refusal},
    dir::{Dir, Entry},
    name,
};
use crate::archive::chain;

/// What docker knows of a container, beside its log.
const CONFIG: &str = "config.v2.json";
/// An environment can be large, but not as large.
const MAX_CONFIG: u64 = 16 << 20;
/// The label by which docker is told the link's path.
const LOG_PATH: &str = "io.kubernetes.container.logpath";

/// A container's directory: see the tailer.
type Key = (String, String);

/// Whose log a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Docker's folder of the container.
    pub folder: PathBuf,
    /// The file that is written to.
    pub file: String,
}

impl Target {
    /// Whether a file of the folder is the log or was set aside from it: `.1`, `.2`, ... with age, each
    /// of which docker compresses where it is told to (`compress`), to `.1.gz`, `.2.gz`, ...
    pub fn is_file(&self, name: &str) -> bool {
        let number = name.strip_prefix(&self.file).and_then(|suffix| suffix.strip_prefix('.'));
        let number = number.map(|number| name::original(number).unwrap_or(number));
        name == self.file || number.is_some_and(|number| number.parse::<u32>().is_ok())
    }

    /// Whether it is one of those that are written to. A compressed one is looked at when what it is
    /// made of is gone.
    pub fn is_text(&self, name: &str) -> bool {
        self.is_file(name) && name::original(name).is_none()
    }
}

/// A link that is followed, and what there is.
#[derive(Debug)]
pub struct Followed {
    pub target: Target,
    pub folder: Dir,
    pub entries: Vec<Entry>,
}

/// Why a link is not followed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("`{}` is no log of docker's in the folder of --container-logs", .0.display())]
    Elsewhere(PathBuf),
    #[error("`{}` is or is reached by another link", .0.display())]
    Chain(PathBuf),
    #[error("docker doesn't say that this is the link to `{}`", .0.display())]
    Foreign(PathBuf),
    #[error("`{}` can't be opened", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
}

/// The links of all containers.
#[derive(Debug, Default)]
pub struct Links {
    allowed: Option<PathBuf>,
    followed: HashMap<PathBuf, BTreeSet<Key>>,
    /// Named once.
    refused: HashSet<(Key, String)>,
}

impl Links {
    /// Follows links into this folder, spelled as the links do; without one, none.
    pub fn into(allowed: Option<PathBuf>) -> Self {
        Self { allowed, ..Self::default() }
    }

    /// Containers whose logs are in this folder.
    pub fn at(&self, folder: &Path) -> Vec<Key> {
        self.followed.get(folder).into_iter().flatten().cloned().collect()
    }

    pub fn forget(&mut self, key: &Key) {
        self.refused.retain(|(refused, _)| refused != key);
        self.followed.retain(|_, keys| !keys.remove(key) || !keys.is_empty());
    }

    /// The links in a container's directory that are followed, by restart. Their folders are
    /// watched first and listed second.
    pub fn look(
        &mut self,
        key: &Key,
        directory: &Dir,
        watch: &mut dyn Watch,
        again: &mut Again,
    ) -> BTreeMap<u32, Followed> {
        let mut found = BTreeMap::new();
        let place = || Place::Container(key.0.clone(), key.1.clone());
        let links = directory.links().unwrap_or_else(|error| {
            if Refusal::of(&error) != Refusal::Gone {
                again.add(place(), "", &error);
            }
            Vec::new()
        });
        for (link, text) in links {
            let Some((restart, None)) = name::log_file(&link) else { continue };
            match self.follow(key, &link, &text, watch) {
                Ok(followed) => {
                    self.followed.entry(followed.target.folder.clone()).or_default().insert(key.clone());
                    found.insert(restart, followed);
                }
                // The container was removed; its link soon is.
                Err(Refused::Unreadable(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(Refused::Unreadable(_, error)) if Refusal::of(&error) != Refusal::Gone => {
                    again.add(place(), &link, &error);
                }
                Err(error) => {
                    if self.refused.insert((key.clone(), link.clone())) {
                        let error = chain(&error);
                        tracing::warn!(pod = key.0, container = key.1, link, %error, "link is not followed");
                    }
                }
            }
        }
        found
    }

    /// Opens what a container's link names, if that is its log, and has its folder watched.
    pub fn follow(
        &self,
        key: &Key,
        link: &str,
        text: &Path,
        watch: &mut dyn Watch,
    ) -> Result<Followed, Refused> {
        let target = self.target(text).ok_or_else(|| Refused::Elsewhere(text.to_owned()))?;
        let refused = |error: io::Error| match error.raw_os_error() {
            Some(libc::ELOOP | libc::EXDEV) => Refused::Chain(text.to_owned()),
            _ => Refused::Unreadable(text.to_owned(), error),
        };
        let folder = self.open(&target).map_err(refused)?;
        let path = Path::new(&key.0).join(&key.1).join(link);
        if !log_path(&folder).map_err(refused)?.is_some_and(|named| named.ends_with(path)) {
            return Err(Refused::Foreign(text.to_owned()));
        }
        watch.watch(&Place::Folder(target.folder.clone()));
        let entries = list(&folder, &target).map_err(refused)?;
        if !entries.iter().any(|entry| entry.name == target.file) {
            // Between two files it isn't there; anything else than a file is refused.
            match folder.file(&target.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
                _ => {}
            }
        }
        Ok(Followed { target, folder, entries })
    }

    /// What a link's text names, if that is a log.
    fn target(&self, text: &Path) -> Option<Target> {
        let allowed = self.allowed.as_ref()?;
        let mut names = text.strip_prefix(allowed).ok()?.components();
        let (Some(Component::Normal(id)), Some(Component::Normal(file)), None) =
            (names.next(), names.next(), names.next())
        else {
            return None;
        };
        let (id, file) = (id.to_str()?, file.to_str()?);
        (file == format!("{id}-json.log")).then(|| Target { folder: allowed.join(id), file: file.to_owned() })
    }

    /// Docker's folder of a container; `NotFound` only where the folder of all of them is there.
    pub fn open(&self, target: &Target) -> io::Result<Dir> {
        let allowed = self.allowed.as_ref().ok_or_else(|| io::Error::other("no folder is allowed"))?;
        let root = Dir::open(allowed).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other(error),
            _ => error,
        })?;
        root.below(target.folder.strip_prefix(allowed).map_err(io::Error::other)?)
    }

    /// The files of a link that was followed before, also when it is gone now.
    pub fn list(&self, target: &Target) -> io::Result<(Dir, Vec<Entry>)> {
        let folder = self.open(target)?;
        let entries = list(&folder, target)?;
        Ok((folder, entries))
    }
}

fn list(folder: &Dir, target: &Target) -> io::Result<Vec<Entry>> {
    let mut entries = folder.settled_entries()?;
    entries.retain(|entry| !entry.is_dir && target.is_file(&entry.name));
    Ok(entries)
}

/// The path of the link to a container's log, by docker's word.
fn log_path(folder: &Dir) -> io::Result<Option<PathBuf>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Container {
        config: Config,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        #[serde(default)]
        labels: Option<HashMap<String, String>>,
    }
    let mut text = Vec::new();
    match folder.file(CONFIG) {
        Ok(file) => file.take(MAX_CONFIG).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let container: Container = serde_json::from_slice(&text)?;
    Ok(container.config.labels.and_then(|mut labels| labels.remove(LOG_PATH)).map(PathBuf::from))
}
