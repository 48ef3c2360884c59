//! A part of a volume, mounted safely.
//!
//! A container may have put links into the volume, and may swap them while we
//! look. So the path is opened by the kernel itself with the promise to stay
//! beneath the volume (`openat2`), and what was opened is mounted by its
//! descriptor: no name is resolved twice (CVE-2017-1002101, CVE-2021-25741).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    mount::{MsFlags, mount},
    sys::stat::{Mode, SFlag, fstat, mkdirat},
};

/// Mounts `path` of the volume onto `target`, which is made. A path that does not
/// exist becomes a folder.
pub(super) fn bind(volume: &Path, path: &str, target: &Path) -> io::Result<()> {
    let root = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(volume)?;
    let opened = open_beneath(&root, path)?;
    let is_folder = fstat(&opened)?.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
    if is_folder {
        fs::create_dir_all(target)?;
    } else {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        OpenOptions::new().create(true).append(true).open(target)?;
    }
    if super::folder::is_mount(target) {
        return Ok(());
    }
    let source = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(mount(Some(source.as_str()), target, None::<&str>, flags, None::<&str>)?)
}

fn open_beneath(root: &File, path: &str) -> io::Result<OwnedFd> {
    let path = Path::new(path);
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a subPath must be relative and without `..`",
        ));
    }
    match open(root, path) {
        Err(Errno::ENOENT) => make_folders(root, path),
        other => Ok(other?),
    }
}

fn open(root: &impl std::os::fd::AsFd, path: &Path) -> nix::Result<OwnedFd> {
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(beneath);
    openat2(root, path, how)
}

/// Makes what is missing, one level at a time, each below an opened folder.
fn make_folders(root: &File, path: &Path) -> io::Result<OwnedFd> {
    let mut at: OwnedFd = root.try_clone()?.into();
    let mut walked = std::path::PathBuf::new();
    for part in path.components() {
        walked.push(part);
        at = match open(root, &walked) {
            Err(Errno::ENOENT) => {
                match mkdirat(&at, part.as_os_str(), Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                open(root, &walked)?
            }
            other => other?,
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn content(fd: OwnedFd, name: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/self/fd/{}/{name}", fd.as_raw_fd())).ok()
    }

    #[test]
    fn abuse_13_links_out_of_the_volume_are_refused() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("secret"), "host").expect("written");
        let volume = tempfile::tempdir().expect("a folder");
        let root = File::open(volume.path()).expect("opened");
        symlink(outside.path(), volume.path().join("absolute")).expect("linked");
        symlink("../../../../../../etc", volume.path().join("relative")).expect("linked");
        symlink("inside", volume.path().join("fine")).expect("linked");
        fs::create_dir(volume.path().join("inside")).expect("made");
        for path in ["absolute", "relative", "absolute/new", "../x", "/etc", "a/../../x"] {
            assert!(open_beneath(&root, path).is_err(), "{path}");
        }
        assert!(!outside.path().join("new").exists());
        for path in ["inside", "fine", "new/deep", "."] {
            assert!(open_beneath(&root, path).is_ok(), "{path}");
        }
    }

    #[test]
    fn abuse_13_a_swapped_link_is_never_followed_out() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("mark"), "host").expect("written");
        let volume = tempfile::tempdir().expect("a folder");
        fs::create_dir(volume.path().join("a")).expect("made");
        fs::write(volume.path().join("a/mark"), "volume").expect("written");
        symlink(outside.path(), volume.path().join("b")).expect("linked");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use std::sync::atomic::Ordering;
                while !stop.load(Ordering::Relaxed) {
                    let (a, b) = (volume.path().join("a"), volume.path().join("b"));
                    let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
                    let _ = nix::fcntl::renameat2(nix::fcntl::AT_FDCWD, &a, nix::fcntl::AT_FDCWD, &b, flags);
                }
            });
            let root = File::open(volume.path()).expect("opened");
            for _ in 0..10_000 {
                if let Ok(opened) = open_beneath(&root, "a") {
                    assert_ne!(content(opened, "mark").as_deref(), Some("host"));
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(fs::read_to_string(outside.path().join("mark")).expect("untouched"), "host");
        assert_eq!(fs::read_dir(outside.path()).expect("untouched").count(), 1);
    }
}
