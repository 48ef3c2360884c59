//! A node's view of the file system: the machine's, with the node's own folders
//! in the places that the parts of a node write to.
//!
//! It is only for a process in a mount namespace of its own, before any other
//! thread or child is there.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};

use crate::Error;

/// Folders in the node's data folder, and where the node sees them.
pub(super) const FOLDERS: [(&str, &str); 6] = [
    ("run", "/run"),
    ("log", "/var/log"),
    ("kubelet", "/var/lib/kubelet"),
    ("containerd", "/var/lib/containerd"),
    ("cni", "/var/lib/cni"),
    ("net.d", "/etc/cni/net.d"),
];

/// The places of [`FOLDERS`] on the host.
pub(super) fn targets() -> Vec<PathBuf> {
    FOLDERS.iter().map(|(_, target)| PathBuf::from(target)).collect()
}

/// The node's own folders, made and held open: a mount over /run or /var/log may
/// hide the path they were found by.
pub(super) struct Sources(Vec<(File, &'static str)>);

impl Sources {
    /// Makes the folders below `data` that are missing.
    pub(super) fn open(data: &Path) -> Result<Self, Error> {
        let open = |(name, target): &(&str, &'static str)| {
            let folder = data.join(name);
            fs::create_dir_all(&folder)
                .and_then(|()| File::open(&folder))
                .map(|file| (file, *target))
                .map_err(Error::io(format!("open the folder {}", folder.display())))
        };
        FOLDERS.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Mounts each in its place.
    pub(super) fn mount(&self) -> Result<(), Error> {
        self.0.iter().try_for_each(|(source, target)| bind(source, Path::new(target)))
    }
}

/// Mounts the open file or folder `source` over `target`.
pub(super) fn bind(source: &File, target: &Path) -> Result<(), Error> {
    let path = format!("/proc/self/fd/{}", source.as_raw_fd());
    let mounted = mount(Some(path.as_str()), target, None::<&str>, MsFlags::MS_BIND, None::<&str>);
    mounted.map_err(Error::io(format!("mount over {}", target.display())))
}

/// Nothing mounted here from now on shows on the host, and nothing of the host's here.
pub(super) fn separate() -> Result<(), Error> {
    propagate(MsFlags::MS_PRIVATE)
}

/// Mounts made here show in the containers that ask for it (mount propagation):
/// their runtime wants to find a shared tree.
pub(super) fn share_within() -> Result<(), Error> {
    propagate(MsFlags::MS_SHARED)
}

fn propagate(kind: MsFlags) -> Result<(), Error> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | kind, None::<&str>)
        .map_err(Error::io("set the mount propagation of /"))
}
