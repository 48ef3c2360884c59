//! A Pod's volumes: made before its containers, kept up to date, taken away after.
//!
//! ```text
//! <root>/pods/<uid>/volumes/kubernetes.io~<kind>/<name>   one folder a volume
//!                  /volume-subpaths/<volume>/<container>/<n>   what a subPath mounts
//!                  /containers/<name>/<attempt>                last words of a container
//!                  /etc-hosts
//! ```
//!
//! Volumes of files (configMap, secret, downwardAPI, projected) are written as
//! [`files`] describes: all at once, so a reader sees the old or the new set.
//! Those with secrets and tokens lie in memory.

mod content;
mod files;
mod folder;
mod host_path;
mod mounts;
mod subpath;
mod token;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Instant,
};

pub(crate) use content::ContentContext;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use tiphys_runtime::cri::v1::Mount;

use crate::{Error, pod::spec};

/// Folders and mounts of all Pods on this node.
#[derive(Clone)]
pub(crate) struct Volumes {
    root: PathBuf,
}

/// The volumes of one Pod: where each lies, and when files must be renewed.
#[derive(Debug, Default)]
pub(crate) struct PodVolumes {
    paths: HashMap<String, PathBuf>,
    /// The earliest time at which a token is to be renewed.
    pub renew_at: Option<Instant>,
}

impl Volumes {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn pod_folder(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    /// Makes the Pod's volumes, or brings the files of those that are there up to date.
    pub(crate) async fn ensure(
        &self,
        context: &ContentContext<'_>,
        made: &mut PodVolumes,
    ) -> Result<(), Error> {
        let pod = context.pod;
        let mut renew_at = None;
        for volume in spec::of(pod).volumes.iter().flatten() {
            let path = match self.ensure_one(context, volume).await? {
                Made::At(path) => path,
                Made::Until(path, renew) => {
                    renew_at = renew_at.into_iter().chain(renew).min();
                    path
                }
            };
            made.paths.insert(volume.name.clone(), path);
        }
        made.renew_at = renew_at;
        Ok(())
    }

    async fn ensure_one(&self, context: &ContentContext<'_>, volume: &Volume) -> Result<Made, Error> {
        let pod = context.pod;
        let failed = |message: String| Error::Volume { volume: volume.name.clone(), message };
        let group = spec::of(pod).security_context.as_ref().and_then(|context| context.fs_group);
        let folder = |kind: &str| self.volume_folder(spec::uid(pod), kind, &volume.name);
        if let Some(empty) = &volume.empty_dir {
            let path = folder("empty-dir");
            let in_memory = empty.medium.as_deref() == Some("Memory");
            let limit = empty.size_limit.as_ref().and_then(|limit| tiphys_api::quantity::units(&limit.0));
            folder::empty_dir(&path, in_memory.then_some(limit), group).map_err(failed)?;
            return Ok(Made::At(path));
        }
        if let Some(host) = &volume.host_path {
            host_path::ensure(Path::new(&host.path), host.type_.as_deref().unwrap_or_default())
                .map_err(failed)?;
            return Ok(Made::At(host.path.clone().into()));
        }
        let Some(kind) = content::kind(volume) else {
            return Err(failed("this kind of volume is not supported by this kubelet".into()));
        };
        let path = folder(kind);
        folder::for_files(&path, content::is_secret(volume)).map_err(failed)?;
        let content = content::gather(context, volume, &path).await.map_err(failed)?;
        files::write(&path, &content.files, group).map_err(failed)?;
        Ok(Made::Until(path, content.renew_at))
    }

    fn volume_folder(&self, uid: &str, kind: &str, name: &str) -> PathBuf {
        self.pod_folder(uid).join("volumes").join(format!("kubernetes.io~{kind}")).join(name)
    }

    /// What a container gets mounted. Sub paths are resolved and mounted here.
    pub(crate) fn mounts(
        &self,
        pod: &Pod,
        container: &Container,
        attempt: u32,
        made: &PodVolumes,
        variables: &[(String, String)],
    ) -> Result<Vec<Mount>, Error> {
        mounts::mounts(self, pod, container, attempt, &made.paths, variables)
    }

    /// Where the container's last words are left, on the node.
    pub(crate) fn termination_log(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod_folder(uid).join("containers").join(container).join(attempt.to_string())
    }

    /// Unmounts and removes all that the Pod had here. May be repeated.
    pub(crate) fn remove(&self, uid: &str) -> Result<(), Error> {
        folder::remove_tree(&self.pod_folder(uid))
    }

    /// Uids of Pods that have something here.
    pub(crate) fn known_pods(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join("pods")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

enum Made {
    At(PathBuf),
    Until(PathBuf, Option<Instant>),
}
/// Where a Pod's volumes are, by kind and name.
pub(crate) fn folder_of(root: &Path, pod: &Pod) -> PathBuf {
    root.join("pods").join(spec::uid(pod)).join("volumes")
}
