//! Folders on the host that a node's private folders are mounted over.
//!
//! Most exist already. One that doesn't (a machine without CNI has no /etc/cni) is
//! made, with a file in it that says so, and removed when no namespace on the
//! machine has a mount there any more: deleting a mount point would take the
//! mount away from whoever still uses it.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use crate::Error;

use super::lock::HostLock;

const MARKER: &str = ".tiphys-mount-point";
const MARKER_TEXT: &str =
    "This folder was made by Tiphys to mount a node's own folder over it. `tiphys down` removes it.\n";

/// Makes `target` and the folders above it where they are missing.
pub(super) fn ensure(target: &Path, _lock: &HostLock) -> Result<(), Error> {
    let missing: Vec<&Path> = target.ancestors().take_while(|path| !path.exists()).collect();
    for folder in missing.into_iter().rev() {
        fs::create_dir(folder).map_err(Error::io(format!("make the folder {}", folder.display())))?;
        let marker = folder.join(MARKER);
        fs::write(&marker, MARKER_TEXT).map_err(Error::io(format!("write {}", marker.display())))?;
    }
    Ok(())
}

/// Removes those of `targets`, and of the folders above them, that [`ensure`] made
/// and nothing uses.
pub(super) fn remove_unused(targets: &[PathBuf], _lock: &HostLock) -> Result<(), Error> {
    let used = mount_points_in_use();
    for folder in targets.iter().flat_map(|target| target.ancestors()) {
        let marker = folder.join(MARKER);
        if used.contains(folder) || !marker.exists() {
            continue;
        }
        if holds_more_than_the_marker(folder) {
            continue;
        }
        let removed = fs::remove_file(&marker).and_then(|()| fs::remove_dir(folder));
        removed.map_err(Error::io(format!("remove the folder {}", folder.display())))?;
    }
    Ok(())
}

fn holds_more_than_the_marker(folder: &Path) -> bool {
    // What cannot be read is left alone.
    fs::read_dir(folder).map_or(true, |entries| entries.count() > 1)
}

/// Every mount point of every mount namespace on the machine.
fn mount_points_in_use() -> HashSet<PathBuf> {
    let mut seen = HashSet::new();
    let mut points = HashSet::new();
    let Ok(processes) = fs::read_dir("/proc") else { return points };
    for process in processes.flatten().map(|entry| entry.path()) {
        let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else { continue };
        if !seen.insert(namespace.clone()) {
            continue;
        }
        match fs::read_to_string(process.join("mountinfo")) {
            Ok(table) => points.extend(table.lines().filter_map(mount_point)),
            // The process ended in between; another one may show the same namespace.
            Err(_) => drop(seen.remove(&namespace)),
        }
    }
    points
}

/// The fifth field of a line of /proc/*/mountinfo, its octal escapes undone.
fn mount_point(line: &str) -> Option<PathBuf> {
    let field = line.split(' ').nth(4)?;
    Some(PathBuf::from(field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mount_point_of_a_mountinfo_line() {
        let line = r"36 35 98:0 /mnt1 /mnt/with\040space rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/mnt/with space")));
    }

    #[test]
    fn removes_what_it_made_and_nothing_else() {
        let lock = HostLock::take().unwrap();
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("etc/cni/net.d");
        fs::create_dir(root.path().join("etc")).unwrap();
        ensure(&target, &lock).unwrap();
        ensure(&target, &lock).unwrap();
        assert!(target.is_dir());

        fs::write(target.join("theirs.conf"), "{}").unwrap();
        remove_unused(std::slice::from_ref(&target), &lock).unwrap();
        assert!(target.join("theirs.conf").exists(), "a folder in use stays");

        fs::remove_file(target.join("theirs.conf")).unwrap();
        remove_unused(&[target], &lock).unwrap();
        assert!(root.path().join("etc").is_dir());
        assert!(!root.path().join("etc/cni").exists());
    }
}
