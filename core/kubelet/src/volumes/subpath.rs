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
    mount::{MntFlags, MsFlags, mount, umount2},
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

/// Takes away what earlier instances of a container had mounted: `folder` holds a
/// folder a volume, these one a container, these an entry a mount of an attempt.
pub(super) fn sweep(folder: &Path, container: &str, attempt: u32) -> io::Result<()> {
    let Ok(volumes) = fs::read_dir(folder) else { return Ok(()) };
    let own = format!("{attempt}-");
    for volume in volumes {
        let Ok(entries) = fs::read_dir(volume?.path().join(container)) else { continue };
        for entry in entries {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(&own) {
                take_away(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Only the place of a mount is removed, never what lies in it.
fn take_away(target: &Path) -> io::Result<()> {
    if super::folder::is_mount(target) {
        umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
    }
    if target.symlink_metadata()?.is_dir() { fs::remove_dir(target) } else { fs::remove_file(target) }
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
    fn mounts_of_earlier_attempts_are_taken_away() {
        let root = tempfile::tempdir().expect("a folder");
        let (volume, folder) = (root.path().join("volume"), root.path().join("sub"));
        fs::create_dir_all(volume.join("dir")).expect("made");
        fs::write(volume.join("dir/kept"), "1").expect("written");
        fs::write(volume.join("file"), "2").expect("written");
        let target = |container: &str, name: &str| folder.join("data").join(container).join(name);
        for attempt in 0..3 {
            sweep(&folder, "a", attempt).expect("swept");
            bind(&volume, "dir", &target("a", &format!("{attempt}-0"))).expect("mounted");
            bind(&volume, "file", &target("a", &format!("{attempt}-1"))).expect("mounted");
        }
        bind(&volume, "dir", &target("b", "0-0")).expect("mounted");
        sweep(&folder, "a", 2).expect("again is no error");
        let left = |container: &str| {
            let entries = fs::read_dir(folder.join("data").join(container)).expect("listed").flatten();
            let mut names: Vec<_> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(
            (left("a"), left("b")),
            (vec!["2-0".to_owned(), "2-1".to_owned()], vec!["0-0".to_owned()])
        );
        assert!(
            target("a", "2-0").join("kept").exists() && super::super::folder::is_mount(&target("a", "2-1"))
        );
        super::super::folder::remove_tree(&folder).expect("removed");
        assert!(volume.join("dir/kept").exists());
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
