//! Opening below the log directory without following a link, on no step.
//!
//! A container that can place a symbolic link in its log directory (by a hostPath
//! volume) must not make the collector read another file of the node. Named
//! pipes and devices are refused too.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::Mode,
};

/// A directory held open.
#[derive(Debug)]
pub struct Dir(OwnedFd);

/// A regular file or a directory in a [`Dir`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub is_dir: bool,
    pub inode: u64,
    pub size: u64,
}

impl Dir {
    /// The directory at a path the operator chose; links in it are his own.
    pub fn open(path: &Path) -> io::Result<Self> {
        let directory = OpenOptions::new().read(true).custom_flags(nix::libc::O_DIRECTORY).open(path)?;
        Ok(Self(directory.into()))
    }

    /// A directory in this one; an error when the name is a link.
    pub fn dir(&self, name: &str) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self(openat(self.0.as_fd(), checked(name)?, flags, Mode::empty())?))
    }

    /// A directory anywhere below this one; an error when a link is on the way.
    pub fn below(&self, path: &Path) -> io::Result<Self> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        Ok(Self(openat2(self.0.as_fd(), path, how)?))
    }

    /// A regular file in this one, for reading; an error when it is anything else.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(openat(self.0.as_fd(), checked(name)?, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(file)
    }

    /// An extended attribute of the directory itself.
    pub fn attribute(&self, name: &str) -> Option<Vec<u8>> {
        xattr::get_deref(format!("/proc/self/fd/{}", self.0.as_raw_fd()), name).ok()?
    }

    /// As [`Dir::entries`], listed again until it is the same twice: a listing made during
    /// a rename may miss the file under both names, and its lines would be read too late.
    pub fn settled_entries(&self) -> io::Result<Vec<Entry>> {
        const LISTINGS: usize = 8;
        let key = |entries: &[Entry]| {
            let mut key: Vec<_> = entries.iter().map(|entry| (entry.inode, entry.name.clone())).collect();
            key.sort_unstable();
            key
        };
        let mut entries = self.entries()?;
        for _ in 1..LISTINGS {
            let again = self.entries()?;
            let same = key(&entries) == key(&again);
            entries = again;
            if same {
                break;
            }
        }
        Ok(entries)
    }

    /// The links and what they say, in no order.
    pub fn links(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let mut links = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", self.0.as_raw_fd()))? {
            let entry = entry?;
            if entry.file_type().is_ok_and(|kind| kind.is_symlink())
                && let (Ok(name), Ok(text)) =
                    (entry.file_name().into_string(), std::fs::read_link(entry.path()))
            {
                links.push((name, text));
            }
        }
        Ok(links)
    }

    /// Regular files and directories, in no order; links and the rest are left out.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        // The descriptor's own name, so that the directory listed is the one that was opened.
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", self.0.as_raw_fd()))? {
            let entry = entry?;
            // Doesn't follow links. A file may vanish meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            let Ok(name) = entry.file_name().into_string() else { continue };
            if metadata.is_file() || metadata.is_dir() {
                let (is_dir, inode, size) = (metadata.is_dir(), metadata.ino(), metadata.len());
                entries.push(Entry { name, is_dir, inode, size });
            }
        }
        Ok(entries)
    }
}

fn checked(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file name"));
    }
    Ok(name)
}
