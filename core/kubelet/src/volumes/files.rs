//! A set of files that changes all at once.
//!
//! ```text
//! <volume>/..2026_01_02_03_04_05.123   the files of one moment
//!         /..data -> that folder       swapped by a rename
//!         /name   -> ..data/name       what containers open
//! ```
//!
//! The form that other tools expect in such volumes. Names come from the Pod's
//! spec: they stay below the volume, or the volume is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Component, Path, PathBuf},
};

/// Bytes and mode of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub bytes: Vec<u8>,
    pub mode: u32,
    pub owner: Option<u32>,
}

const CURRENT: &str = "..data";
const NEXT: &str = "..data_tmp";

/// Makes the volume hold exactly these files. Does nothing when it does already.
pub(super) fn write(
    volume: &Path,
    wanted: &BTreeMap<String, File>,
    group: Option<i64>,
) -> Result<(), String> {
    for path in wanted.keys() {
        check_name(path)?;
    }
    let text = |error: io::Error| format!("{}: {error}", volume.display());
    let current = fs::read_link(volume.join(CURRENT)).ok();
    if current.as_ref().is_some_and(|current| is_same(&volume.join(current), wanted)) {
        return Ok(());
    }
    let folder = format!("..{}", jiff::Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    let group = group.and_then(|group| u32::try_from(group).ok());
    write_all(&volume.join(&folder), wanted, group).map_err(text)?;
    let _ = fs::remove_file(volume.join(NEXT));
    symlink(&folder, volume.join(NEXT)).map_err(text)?;
    fs::rename(volume.join(NEXT), volume.join(CURRENT)).map_err(text)?;
    link_names(volume, wanted).map_err(text)?;
    if let Some(old) = current {
        let _ = fs::remove_dir_all(volume.join(old));
    }
    Ok(())
}

fn check_name(path: &str) -> Result<(), String> {
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || path.is_empty() || path.starts_with("..") {
        return Err(format!("the path {path:?} must be relative and stay in the volume"));
    }
    Ok(())
}

fn is_same(folder: &Path, wanted: &BTreeMap<String, File>) -> bool {
    let mut found = BTreeSet::new();
    list(folder, Path::new(""), &mut found);
    found.len() == wanted.len()
        && wanted.iter().all(|(path, file)| {
            let at = folder.join(path);
            let mode = fs::metadata(&at).map(|metadata| metadata.permissions().mode() & 0o777);
            fs::read(&at).is_ok_and(|bytes| bytes == file.bytes)
                && mode.is_ok_and(|mode| mode & file.mode == file.mode)
        })
}

fn list(root: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(root.join(below)).into_iter().flatten().flatten() {
        let path = below.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(root, &path, found);
        } else {
            found.insert(path);
        }
    }
}

fn write_all(folder: &Path, wanted: &BTreeMap<String, File>, group: Option<u32>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for (path, file) in wanted {
        let at = folder.join(path);
        if let Some(parent) = at.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&at, &file.bytes)?;
        // A group that owns the volume may read what its owner may.
        let mode = if group.is_some() { file.mode | (file.mode & 0o700) >> 3 & 0o050 } else { file.mode };
        fs::set_permissions(&at, fs::Permissions::from_mode(mode))?;
        chown(&at, file.owner, group)?;
    }
    Ok(())
}

/// A link a first path component, and none for what is gone.
fn link_names(volume: &Path, wanted: &BTreeMap<String, File>) -> io::Result<()> {
    let tops: BTreeSet<&str> = wanted.keys().filter_map(|path| path.split('/').next()).collect();
    for entry in fs::read_dir(volume)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !tops.contains(name.as_str()) {
            fs::remove_file(entry.path())?;
        }
    }
    for top in tops {
        let link = volume.join(top);
        if fs::read_link(&link).is_err() {
            symlink(Path::new(CURRENT).join(top), link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, File> {
        let file = |text: &str| File { bytes: text.into(), mode: 0o644, owner: None };
        list.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    #[test]
    fn the_set_changes_at_once_and_only_when_it_must() {
        let volume = tempfile::tempdir().expect("a folder");
        let read = |path: &str| fs::read_to_string(volume.path().join(path)).ok();
        write(volume.path(), &files(&[("a", "1"), ("dir/b", "2")]), None).expect("written");
        assert_eq!((read("a").as_deref(), read("dir/b").as_deref()), (Some("1"), Some("2")));
        let first = fs::read_link(volume.path().join(CURRENT)).expect("a link");
        write(volume.path(), &files(&[("a", "1"), ("dir/b", "2")]), None).expect("nothing to do");
        assert_eq!(fs::read_link(volume.path().join(CURRENT)).expect("a link"), first);
        write(volume.path(), &files(&[("a", "3")]), None).expect("written");
        assert_eq!((read("a").as_deref(), read("dir/b")), (Some("3"), None));
        assert!(!volume.path().join(first).exists());
    }

    #[test]
    fn names_stay_in_the_volume() {
        let volume = tempfile::tempdir().expect("a folder");
        for name in ["../x", "/etc/x", "a/../../x", "..data", ""] {
            assert!(write(volume.path(), &files(&[(name, "x")]), None).is_err(), "{name}");
        }
    }
}
