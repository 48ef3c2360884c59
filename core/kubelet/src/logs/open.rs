//! Opening a log file: a regular file below the root of the logs, and reached
//! without any link.
//!
//! The runtime makes neither links nor pipes there. A container that was given the
//! folder (a hostPath) can, and would have the kubelet, which is root, read for it
//! what it may not.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// # Errors
/// There is no such file (`NotFound`), or it is none of the runtime's.
pub(crate) fn open(root: &Path, path: &Path) -> io::Result<File> {
    let foreign = || {
        let message = format!("{} is no log file below {}", path.display(), root.display());
        io::Error::new(io::ErrorKind::PermissionDenied, message)
    };
    let below = path.strip_prefix(root).map_err(|_| foreign())?;
    let root = std::fs::OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(root)?;
    // A pipe would hold up whoever opens it.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let opened: nix::Result<OwnedFd> =
        openat2(root.as_fd(), below, OpenHow::new().flags(flags).resolve(resolve));
    let file = File::from(opened.map_err(|error| match error {
        nix::errno::Errno::ELOOP | nix::errno::Errno::EXDEV => foreign(),
        other => other.into(),
    })?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(foreign()) }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn abuse_14_only_files_without_links_on_the_way_are_logs() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("0.log"), "host").expect("written");
        let root = tempfile::tempdir().expect("a folder");
        let pod = root.path().join("ns_web_1");
        fs::create_dir_all(pod.join("box")).expect("made");
        fs::write(pod.join("box/0.log"), "own").expect("written");
        assert!(open(root.path(), &pod.join("box/0.log")).is_ok());
        symlink(outside.path().join("0.log"), pod.join("box/1.log")).expect("linked");
        symlink("0.log", pod.join("box/2.log")).expect("linked");
        symlink(outside.path(), pod.join("out")).expect("linked");
        nix::unistd::mkfifo(&pod.join("box/3.log"), nix::sys::stat::Mode::S_IRUSR).expect("made");
        let ways = ["box/1.log", "box/2.log", "box/3.log", "out/0.log", "box", "box/../../../etc/passwd"];
        for path in ways {
            let refused = open(root.path(), &pod.join(path)).expect_err(path);
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{path}: {refused}");
        }
        assert!(open(root.path(), &outside.path().join("0.log")).is_err());
        let missing = open(root.path(), &pod.join("box/9.log")).expect_err("there is none");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
