//! Folders of volumes: made with the right owner, in memory if asked, and removed
//! without touching what is mounted below them.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::Error;

/// An empty folder that every container may write to. `memory` holds the limit of
/// a folder in memory, if it has one.
pub(super) fn empty_dir(path: &Path, memory: Option<Option<i64>>, group: Option<i64>) -> Result<(), String> {
    let text = |error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(path).map_err(text)?;
    if let Some(limit) = memory
        && !is_mount(path)
    {
        let size = limit.map(|limit| format!("size={limit},")).unwrap_or_default();
        in_memory(path, &format!("{size}mode=0777"))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).map_err(text)?;
    if let Some(group) = group.and_then(|group| u32::try_from(group).ok()) {
        chown(path, None, Some(group)).map_err(text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o2777)).map_err(text)?;
    }
    Ok(())
}

/// A folder for a volume of files.
pub(super) fn for_files(path: &Path, secret: bool) -> Result<(), String> {
    let text = |error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(path).map_err(text)?;
    if secret && !is_mount(path) {
        in_memory(path, "mode=0755")?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(text)
}

fn in_memory(path: &Path, options: &str) -> Result<(), String> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(options))
        .map_err(|error| format!("cannot mount memory at {}: {error}", path.display()))
}

/// Whether something is mounted exactly there.
pub(super) fn is_mount(path: &Path) -> bool {
    mounts().iter().any(|mount| mount == path)
}

/// Mount points of this mount namespace, in the order in which they were made.
fn mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape).collect()
}

/// Spaces and their kin are octal there: `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'\\').then(|| after.get(..3)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Removes a Pod's folder. What is mounted below it is unmounted first; if that
/// fails nothing is removed, so that no file behind a mount is ever touched.
pub(super) fn remove_tree(folder: &Path) -> Result<(), Error> {
    if !folder.exists() {
        return Ok(());
    }
    // The last mounted lies on top.
    for mount in mounts().iter().rev().filter(|mount| mount.starts_with(folder)) {
        umount2(mount, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
            .map_err(|error| Error::io("unmount", mount)(error.into()))?;
    }
    if let Some(left) = mounts().into_iter().find(|mount| mount.starts_with(folder)) {
        return Err(Error::io("unmount", left)(io::ErrorKind::ResourceBusy.into()));
    }
    fs::remove_dir_all(folder).map_err(Error::io("remove", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_mounts_are_read() {
        assert_eq!(unescape(r"/a\040b/c"), Path::new("/a b/c"));
        assert_eq!(unescape(r"/plain\"), Path::new(r"/plain\"));
    }

    #[test]
    fn a_folder_is_removed_with_its_memory() {
        let root = tempfile::tempdir().expect("a folder");
        let pod = root.path().join("pod");
        empty_dir(&pod.join("volumes/cache"), Some(Some(1 << 20)), Some(1234)).expect("made");
        assert!(is_mount(&pod.join("volumes/cache")));
        // Again is no second mount.
        empty_dir(&pod.join("volumes/cache"), Some(Some(1 << 20)), Some(1234)).expect("made");
        remove_tree(&pod).expect("removed");
        assert!(!pod.exists());
        remove_tree(&pod).expect("nothing to do");
    }
}
