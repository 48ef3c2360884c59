//! Rotation of a running container's log: renamed, then the runtime opens a new file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files of this log that were rotated away, the oldest first. A link is none: the
/// runtime makes none.
pub(super) fn rotated(path: &Path) -> Vec<PathBuf> {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return Vec::new() };
    let prefix = format!("{}.", name.to_string_lossy());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    // The time is in the name.
    found.sort();
    found
}

/// Renames the log if it is large enough; true when the runtime has to open a new one.
pub(super) fn rotate(path: &Path, max_bytes: u64) -> io::Result<bool> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_file() || metadata.len() < max_bytes {
        return Ok(false);
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S%3f");
    fs::rename(path, format!("{}.{stamp}", path.display()))?;
    Ok(true)
}

/// Undoes a rotation whose new file could not be opened: lines go on into the old one.
pub(super) fn undo(path: &Path) -> io::Result<()> {
    match rotated(path).last() {
        Some(latest) if !path.exists() => fs::rename(latest, path),
        _ => Ok(()),
    }
}

/// Rotated files beyond `keep`, the oldest first.
pub(super) fn beyond(path: &Path, keep: usize) -> Vec<PathBuf> {
    let mut files = rotated(path);
    files.truncate(files.len().saturating_sub(keep));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_beyond_those_that_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        let old = |n: u32| folder.path().join(format!("0.log.2026010{n}-000000000"));
        for n in 1..=3 {
            fs::write(old(n), "four").expect("written");
        }
        assert_eq!(beyond(&path, 1), [old(1), old(2)]);
        assert_eq!(beyond(&path, 3), Vec::<PathBuf>::new());
        assert_eq!(beyond(&path, 4), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_large_file_is_renamed_and_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        fs::write(&path, "0123456789").expect("written");
        assert!(!rotate(&path, 11).expect("looked at"));
        assert!(rotate(&path, 10).expect("rotated"));
        assert!(!path.exists() && rotated(&path).len() == 1);
        undo(&path).expect("undone");
        assert!(path.exists() && rotated(&path).is_empty());
    }
}
